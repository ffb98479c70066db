//! What a file is that is not a kernel for this machine: a wrong argument is recognised by it.

use crate::{elf, pe};

/// A description of a file of a format that is not loaded, if the file is recognised.
#[must_use]
pub fn describe(file: &[u8]) -> Option<&'static str> {
    let at = |offset: usize, magic: &[u8]| file.get(offset..).is_some_and(|rest| rest.starts_with(magic));
    let cpio: [&[u8]; 3] = [b"070701", b"070702", b"070707"];
    let found = [
        (cpio.iter().any(|magic| at(0, magic)), "a cpio archive; is it the initrd?"),
        (at(0, b"#!"), "a script"),
        (at(0x38, b"ARM\x64"), "a kernel for arm64"),
        (at(0x38, b"RSC\x05"), "a kernel for RISC-V"),
        (pe::is_program(file), "an EFI program without a Linux kernel in it"),
        (at(257, b"ustar"), "a tar archive"),
        (at(0, b"hsqs"), "a squashfs file system"),
        (at(0x8001, b"CD001"), "the image of a CD (ISO 9660)"),
        (at(0x438, b"\x53\xef"), "an ext2, ext3 or ext4 file system"),
        (at(0x200, b"EFI PART"), "a disk with partitions (GPT)"),
        (at(510, b"\x55\xaa"), "a disk or its boot sector"),
        (!at(0, &elf::MAGIC) && is_zero(file), "all zeros at its beginning; is it a disk or a sparse file?"),
        (is_text(file), "a text"),
    ];
    found.into_iter().find(|&(is_it, _)| is_it).map(|(_, what)| what)
}

fn is_zero(file: &[u8]) -> bool {
    !file.is_empty() && file.iter().take(1 << 16).all(|&byte| byte == 0)
}

fn is_text(file: &[u8]) -> bool {
    let is_it = |&byte: &u8| matches!(byte, b'\t' | b'\n' | b'\r' | 0x20..=0x7e);
    file.len() >= 16 && file.iter().take(4096).all(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Format;

    #[test]
    fn what_is_often_given_in_place_of_a_kernel_is_named() {
        let at = |offset: usize, magic: &[u8]| {
            let mut file = vec![1; 0x9000];
            file[offset..offset + magic.len()].copy_from_slice(magic);
            file
        };
        for (file, what) in [
            (at(0, b"070701"), "a cpio archive"),
            (at(0, b"#!/bin/sh\n"), "a script"),
            (at(0x38, b"ARM\x64"), "arm64"),
            (at(0x438, b"\x53\xef"), "ext4"),
            (vec![0; 8192], "all zeros"),
            (b"root:x:0:0:root:/root\n".to_vec(), "a text"),
        ] {
            assert_eq!(Format::recognise(&file), None, "{what}");
            let described = describe(&file).unwrap_or("nothing");
            assert!(described.contains(what), "{what}: {described}");
        }
        assert_eq!(describe(b""), None);
        assert_eq!(describe(&[1, 2, 3]), None);
    }
}
