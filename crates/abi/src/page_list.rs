//! The page list: a chain of tagged words that the relocator walks.
//!
//! A word is the physical address of a page with a tag in its low bits, as in Linux
//! (`include/linux/kexec.h`, `IND_*`). The list starts with one word, the *head*.

/// The page at this address is the next destination; each source moves it on by one page.
pub const DESTINATION: u64 = 1;
/// The list goes on in the page at this address.
pub const INDIRECTION: u64 = 2;
/// The list ends here.
pub const DONE: u64 = 4;
/// The page at this address is the source for the current destination.
pub const SOURCE: u64 = 8;
/// Bytes in a page, and the alignment of every address in the list.
pub const PAGE_SIZE: u64 = 4096;
/// Tagged words in one page of the list.
pub const WORDS_PER_PAGE: usize = 512;

const _: () = assert!(WORDS_PER_PAGE as u64 * 8 == PAGE_SIZE);
