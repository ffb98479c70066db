//! Files as images are read from them.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::Context;
use vmcore::{Image, ReadAt};

/// A file, opened once.
pub(crate) struct SourceFile {
    file: File,
    length: u64,
}

impl SourceFile {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        // Of a disk the length is where its end is; where files say it, that is the same.
        let length = match file.metadata()?.len() {
            0 => file.seek(SeekFrom::End(0))?,
            length => length,
        };
        Ok(Self { file, length })
    }
}

impl ReadAt for SourceFile {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }
}

/// Opens a file that is to be read as it is.
pub(super) fn open(path: &Path) -> anyhow::Result<SourceFile> {
    SourceFile::open(path).with_context(|| path.display().to_string())
}

/// Opens a memory image.
pub(crate) fn image(path: &Path) -> anyhow::Result<Image<'static>> {
    Image::open(open(path)?).with_context(|| path.display().to_string())
}
