//! Signatures of what a disk may contain besides a dump.

use std::io;
use std::os::unix::fs::FileExt;

/// A name, an offset on the disk, and the bytes there.
const SIGNATURES: [(&str, u64, &[u8]); 17] = [
    ("an ext2, ext3 or ext4 file system", 0x438, b"\x53\xef"),
    ("an XFS file system", 0, b"XFSB"),
    ("a Btrfs file system", 0x10040, b"_BHRfS_M"),
    ("an F2FS file system", 0x400, b"\x10\x20\xf5\xf2"),
    ("an EROFS file system", 0x400, b"\xe2\xe1\xf5\xe0"),
    ("a SquashFS file system", 0, b"hsqs"),
    ("an ISO 9660 file system", 0x8001, b"CD001"),
    ("an NTFS file system", 3, b"NTFS    "),
    ("an exFAT file system", 3, b"EXFAT   "),
    ("a FAT file system", 0x36, b"FAT"),
    ("a FAT file system", 0x52, b"FAT32"),
    ("LVM", 0x200, b"LABELONE"),
    ("an encrypted disk (LUKS)", 0, b"LUKS\xba\xbe"),
    ("a software RAID", 0x1000, b"\xfc\x4e\x2b\xa9"),
    ("swap space", 4086, b"SWAPSPACE2"),
    ("a partition table (GPT)", 0x200, b"EFI PART"),
    ("a boot sector", 0x1fe, b"\x55\xaa"),
];

/// The first known content of a disk.
///
/// # Errors
/// The disk cannot be read.
pub(super) fn find(disk: &impl FileExt) -> io::Result<Option<&'static str>> {
    let mut found = [0; 16];
    for (name, offset, bytes) in SIGNATURES {
        let found = &mut found[..bytes.len()];
        match disk.read_exact_at(found, offset) {
            Ok(()) if found == bytes => return Ok(Some(name)),
            Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
            _ => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    #[test]
    fn each_signature_is_found_and_a_dump_has_none() {
        let path = std::env::temp_dir().join(format!("kjump-signature-{}", std::process::id()));
        for (name, offset, bytes) in SIGNATURES {
            let file =
                File::options().read(true).write(true).create(true).truncate(true).open(&path).unwrap();
            file.write_all_at(b"KDUMP   ", 0).unwrap();
            assert_eq!(find(&file).unwrap(), None);
            file.write_all_at(bytes, offset).unwrap();
            assert_eq!(find(&file).unwrap(), Some(name));
        }
        std::fs::remove_file(path).unwrap();
    }
}
