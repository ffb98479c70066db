//! `/proc/kpageflags`: the kernel's use of each page frame (`fs/proc/page.c`,
//! `include/uapi/linux/kernel-page-flags.h`, and `Documentation/admin-guide/mm/pagemap.rst`).

use std::path::Path;

use phys::PhysRange;

use crate::Fact;
use crate::root::Root;

/// Bytes of flags for each frame.
const WORD: usize = 8;
const PAGE_SIZE: u64 = 4096;
/// The unit in which the kernel moves pages. One page that cannot be moved keeps its whole block.
const BLOCK: u64 = 2 << 20;

const FILE: &str = "/proc/kpageflags";
/// On the list of pages that can be reclaimed: used, and the kernel can move them elsewhere.
const LRU: u64 = 1 << 5;
const SLAB: u64 = 1 << 7;
/// Free.
const BUDDY: u64 = 1 << 10;
/// A process's, without a file.
const ANON: u64 = 1 << 12;
const HUGE: u64 = 1 << 17;
/// Found bad by the hardware, and not used since.
const HWPOISON: u64 = 1 << 19;
/// There is no page structure.
const NOPAGE: u64 = 1 << 20;
/// In use by a hypervisor, or unplugged.
const OFFLINE: u64 = 1 << 23;
const PGTABLE: u64 = 1 << 26;
/// Never given to the allocator: the kernel itself, and what it took at boot.
const RESERVED: u64 = 1 << 32;

/// What the kernel uses a page for, in the words of `kjump dump map` where it has one: `None` if
/// the flags do not show it.
///
/// # Errors
/// The file is missing, or this process may not read it.
pub fn owner(root: &Path, address: u64) -> Fact<Option<&'static str>> {
    let flags = Root::new(root).word(FILE, address / PAGE_SIZE * WORD as u64)?;
    Ok(flags.and_then(owner_by))
}

/// The same by the page's flags.
#[must_use]
pub fn owner_by(flags: u64) -> Option<&'static str> {
    // The first that applies. A page that a process maps from a file is one of the page cache.
    [
        (HWPOISON, Some("out of use already")),
        (NOPAGE, None),
        (BUDDY, Some("free")),
        (OFFLINE, Some("offline")),
        (RESERVED, Some("kernel")),
        (SLAB, Some("slab objects")),
        (PGTABLE, Some("page tables")),
        (HUGE, Some("huge pages")),
        (ANON, Some("processes")),
        (LRU, Some("page cache")),
    ]
    .into_iter()
    .find(|(flag, _)| flags & flag != 0)
    .and_then(|(_, name)| name)
}

/// The blocks of 2 MiB, below an address, that hold a page which the kernel cannot move elsewhere:
/// in rising order, neighbours joined. A few frames that are about to be used count among those
/// that cannot be moved.
///
/// # Errors
/// The file is missing, or this process may not read it.
pub fn pinned(root: &Path, below: u64) -> Fact<Vec<PhysRange>> {
    let bytes = usize::try_from(below / PAGE_SIZE).unwrap_or(usize::MAX).saturating_mul(WORD);
    Ok(parse(&Root::new(root).beginning(FILE, bytes)?))
}

/// Parses the flags of the first frames.
#[must_use]
pub fn parse(words: &[u8]) -> Vec<PhysRange> {
    let frames_of_block = WORD * usize::try_from(BLOCK / PAGE_SIZE).unwrap_or(1);
    let blocks = (0..).map(|number: u64| number * BLOCK).zip(words.chunks(frames_of_block));
    let pinned = blocks.filter(|(_, words)| !words.chunks_exact(WORD).all(is_movable));
    let mut ranges: Vec<PhysRange> = Vec::new();
    for range in pinned.filter_map(|(start, _)| PhysRange::from_bytes(start, BLOCK).ok()) {
        match ranges.pop() {
            Some(last) if last.end() == range.start().get() => {
                ranges.extend(PhysRange::from_bytes(last.start().get(), range.end() - last.start().get()));
            }
            last => ranges.extend(last.into_iter().chain([range])),
        }
    }
    ranges
}

fn is_movable(word: &[u8]) -> bool {
    let word = word.try_into().map_or(0, u64::from_ne_bytes);
    word & (LRU | BUDDY) != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const PER_BLOCK: usize = 512;

    fn pinned_of(words: &[u64]) -> Vec<(u64, u64)> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        parse(&bytes).iter().map(|range| (range.start().get(), range.end())).collect()
    }

    #[test]
    fn a_block_is_pinned_by_any_page_that_is_neither_free_nor_reclaimable() {
        let mut words = vec![BUDDY; 6 * PER_BLOCK];
        words[3] = LRU | 1 << 2;
        words[PER_BLOCK] = 1 << 7;
        words[3 * PER_BLOCK - 1] = 0;
        words[5 * PER_BLOCK + 7] = 1 << 32;
        assert_eq!(pinned_of(&words), [(BLOCK, 3 * BLOCK), (5 * BLOCK, 6 * BLOCK)]);
    }

    #[test]
    fn a_page_has_an_owner_if_its_flags_show_one() {
        for (flags, owner) in [
            (BUDDY, Some("free")),
            (LRU | 1 << 2 | 1 << 3, Some("page cache")),
            (LRU | ANON | 1 << 11, Some("processes")),
            (SLAB | 1 << 15, Some("slab objects")),
            (RESERVED, Some("kernel")),
            (HWPOISON | LRU, Some("out of use already")),
            (NOPAGE | RESERVED, None),
            (1 << 16, None),
            (0, None),
        ] {
            assert_eq!(owner_by(flags), owner, "{flags:#x}");
        }
    }

    #[test]
    fn the_word_of_a_page_is_the_one_of_its_frame() {
        let root = std::env::temp_dir().join(format!("kjump-flags-{}", std::process::id()));
        std::fs::create_dir_all(root.join("proc")).unwrap();
        let words: Vec<u8> = [0, BUDDY, SLAB].iter().flat_map(|word| word.to_ne_bytes()).collect();
        std::fs::write(root.join("proc/kpageflags"), &words[..23]).unwrap();
        let owner_at = |address| owner(&root, address).unwrap();
        assert_eq!([0, 0x1fff, 0x2000, 1 << 40].map(owner_at), [None, Some("free"), None, None]);
        std::fs::remove_dir_all(&root).unwrap();
        assert!(owner(&root, 0).is_err());
    }

    #[test]
    fn a_file_that_ends_early_is_used_up_to_its_end() {
        assert_eq!(pinned_of(&[]), []);
        assert_eq!(pinned_of(&[BUDDY, 0]), [(0, BLOCK)]);
        assert_eq!(parse(&[0; 7]), []);
    }
}
