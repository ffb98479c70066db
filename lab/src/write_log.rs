//! What a machine wrote to a disk, in order: the disk after a power cut at any moment.
//!
//! QEMU's `blklogwrites` records it, in the format of the kernel's `dm-log-writes`: a sector that
//! describes the log, then for each write a sector that describes it, and the data.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use crate::{Error, Result};

const SECTOR: u64 = 512;
const MAGIC: u64 = 0x6a_7366_7773_6872;
const FLUSH: u64 = 1;
const DISCARD: u64 = 4;

/// The writes to a disk.
#[derive(Debug)]
pub struct WriteLog {
    path: PathBuf,
    file: File,
    writes: Vec<Write>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Write {
    /// Where on the disk.
    offset: u64,
    bytes: u64,
    /// Where in the log.
    data: u64,
    /// How many writes before this one a flush has put on the disk for good.
    flushed: usize,
}

impl WriteLog {
    /// Reads the log that [`Vm::recorded_disk`](crate::Vm::recorded_disk) names.
    ///
    /// # Errors
    /// It cannot be read, or is not such a log.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(Error::file("read", path))?;
        let writes = writes(&file).map_err(Error::file("read", path))?;
        Ok(Self { path: path.to_owned(), file, writes })
    }

    /// The number of writes.
    #[must_use]
    pub fn count(&self) -> usize {
        self.writes.len()
    }

    /// The writes from this offset of the disk on: their places among all writes, from 1.
    pub fn at(&self, offset: u64) -> impl Iterator<Item = usize> {
        (1..).zip(&self.writes).filter(move |(_, write)| write.offset == offset).map(|(place, _)| place)
    }

    /// Makes of a disk without these writes the disk after a power cut right after this many. Of
    /// those since the last flush, only the last one reached the disk.
    ///
    /// # Errors
    /// The log cannot be read, or the disk not be written.
    pub fn cut_after(&self, count: usize, disk: &Path) -> Result<()> {
        let to = File::options().write(true).open(disk).map_err(Error::file("write", disk))?;
        let Some((last, _)) = self.writes[..count].split_last() else { return Ok(()) };
        for write in self.writes[..last.flushed].iter().chain([last]) {
            let size = usize::try_from(write.bytes).unwrap_or(usize::MAX);
            let mut data = vec![0; size];
            self.file.read_exact_at(&mut data, write.data).map_err(Error::file("read", &self.path))?;
            to.write_all_at(&data, write.offset).map_err(Error::file("write", disk))?;
        }
        Ok(())
    }
}

/// The descriptions of all writes. The data is left where it is.
fn writes(file: &File) -> std::io::Result<Vec<Write>> {
    let wrong = || std::io::Error::other("not a log of writes with sectors of 512 bytes");
    let end = file.metadata()?.len();
    let words = |at| -> std::io::Result<[u64; 4]> {
        let mut bytes = [0; 32];
        file.read_exact_at(&mut bytes, at)?;
        Ok(std::array::from_fn(|n| u64::from_le_bytes(std::array::from_fn(|byte| bytes[n * 8 + byte]))))
    };
    let [magic, version, _, sector] = words(0)?;
    if magic != MAGIC || version != 1 || sector & 0xffff_ffff != SECTOR || end < SECTOR {
        return Err(wrong());
    }
    let (mut at, mut flushed, mut writes) = (SECTOR, 0, Vec::new());
    // The number of entries may be out of date where the machine was killed.
    while at + SECTOR <= end {
        let [place, sectors, flags, _] = words(at)?;
        at += SECTOR;
        if flags & FLUSH != 0 {
            flushed = writes.len();
        }
        if flags & DISCARD != 0 || sectors == 0 {
            continue;
        }
        let bytes = sectors.checked_mul(SECTOR).filter(|bytes| *bytes <= end - at).ok_or_else(wrong)?;
        let offset = place.checked_mul(SECTOR).ok_or_else(wrong)?;
        writes.push(Write { offset, bytes, data: at, flushed });
        at += bytes;
    }
    Ok(writes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log of these entries: sector, bytes of data, flags.
    fn log(entries: &[(u64, &[u8], u64)]) -> Vec<u8> {
        let mut log = vec![0; 512];
        log[..8].copy_from_slice(&MAGIC.to_le_bytes());
        log[8..16].copy_from_slice(&1u64.to_le_bytes());
        log[24..28].copy_from_slice(&512u32.to_le_bytes());
        for (sector, data, flags) in entries {
            let mut head = vec![0; 512];
            head[..8].copy_from_slice(&sector.to_le_bytes());
            head[8..16].copy_from_slice(&(data.len() as u64 / 512).to_le_bytes());
            head[16..24].copy_from_slice(&flags.to_le_bytes());
            log.extend(head);
            log.extend(*data);
        }
        log
    }

    fn file(name: &str, bytes: &[u8]) -> PathBuf {
        let path = std::env::temp_dir().join(format!("lab-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        path
    }

    #[test]
    fn a_power_cut_loses_what_was_not_flushed_but_the_last_write() {
        let written = file(
            "writes",
            &log(&[
                (0, &[1; 512], 0),
                (1, &[2; 1024], 0),
                (0, &[], FLUSH),
                (2, &[3; 512], 0),
                (0, &[4; 512], 0),
            ]),
        );
        let log = WriteLog::open(&written).unwrap();
        assert_eq!((log.count(), log.at(0).collect::<Vec<_>>()), (4, vec![1, 4]));
        for (count, sectors) in
            [(0, [0, 0, 0]), (1, [1, 0, 0]), (2, [0, 2, 2]), (3, [1, 2, 3]), (4, [4, 2, 2])]
        {
            let disk = file("disk", &[0; 1536]);
            log.cut_after(count, &disk).unwrap();
            let found = std::fs::read(&disk).unwrap();
            assert_eq!([found[0], found[512], found[1024]], sectors, "{count}");
            std::fs::remove_file(disk).unwrap();
        }
        std::fs::remove_file(written).unwrap();
    }

    #[test]
    fn a_log_that_is_cut_short_or_something_else_is_refused() {
        let whole = log(&[(0, &[1; 1024], 0)]);
        for bytes in [&whole[..whole.len() - 512], &[0; 512], &whole[..100]] {
            let path = file("wrong", bytes);
            assert!(WriteLog::open(&path).is_err());
            std::fs::remove_file(path).unwrap();
        }
    }
}
