use std::borrow::Cow;

use phys::{PAGE_SIZE, PhysRange};

use crate::{Error, Segment};

/// A file with one or more archives of the initial file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Initrd<'a> {
    /// Its name in messages.
    pub name: &'a str,
    /// The file.
    pub bytes: &'a [u8],
}

/// Up to this number, initrds are loaded from where they are; more are copied into one segment.
const APART: usize = 8;

/// The last bytes of an initrd with a bootconfig, after the text, its size and its checksum.
const BOOTCONFIG: &[u8] = b"#BOOTCONFIG\n";
/// Bytes of the size and of the checksum.
const BOOTCONFIG_NUMBERS: usize = 8;

/// The initrds with the bootconfig of one of them after all others: a kernel looks for it at the
/// very end of its initrd, and there alone (`get_boot_config_from_initrd`, `init/main.c`).
///
/// # Errors
/// [`Error::TwoBootconfigs`] if several have one.
pub fn with_bootconfig_last<'a>(initrds: &[Initrd<'a>]) -> Result<Vec<Initrd<'a>>, Error> {
    let mut arranged = initrds.to_vec();
    let mut last: Option<Initrd<'a>> = None;
    for initrd in &mut arranged {
        let Some((archive, bootconfig)) = split_bootconfig(initrd.bytes) else { continue };
        if let Some(first) = last.replace(Initrd { bytes: bootconfig, ..*initrd }) {
            return Err(Error::TwoBootconfigs { first: first.name.into(), second: initrd.name.into() });
        }
        initrd.bytes = archive;
    }
    arranged.retain(|initrd| !initrd.bytes.is_empty());
    match last {
        None => Ok(initrds.to_vec()),
        // It is where it was: nothing comes apart.
        Some(_) if initrds.last().is_some_and(|last| split_bootconfig(last.bytes).is_some()) => {
            Ok(initrds.to_vec())
        }
        Some(bootconfig) => {
            arranged.push(bootconfig);
            Ok(arranged)
        }
    }
}

/// The archives of an initrd, and the bootconfig at its end. Boot loaders pad to 4 bytes.
fn split_bootconfig(initrd: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = (0..4).find_map(|pad| {
        let (rest, _) = initrd.split_at_checked(initrd.len().checked_sub(pad)?)?;
        rest.ends_with(BOOTCONFIG).then_some(rest)
    })?;
    let numbers_at = end.len().checked_sub(BOOTCONFIG.len() + BOOTCONFIG_NUMBERS)?;
    let size = end.get(numbers_at..)?.first_chunk().map(|&size| u32::from_le_bytes(size))?;
    end.split_at_checked(numbers_at.checked_sub(usize::try_from(size).ok()?)?)
}

pub(crate) fn check(initrds: &[Initrd<'_>]) -> Result<(), Error> {
    match initrds.iter().find(|initrd| initrd.bytes.is_empty()) {
        None => Ok(()),
        Some(initrd) => Err(Error::EmptyInitrd { name: initrd.name.into() }),
    }
}

/// The offset of each from the first, a multiple of the page size. The kernel skips zeros between
/// archives (`unpack_to_rootfs`, `init/initramfs.c`).
pub(crate) fn offsets(initrds: &[Initrd<'_>]) -> impl Iterator<Item = u64> {
    initrds.iter().scan(0_u64, |next, initrd| {
        let offset = *next;
        *next += pages(initrd);
        Some(offset)
    })
}

/// The size of a file in whole pages.
const fn pages(initrd: &Initrd<'_>) -> u64 {
    (initrd.bytes.len() as u64).next_multiple_of(PAGE_SIZE)
}

/// Bytes from the start of the first to the end of the last.
pub(crate) fn bytes(initrds: &[Initrd<'_>]) -> u64 {
    offsets(initrds).zip(initrds).last().map_or(0, |(offset, last)| offset + last.bytes.len() as u64)
}

/// Bytes of the place that they need, if there are any.
pub(crate) fn size(initrds: &[Initrd<'_>]) -> Option<u64> {
    (!initrds.is_empty()).then(|| bytes(initrds))
}

pub(crate) fn segments<'a>(initrds: &[Initrd<'a>], address: u64) -> Vec<Segment<'a>> {
    let segment = |offset, bytes: Cow<'a, [u8]>| {
        let range = PhysRange::around_bytes(address + offset, bytes.len() as u64).ok()?;
        Some(Segment { name: "initrd", range, bytes })
    };
    if initrds.len() > APART {
        return segment(0, Cow::Owned(joined(initrds))).into_iter().collect();
    }
    let each = offsets(initrds).zip(initrds);
    each.filter_map(|(offset, initrd)| segment(offset, Cow::Borrowed(initrd.bytes))).collect()
}

fn joined(initrds: &[Initrd<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for initrd in initrds {
        bytes.resize(bytes.len().next_multiple_of(4096), 0);
        bytes.extend_from_slice(initrd.bytes);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_and_many_initrds_make_the_same_memory() {
        let files: Vec<Vec<u8>> = (1..=APART + 1).map(|size| vec![0xaa; size * 1500]).collect();
        let initrds: Vec<_> = files.iter().map(|bytes| Initrd { name: "it", bytes }).collect();
        let (few, many) = (&initrds[..APART], initrds.as_slice());
        for initrds in [few, many] {
            let segments = segments(initrds, 0x10_0000);
            assert_eq!(segments.len(), if initrds.len() > APART { 1 } else { APART });
            let mut memory = vec![0; usize::try_from(size(initrds).unwrap()).unwrap()];
            for segment in segments {
                let offset = usize::try_from(segment.range.start().get() - 0x10_0000).unwrap();
                memory[offset..offset + segment.bytes.len()].copy_from_slice(&segment.bytes);
            }
            assert_eq!(memory, joined(initrds));
        }
        assert_eq!(size(&[]), None);
    }

    fn with_bootconfig(archive: &[u8], text: &[u8], pad: usize) -> Vec<u8> {
        let size = u32::try_from(text.len()).unwrap().to_le_bytes();
        [archive, text, &size, &[0xcc; 4], BOOTCONFIG, &vec![0; pad]].concat()
    }

    #[test]
    fn a_bootconfig_stays_at_the_very_end() {
        let first = with_bootconfig(b"070701 archive", b"kernel.quiet\n", 3);
        let initrds = [Initrd { name: "first", bytes: &first }, Initrd { name: "second", bytes: b"more" }];
        let arranged = with_bootconfig_last(&initrds).unwrap();
        assert_eq!(
            arranged.iter().map(|initrd| initrd.name).collect::<Vec<_>>(),
            ["first", "second", "first"]
        );
        assert_eq!(arranged[0].bytes, b"070701 archive");
        assert!(arranged[2].bytes.starts_with(b"kernel.quiet\n") && arranged[2].bytes.ends_with(BOOTCONFIG));
        let others = [initrds[1], initrds[0]];
        assert_eq!(with_bootconfig_last(&others).unwrap(), others);
        assert_eq!(with_bootconfig_last(&initrds[1..]).unwrap(), initrds[1..]);
        let text = with_bootconfig_last(&[initrds[0], initrds[0]]).unwrap_err().to_string();
        assert_eq!(text, "initrds first and first both end in a bootconfig, and a kernel reads only one");
    }

    #[test]
    fn a_bootconfig_that_is_damaged_is_not_one() {
        let whole = with_bootconfig(b"", b"text", 0);
        assert_eq!(split_bootconfig(&whole), Some((b"".as_slice(), whole.as_slice())));
        for start in 1..whole.len() {
            assert_eq!(split_bootconfig(&whole[start..]), None);
        }
        let huge = [&u32::MAX.to_le_bytes(), &[0; 4], BOOTCONFIG].concat();
        assert_eq!(split_bootconfig(&huge), None);
    }
}
