//! Initrds: archives of the cpio format "newc", one after the other, each as it is or compressed
//! (`Documentation/driver-api/early-userspace/buffer-format.rst`).

use crate::Compression;

/// Bytes of an entry's header: a magic number and 13 numbers of 8 hexadecimal digits.
const HEADER: usize = 110;
const MAGICS: [&[u8]; 2] = [b"070701", b"070702"];
/// The name of the entry that ends an archive.
const TRAILER: &[u8] = b"TRAILER!!!\0";

/// The same archives without compression, at most `limit` bytes. `None` if none is compressed, or
/// if something is not understood: then the kernel gets what it was to get.
#[must_use]
pub fn without_compression(initrd: &[u8], limit: u64) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    let mut rest = initrd;
    let mut was_compressed = false;
    loop {
        // The kernel skips zeros between archives.
        rest = rest.get(rest.iter().position(|&byte| byte != 0).unwrap_or(rest.len())..)?;
        if rest.is_empty() {
            return was_compressed.then_some(plain);
        }
        // Each archive starts at a multiple of 4 bytes.
        plain.resize(plain.len().next_multiple_of(4), 0);
        let room = limit.checked_sub(plain.len() as u64)?;
        let after = match archive_size(rest) {
            Some(size) => {
                let (archive, after) = rest.split_at_checked(size)?;
                if size as u64 > room {
                    return None;
                }
                plain.extend_from_slice(archive);
                after
            }
            None => {
                let (bytes, after) = Compression::recognise(rest)?.decompress_part(rest, room).ok()?;
                was_compressed = true;
                // The kernel does not decompress what is inside.
                is_plain(&bytes).then(|| plain.extend_from_slice(&bytes))?;
                after?
            }
        };
        if after.len() >= rest.len() {
            return None;
        }
        rest = after;
    }
}

/// Whether there is at least one archive, and nothing else.
fn is_plain(mut bytes: &[u8]) -> bool {
    let mut count = 0;
    loop {
        let start = bytes.iter().position(|&byte| byte != 0).unwrap_or(bytes.len());
        bytes = bytes.get(start..).unwrap_or(&[]);
        if bytes.is_empty() {
            return count > 0;
        }
        match archive_size(bytes).and_then(|size| bytes.get(size..)) {
            Some(rest) => bytes = rest,
            None => return false,
        }
        count += 1;
    }
}

/// Bytes of the archive that starts here, with its trailer.
fn archive_size(bytes: &[u8]) -> Option<usize> {
    let mut at = 0_usize;
    loop {
        let header = bytes.get(at..)?.get(..HEADER)?;
        if !MAGICS.iter().any(|magic| header.starts_with(magic)) {
            return None;
        }
        let (size, name_size) = (number(header, 6)?, number(header, 11)?);
        let name_at = at.checked_add(HEADER)?;
        let data_at = name_at.checked_add(name_size)?.checked_next_multiple_of(4)?;
        if bytes.get(name_at..)?.get(..name_size)? == TRAILER {
            return Some(data_at.min(bytes.len()));
        }
        at = data_at.checked_add(size)?.checked_next_multiple_of(4)?;
    }
}

/// One of the 13 numbers of a header.
fn number(header: &[u8], index: usize) -> Option<usize> {
    let digits = header.get(6 + index * 8..)?.get(..8)?;
    usize::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use proptest::prelude::*;

    fn entry(name: &str, data: &[u8]) -> Vec<u8> {
        let mut fields = [0; 13];
        (fields[6], fields[11]) = (data.len(), name.len() + 1);
        let mut entry = b"070701".to_vec();
        entry.extend(fields.iter().flat_map(|field| format!("{field:08x}").into_bytes()));
        entry.extend([name.as_bytes(), b"\0"].concat());
        entry.resize(entry.len().next_multiple_of(4), 0);
        entry.extend_from_slice(data);
        entry.resize(entry.len().next_multiple_of(4), 0);
        entry
    }

    fn archive(name: &str) -> Vec<u8> {
        [entry(name, b"12345"), entry("TRAILER!!!", b"")].concat()
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn compressed_archives_are_unpacked_in_their_places() {
        let (early, main) = (archive("microcode"), archive("init"));
        let initrd = [early.clone(), vec![0; 512], gzip(&main), vec![0; 3], early.clone()].concat();
        let plain = without_compression(&initrd, 1 << 20).unwrap();
        assert_eq!(plain, [early.clone(), main, early].concat());
    }

    #[test]
    fn what_is_not_compressed_or_not_understood_stays_as_it_is() {
        let main = archive("init");
        assert_eq!(without_compression(&main, 1 << 20), None);
        assert_eq!(without_compression(&[gzip(&main), b"#BOOTCONFIG\n".to_vec()].concat(), 1 << 20), None);
        assert_eq!(without_compression(&gzip(b"a file system"), 1 << 20), None);
        let nested = gzip(&[main.clone(), gzip(&main)].concat());
        assert_eq!(without_compression(&nested, 1 << 20), None);
        assert_eq!(without_compression(&gzip(&main)[..20], 1 << 20), None);
        assert_eq!(without_compression(&gzip(&main), main.len() as u64 - 1), None);
        assert!(without_compression(&gzip(&main), main.len() as u64).is_some());
        assert_eq!(without_compression(&[], 1 << 20), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_unpacked_or_not(mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = without_compression(&bytes, 1 << 16);
            let start = archive("x");
            bytes.splice(0..0, start.get(..100).unwrap_or(&[]).iter().copied());
            let _ = without_compression(&bytes, 1 << 16);
        }
    }
}
