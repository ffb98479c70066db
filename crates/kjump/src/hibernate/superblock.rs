//! The superblocks of file systems, read without mounting: whether one was mounted or changed since
//! a kernel was hibernated that has it mounted.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use hibernation::FileSystem;

/// A kind of file system whose superblock changes when it is mounted.
struct Kind {
    name: &'static str,
    /// Where the superblock is, and its size.
    place: (u64, usize),
    /// Offset in the superblock, and bytes.
    magic: (usize, &'static [u8]),
    /// Offset of the UUID in the superblock.
    uuid: usize,
}

const KINDS: [Kind; 3] = [
    Kind { name: "ext4", place: (1024, 1024), magic: (56, &[0x53, 0xef]), uuid: 104 },
    Kind { name: "xfs", place: (0, 512), magic: (0, b"XFSB"), uuid: 32 },
    Kind { name: "btrfs", place: (65536, 4096), magic: (64, b"_BHRfS_M"), uuid: 32 },
];

/// The file systems on all disks and partitions.
pub(super) fn file_systems() -> Vec<FileSystem> {
    let mut found: Vec<_> = machine::disk::names()
        .iter()
        .filter_map(|name| read(Path::new("/dev").join(name).as_path()))
        .collect();
    found.sort_by(|a, b| a.name.cmp(&b.name));
    // The halves of a mirror have the same superblock.
    found.dedup_by(|a, b| a == b);
    found
}

fn read(path: &Path) -> Option<FileSystem> {
    let file = File::open(path).ok()?;
    KINDS.iter().find_map(|kind| kind.on(&file))
}

impl Kind {
    fn on(&self, file: &File) -> Option<FileSystem> {
        let mut block = vec![0; self.place.1];
        file.read_exact_at(&mut block, self.place.0).ok()?;
        self.parse(&block)
    }

    fn parse(&self, block: &[u8]) -> Option<FileSystem> {
        let (at, magic) = self.magic;
        if block.get(at..at + magic.len())? != magic {
            return None;
        }
        let uuid: String =
            block.get(self.uuid..self.uuid + 16)?.iter().map(|byte| format!("{byte:02x}")).collect();
        Some(FileSystem { name: format!("{} {uuid}", self.name), digest: hibernation::digest(block) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_superblock_is_known_by_its_magic_and_every_byte_of_it_counts() {
        let mut block = vec![0; 1024];
        assert_eq!(KINDS[0].parse(&block), None);
        block[56..58].copy_from_slice(&[0x53, 0xef]);
        block[104..120].fill(0xab);
        let first = KINDS[0].parse(&block).unwrap();
        assert_eq!(first.name, format!("ext4 {}", "ab".repeat(16)));
        block[0x34] += 1;
        let mounted = KINDS[0].parse(&block).unwrap();
        assert!(mounted.name == first.name && mounted.digest != first.digest);
        assert_eq!(KINDS[1].parse(&block[..3]), None);
    }
}
