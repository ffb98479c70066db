//! Files that images are read from.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::ops::Range;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use sys::holes;
use sys::window::{self, Window};
use vmcore::{MemoryImage, ReadAt, Vmcoreinfo};

/// A file, opened once.
pub(crate) struct SourceFile {
    file: File,
    length: u64,
    mode: ReadMode,
}

/// The best way to read a file.
enum ReadMode {
    Plainly,
    /// Reading /proc/vmcore maps and unmaps each page in the kernel; large mappings are thirty
    /// times as fast. The windows that were used last, in order of use.
    ByWindows(Mutex<Vec<(u64, Arc<Window>)>>),
    /// The last hole that was found.
    AroundHoles(Mutex<Range<u64>>),
}

/// Size of a window in bytes.
const WINDOW: u64 = 16 << 20;
/// Windows to keep: one for each of a few threads, and the same number for page tables and page
/// structures.
const WINDOWS: usize = 12;

impl SourceFile {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        // The metadata of a disk has no length; its end has.
        let length = match metadata.len() {
            0 => file.seek(SeekFrom::End(0))?,
            length => length,
        };
        let mode = if window::is_of_the_kernel(&file) {
            ReadMode::ByWindows(Mutex::default())
        } else if metadata.is_file() && metadata.blocks() < length / 512 {
            ReadMode::AroundHoles(Mutex::new(0..0))
        } else {
            ReadMode::Plainly
        };
        Ok(Self { file, length, mode })
    }

    /// The window with this number, mapped if necessary; `None` if it cannot be mapped, as parts of
    /// /proc/kcore.
    fn window(&self, windows: &Mutex<Vec<(u64, Arc<Window>)>>, number: u64) -> Option<Arc<Window>> {
        let mut windows = windows.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match windows.iter().position(|(known, _)| *known == number) {
            Some(place) => windows.remove(place).1,
            None => {
                let length = WINDOW.min(self.length - number * WINDOW);
                Arc::new(Window::map(&self.file, number * WINDOW, usize::try_from(length).ok()?).ok()?)
            }
        };
        if windows.len() == WINDOWS {
            windows.remove(0);
        }
        windows.push((number, Arc::clone(&found)));
        Some(found)
    }

    /// Whether `count` bytes at `offset` are in a hole of the file.
    fn is_hole(&self, hole: &Mutex<Range<u64>>, offset: u64, count: usize) -> bool {
        let mut hole = hole.lock().unwrap_or_else(PoisonError::into_inner);
        let end = offset.saturating_add(count as u64);
        if hole.start <= offset && end <= hole.end {
            return true;
        }
        if end > self.length {
            return false;
        }
        // A hole that ends before the read does is not remembered: small holes would cost a system
        // call for each read.
        match holes::hole_at(&self.file, offset, self.length) {
            Ok(found) if end <= found.end => {
                *hole = found;
                true
            }
            _ => false,
        }
    }
}

impl ReadAt for SourceFile {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.mode {
            ReadMode::ByWindows(windows) if offset < self.length => {
                if let Some(window) = self.window(windows, offset / WINDOW) {
                    let inside = usize::try_from(offset % WINDOW).unwrap_or(usize::MAX);
                    return Ok(window.copy(inside, buffer));
                }
            }
            ReadMode::AroundHoles(hole) if self.is_hole(hole, offset, buffer.len()) => {
                buffer.fill(0);
                return Ok(buffer.len());
            }
            _ => {}
        }
        self.file.read_at(buffer, offset)
    }
}

/// Whether this is the memory of the running machine.
pub(super) fn is_live(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name == "kcore")
        && File::open(path).is_ok_and(window::is_of_the_kernel)
}

/// Opens a file.
pub(super) fn open(path: &Path) -> anyhow::Result<SourceFile> {
    SourceFile::open(path).with_context(|| path.display().to_string())
}

/// Opens a memory image.
pub(crate) fn image(path: &Path) -> anyhow::Result<MemoryImage<'static>> {
    MemoryImage::open(open(path)?).with_context(|| path.display().to_string())
}

/// The image with these lines added to its VMCOREINFO, if there are any.
pub(super) fn with_vmcoreinfo<'a>(image: MemoryImage<'a>, vmcoreinfo: Option<&[u8]>) -> MemoryImage<'a> {
    let Some(text) = vmcoreinfo else { return image };
    let own = image.vmcoreinfo().unwrap_or_default();
    image.with_vmcoreinfo(Vmcoreinfo::parse(text).as_booted(&own).to_text().as_bytes())
}

/// Opens a memory image, or the files of a split set as one.
pub(super) fn set(paths: &[PathBuf]) -> anyhow::Result<MemoryImage<'static>> {
    match paths {
        [path] => image(path),
        _ => {
            let files = paths.iter().map(|path| open(path)).collect::<anyhow::Result<Vec<_>>>()?;
            Ok(MemoryImage::open_set(files)?)
        }
    }
}
