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
}
