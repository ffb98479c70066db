//! Raw layouts: places of fields, sizes and constants of the file formats. Readers and writers are
//! built on them, and not on each other.

pub(crate) mod elf;
pub(crate) mod field;
pub(crate) mod flattened;
pub(crate) mod kdump;
pub mod manifest;

use abi::elf::{CLASS_32, CLASS_64, Class, ident};

/// Marks a dump as incomplete, by its first bytes, unless kjump has sealed it: then all of its
/// pages are there.
pub(crate) fn mark_incomplete(start: &mut [u8]) {
    if start.starts_with(&kdump::MAGIC) {
        mark_kdump(start);
    } else if start.starts_with(&abi::elf::MAGIC) && start.len() >= CLASS_64.file_header.size {
        match field::get(start, ident::CLASS) {
            ident::CLASS_32 => mark_elf(start, &CLASS_32),
            _ => mark_elf(start, &CLASS_64),
        }
    }
}

fn mark_kdump(start: &mut [u8]) {
    let is_sealed = start
        .get(kdump::manifest_place::START..)
        .is_some_and(|rest| rest.starts_with(&kdump::manifest_place::MAGIC));
    for (block_size, status) in [
        (kdump::WIDE_HEADER.block_size, kdump::WIDE_HEADER.status),
        (kdump::NARROW_HEADER.block_size, kdump::NARROW_HEADER.status),
    ] {
        let fits = start.len() >= block_size.end().max(status.end());
        if fits && !is_sealed && field::get(start, block_size) as usize == kdump::BLOCK {
            let marked = field::get(start, status) | kdump::status::INCOMPLETE;
            return field::put(start, status, marked);
        }
    }
}

fn mark_elf<A: abi::Number>(start: &mut [u8], class: &Class<A>) {
    let flags = class.file_header.flags;
    let marked = field::get(start, flags) | elf::INCOMPLETE;
    field::put(start, flags, marked);
}
