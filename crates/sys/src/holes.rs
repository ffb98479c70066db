//! Where a sparse file has data.

use std::io;
use std::ops::Range;
use std::os::fd::AsFd;

use rustix::fs::{SeekFrom, fstat, seek};
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

/// The number of bytes of a file that are not in holes. If it has more than 65,536 parts with data,
/// the rest counts as data, but at most 16 times what the file system has allocated for the file.
///
/// # Errors
/// The file system does not report holes.
pub fn stored(file: impl AsFd, length: u64) -> io::Result<u64> {
    /// Each takes two system calls.
    const MOST_PARTS: u32 = 1 << 16;
    let (mut bytes, mut at) = (0, 0);
    for _ in 0..MOST_PARTS {
        at = hole_at(&file, at, length)?.end;
        if at >= length {
            return Ok(bytes);
        }
        let end = seek(&file, SeekFrom::Hole(at))?.min(length);
        bytes += end - at;
        at = end;
    }
    let allocated = u64::try_from(fstat(&file)?.st_blocks).unwrap_or(0).saturating_mul(512);
    Ok(bytes + allocated.saturating_mul(16).min(length - at))
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

    #[test]
    fn holes_are_not_stored() {
        let path = std::env::temp_dir().join(format!("kjump-stored-{}", std::process::id()));
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(1 << 40).unwrap();
        assert_eq!(stored(&file, 1 << 40).unwrap(), 0);
        file.write_all_at(&[1; 100], 0).unwrap();
        file.write_all_at(&[1; 100], 1 << 30).unwrap();
        // Blocks are stored as a whole.
        let bytes = stored(&file, 1 << 40).unwrap();
        assert!((200..2 << 20).contains(&bytes), "{bytes}");
        file.set_len(50).unwrap();
        assert_eq!(stored(&file, 50).unwrap(), 50);
        std::fs::remove_file(path).unwrap();
    }
}
