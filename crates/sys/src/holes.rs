//! Where a sparse file has data.

use std::io;
use std::ops::Range;
use std::os::fd::AsFd;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// The part of a file around or after `offset` that is a hole: it reads as zeros. Empty where
/// `offset` has data.
///
/// # Errors
/// The file system does not report holes.
pub fn hole_at(file: impl AsFd, offset: u64, length: u64) -> io::Result<Range<u64>> {
    match seek(file, SeekFrom::Data(offset)) {
        Ok(data) => Ok(offset..data.max(offset).min(length)),
        // Nothing but a hole up to the end.
        Err(Errno::NXIO) => Ok(offset..length.max(offset)),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn a_hole_ends_where_data_starts() {
        let path = std::env::temp_dir().join(format!("kjump-holes-{}", std::process::id()));
        let file = std::fs::File::create(&path).unwrap();
        file.write_all_at(&[1; 4096], 1 << 20).unwrap();
        file.set_len(3 << 20).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        // A file system without holes reports that everything is data.
        let hole = hole_at(&file, 4096, 3 << 20).unwrap();
        assert!(hole == (4096..1 << 20) || hole.is_empty());
        assert!(hole_at(&file, 1 << 20, 3 << 20).unwrap().is_empty());
        let end = hole_at(&file, 2 << 20, 3 << 20).unwrap();
        assert!(end == (2 << 20..3 << 20) || end.is_empty());
        std::fs::remove_file(path).unwrap();
    }
}
