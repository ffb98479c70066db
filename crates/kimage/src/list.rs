//! The words of a page list, as defined in Linux' `<linux/kexec.h>`: a page-aligned address and one
//! tag.
//!
//! ```text
//!   head = list frame 0 | INDIRECTION
//!
//!   list frame 0                      list frame 1
//!   0x100000 | DESTINATION            source | SOURCE
//!   source   | SOURCE                 0x800000 | DESTINATION
//!   source   | SOURCE                 source | SOURCE
//!   ... 511 words                     DONE
//!   list frame 1 | INDIRECTION  --->
//! ```

use phys::{PAGE_SIZE, Pfn};

use crate::frames::WORDS;

/// The address is where the next source page goes.
pub const DESTINATION: u64 = 1;
/// The address is that of the next list frame.
pub const INDIRECTION: u64 = 2;
/// The list ends.
pub const DONE: u64 = 4;
/// The address is a source page; the destination moves on by a page.
pub const SOURCE: u64 = 8;

/// The bits of a word that are not address.
pub const TAG_MASK: u64 = PAGE_SIZE - 1;

/// Words in a list frame before the link to the next one.
pub(crate) const LINK: usize = WORDS - 1;

/// The number of list frames for this many words, links not counted.
#[inline]
pub(crate) const fn frames_for(words: u64) -> u64 {
    words.div_ceil(LINK as u64)
}

/// The number of the list frame that holds the word with this number, links not counted.
#[inline]
pub(crate) const fn frame_of(position: u64) -> u64 {
    position / LINK as u64
}

/// The index of that word in its list frame.
#[inline]
#[expect(clippy::cast_possible_truncation, reason = "a remainder below 512")]
pub(crate) const fn place(position: u64) -> usize {
    (position % LINK as u64) as usize
}

/// The page-aligned address in a word.
#[inline]
#[must_use]
pub const fn address(word: u64) -> u64 {
    word & !TAG_MASK
}

/// The word of a frame with a tag.
#[inline]
pub(crate) const fn word(frame: Pfn, tag: u64) -> u64 {
    frame.address().get() | tag
}

/// The frame in a word that has exactly this tag.
#[inline]
pub(crate) const fn frame(word: u64, tag: u64) -> Option<Pfn> {
    if word & TAG_MASK == tag { Pfn::starting_at(address(word)) } else { None }
}

#[cfg(test)]
mod tests {
    use abi::page_list;

    #[test]
    fn the_tags_are_those_that_the_relocator_walks() {
        let ours = [super::DESTINATION, super::INDIRECTION, super::DONE, super::SOURCE];
        let theirs = [page_list::DESTINATION, page_list::INDIRECTION, page_list::DONE, page_list::SOURCE];
        assert_eq!(ours, theirs);
        assert_eq!((super::LINK + 1, phys::PAGE_SIZE), (page_list::WORDS_PER_PAGE, page_list::PAGE_SIZE));
    }
}
