//! The disk in a file: floppy or hard, and its geometry.
//!
//! The boot sector ends with the bytes 55 aa. A partition table (IBM's of 1983) stands at 446, a
//! BIOS parameter block (Microsoft's "FAT: General Overview of On-Disk Format") at 11. Both are
//! the file's, and nothing in them is trusted.

use abi::{Field, Number};

/// Bytes of a sector.
pub const SECTOR: u64 = abi::bios::disk::SECTOR as u64;

/// What the BIOS takes it for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Disk 0.
    Floppy,
    /// Disk 0x80.
    HardDisk,
}

/// A disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Disk {
    /// Floppy or hard.
    pub kind: Kind,
    /// Sectors in all.
    pub sectors: u64,
    /// Cylinders, 1 to 1024; a larger disk has more than they reach.
    pub cylinders: u32,
    /// Heads, 1 to 255.
    pub heads: u16,
    /// Sectors of a track, 1 to 63.
    pub track: u16,
    /// The type of a floppy disk drive, as INT 13h 08h returns it; 0 for a hard disk.
    pub floppy_type: u8,
}

/// Why a file is not a disk that can be run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// The size.
    #[error(
        "it has {0} bytes, and a disk has whole sectors of 512; append zeros with `truncate -s %512 FILE`"
    )]
    Size(u64),
    /// Nothing in it.
    #[error("it is empty")]
    Empty,
    /// More than a disk's number of sectors can name.
    #[error("it has {0} bytes, and the largest disk has 2 TiB")]
    TooLarge(u64),
    /// The signature.
    #[error(
        "its first sector is not a boot sector: bytes 510 and 511 are {0:02x} {1:02x}, and not 55 aa; a \
         kernel or a program is not a disk"
    )]
    Signature(u8, u8),
    /// The kind.
    #[error("it has {0} bytes, and a floppy disk at most 3932160; use --as hard-disk")]
    Floppy(u64),
}

/// Sectors, sectors of a track, heads and drive type of floppy disks.
const FLOPPIES: [(u64, u16, u16, u8); 10] = [
    (320, 8, 1, 1),
    (360, 9, 1, 1),
    (640, 8, 2, 1),
    (720, 9, 2, 1),
    (1440, 9, 2, 3),
    (2400, 15, 2, 2),
    (2880, 18, 2, 4),
    (3360, 21, 2, 4),
    (3444, 21, 2, 4),
    (5760, 36, 2, 5),
];
/// Most bytes of a floppy disk: 80 cylinders of two tracks of 48 sectors, more than any drive has.
const FLOPPY_MOST: u64 = 80 * 2 * 48 * SECTOR;
/// Most cylinders that INT 13h can name.
const CYLINDERS: u64 = 1024;

impl Disk {
    /// The disk in a file of this size, which starts with these bytes.
    ///
    /// # Errors
    /// Every [`Unfit`].
    pub fn of(first: &[u8], bytes: u64, wanted: Option<Kind>) -> Result<Self, Unfit> {
        if bytes == 0 {
            return Err(Unfit::Empty);
        }
        if !bytes.is_multiple_of(SECTOR) {
            return Err(Unfit::Size(bytes));
        }
        let sectors = bytes / SECTOR;
        if u32::try_from(sectors).is_err() {
            return Err(Unfit::TooLarge(bytes));
        }
        let [at_510, at_511] = [510, 511].map(|at| first.get(at).copied().unwrap_or(0));
        if (at_510, at_511) != (0x55, 0xaa) {
            return Err(Unfit::Signature(at_510, at_511));
        }
        let known = FLOPPIES.iter().find(|floppy| floppy.0 == sectors);
        match wanted.unwrap_or(if known.is_some() { Kind::Floppy } else { Kind::HardDisk }) {
            Kind::Floppy if bytes > FLOPPY_MOST => Err(Unfit::Floppy(bytes)),
            Kind::Floppy => {
                let own = parameters(first).map(|(track, heads)| (sectors, track, heads, 4));
                let (_, track, heads, floppy_type) = known.copied().or(own).unwrap_or((sectors, 18, 2, 4));
                Ok(Self { floppy_type, ..Self::new(Kind::Floppy, sectors, heads, track) })
            }
            Kind::HardDisk => {
                let (track, heads) = partitions(first).or_else(|| parameters(first)).unwrap_or((63, 255));
                Ok(Self::new(Kind::HardDisk, sectors, heads, track))
            }
        }
    }

    fn new(kind: Kind, sectors: u64, heads: u16, track: u16) -> Self {
        let cylinders = (sectors / (u64::from(heads) * u64::from(track))).clamp(1, CYLINDERS);
        let cylinders = u32::try_from(cylinders).unwrap_or(1);
        Self { kind, sectors, cylinders, heads, track, floppy_type: 0 }
    }

    /// The BIOS's number of the disk.
    #[must_use]
    pub const fn drive(&self) -> u8 {
        match self.kind {
            Kind::Floppy => 0,
            Kind::HardDisk => 0x80,
        }
    }
}

/// Sectors of a track and heads, if they are possible.
fn possible(track: u16, heads: u16) -> Option<(u16, u16)> {
    ((1..=63).contains(&track) && (1..=255).contains(&heads)).then_some((track, heads))
}

fn field<T: Number>(bytes: &[u8], offset: usize) -> T {
    Field::at(offset).read(bytes).unwrap_or_default()
}

/// By the BIOS parameter block, if its sectors have 512 bytes.
fn parameters(first: &[u8]) -> Option<(u16, u16)> {
    let is_block = field::<u16>(first, 11) == 512 && matches!(field::<u8>(first, 0), 0xeb | 0xe9);
    possible(field(first, 24), field(first, 26)).filter(|_| is_block)
}

/// By the last sector of the partitions, which as a rule ends a cylinder.
fn partitions(first: &[u8]) -> Option<(u16, u16)> {
    const TABLE: usize = 446;
    const ENTRY: usize = 16;
    let entries = first.get(TABLE..TABLE + 4 * ENTRY)?.chunks_exact(ENTRY);
    let is_table = entries.clone().all(|entry| field::<u8>(entry, 0) & 0x7f == 0);
    let used = entries.filter(|entry| field::<u8>(entry, 4) != 0);
    let ends = used.map(|entry| (u16::from(field::<u8>(entry, 6) & 0x3f), field::<u8>(entry, 5)));
    let (track, head) = ends.max_by_key(|(_, head)| *head)?;
    // Heads 254 at 63 sectors, 15 at 63 and their like; others end in the middle of a cylinder.
    possible(track, u16::from(head) + 1).filter(|(track, heads)| is_table && *track >= 17 && *heads >= 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn boot_sector() -> Vec<u8> {
        let mut sector = vec![0; 512];
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        sector
    }

    #[test]
    fn a_size_that_floppy_disks_have_is_one() {
        let disk = Disk::of(&boot_sector(), 1_474_560, None).unwrap();
        assert_eq!((disk.kind, disk.cylinders, disk.heads, disk.track), (Kind::Floppy, 80, 2, 18));
        assert_eq!((disk.floppy_type, disk.drive()), (4, 0));
        let disk = Disk::of(&boot_sector(), 1_474_560, Some(Kind::HardDisk)).unwrap();
        assert_eq!((disk.kind, disk.drive(), disk.cylinders), (Kind::HardDisk, 0x80, 1));
    }

    #[test]
    fn the_geometry_is_that_of_the_partition_table_or_the_file_system() {
        let mut sector = boot_sector();
        let disk = Disk::of(&sector, 64 << 20, None).unwrap();
        assert_eq!((disk.kind, disk.heads, disk.track, disk.cylinders), (Kind::HardDisk, 255, 63, 8));
        sector[..3].copy_from_slice(&[0xeb, 0x58, 0x90]);
        sector[11..13].copy_from_slice(&512_u16.to_le_bytes());
        sector[24..28].copy_from_slice(&[32, 0, 64, 0]);
        let disk = Disk::of(&sector, 64 << 20, None).unwrap();
        assert_eq!((disk.heads, disk.track, disk.cylinders), (64, 32, 64));
        sector[446..462].copy_from_slice(&[0x80, 1, 1, 0, 6, 15, 63, 100, 63, 0, 0, 0, 0, 0, 1, 0]);
        let disk = Disk::of(&sector, 64 << 20, None).unwrap();
        assert_eq!((disk.heads, disk.track, disk.cylinders), (16, 63, 130));
    }

    #[test]
    fn what_is_not_a_disk_is_refused() {
        let refused = |bytes, wanted| Disk::of(&boot_sector(), bytes, wanted).unwrap_err();
        assert_eq!(refused(0, None), Unfit::Empty);
        assert_eq!(refused(1000, None), Unfit::Size(1000));
        assert_eq!(refused(1 << 41, None), Unfit::TooLarge(1 << 41));
        assert_eq!(refused(64 << 20, Some(Kind::Floppy)), Unfit::Floppy(64 << 20));
        assert_eq!(Disk::of(&[0; 512], 512, None), Err(Unfit::Signature(0, 0)));
        assert_eq!(Disk::of(&[], 512, None), Err(Unfit::Signature(0, 0)));
    }

    proptest! {
        #[test]
        fn any_boot_sector_has_a_possible_geometry(mut sector in proptest::collection::vec(any::<u8>(), 512),
            sectors in 1_u64..1 << 32) {
            sector[510..].copy_from_slice(&[0x55, 0xaa]);
            let disk = Disk::of(&sector, sectors * 512, None).unwrap();
            prop_assert!((1..=1024).contains(&disk.cylinders));
            prop_assert!((1..=255).contains(&disk.heads) && (1..=63).contains(&disk.track));
        }
    }
}
