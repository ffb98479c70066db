//! A model of the page mover: it walks a page list as the relocator's assembly does, word by word.
//!
//! The model trusts the list as the assembly does. The list of a
//! [`SealedImage`](crate::SealedImage) ends; any other may not.

use phys::{Pfn, PhysAddr};

use crate::list::{self, DESTINATION, DONE, INDIRECTION, SOURCE};

/// Physical memory.
pub trait Memory {
    /// Reads the word at an address that is a multiple of 8.
    fn word(&mut self, address: PhysAddr) -> u64;

    /// Copies a page.
    fn copy(&mut self, destination: Pfn, source: Pfn);

    /// Exchanges two pages.
    fn exchange(&mut self, destination: Pfn, source: Pfn);
}

/// Copies every source page to its destination, for a one-way kexec. Returns the number of pages
/// copied.
pub fn copy(head: u64, memory: &mut impl Memory) -> u64 {
    walk(head, memory, |memory, destination, source| memory.copy(destination, source))
}

/// Exchanges every source page with its destination. Repeated, it puts every page back. Returns the
/// number of pairs exchanged.
pub fn exchange(head: u64, memory: &mut impl Memory) -> u64 {
    walk(head, memory, |memory, destination, source| memory.exchange(destination, source))
}

/// Walks the list and moves each page whose source is not its destination.
fn walk<M: Memory>(head: u64, memory: &mut M, move_page: impl Fn(&mut M, Pfn, Pfn)) -> u64 {
    let (mut word, mut next, mut destination, mut moved) = (head, 0, 0, 0);
    while word & DONE == 0 {
        if word & DESTINATION != 0 {
            destination = list::address(word);
        } else if word & INDIRECTION != 0 {
            next = list::address(word);
        } else if word & SOURCE != 0 {
            let pages = (Pfn::starting_at(destination), Pfn::starting_at(list::address(word)));
            if let (Some(to), Some(from)) = pages
                && to != from
            {
                move_page(memory, to, from);
                moved += 1;
            }
            destination += phys::PAGE_SIZE;
        }
        let Some(address) = PhysAddr::new(next) else { break };
        word = memory.word(address);
        next += 8;
    }
    moved
}
