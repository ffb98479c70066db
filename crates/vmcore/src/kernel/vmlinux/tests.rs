#![allow(clippy::cast_possible_truncation, reason = "numbers are small here")]

use super::*;
use crate::kernel::btf::tests::Builder;
use proptest::prelude::*;

/// An ELF file with these sections, and their names in the last one.
fn elf(sections: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut file = vec![0; 64];
    let mut names = vec![0];
    let mut headers = Vec::new();
    let mut add = |file: &mut Vec<u8>, name: usize, bytes: &[u8]| {
        let mut header = [0; SECTION.size];
        header[..4].copy_from_slice(&(name as u32).to_le_bytes());
        header[24..32].copy_from_slice(&(file.len() as u64).to_le_bytes());
        header[32..40].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        headers.extend(header);
        file.extend(bytes);
    };
    for (name, bytes) in sections {
        add(&mut file, names.len(), bytes);
        names.extend(name.bytes());
        names.push(0);
    }
    let own = names.clone();
    add(&mut file, 0, &own);
    file[..6].copy_from_slice(b"\x7fELF\x02\x01");
    let start = (file.len() as u64).to_le_bytes();
    file[40..48].copy_from_slice(&start);
    file[58..60].copy_from_slice(&(SECTION.size as u16).to_le_bytes());
    file[60..62].copy_from_slice(&(sections.len() as u16 + 1).to_le_bytes());
    file[62..64].copy_from_slice(&(sections.len() as u16).to_le_bytes());
    file.extend(headers);
    file
}

fn symbol(name: u32, section: u16, address: u64) -> Vec<u8> {
    let mut entry = vec![0; SYMBOL.size];
    entry[..4].copy_from_slice(&name.to_le_bytes());
    entry[6..8].copy_from_slice(&section.to_le_bytes());
    entry[8..16].copy_from_slice(&address.to_le_bytes());
    entry
}

fn kernel() -> Vec<u8> {
    let mut types = Builder::new();
    let long = types.integer(8);
    types.structure("page", 64, &[("flags", long, 0)]);
    types.structure("mem_section", 16, &[("section_mem_map", long, 0)]);
    elf(&[
        (".rodata", b"\0Linux version 6.1.0-1-amd64 (someone) \n\0".to_vec()),
        (".BTF", types.bytes()),
        (".symtab", [symbol(1, 0, 1), symbol(1, 3, 0xffff_ffff_8100_0000), symbol(8, 3, 2)].concat()),
        (".strtab", b"\0_stext\0other\0".to_vec()),
    ])
}

#[test]
fn a_kernels_file_yields_the_same_keys_as_vmcoreinfo() {
    let file = kernel();
    let info = Vmlinux::parse(&file).unwrap().vmcoreinfo().unwrap();
    for (key, value) in [
        ("OSRELEASE", "6.1.0-1-amd64"),
        ("SYMBOL(_stext)", "ffffffff81000000"),
        ("SIZE(page)", "64"),
        ("OFFSET(page.flags)", "0"),
        ("NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)", "-129"),
        ("LENGTH(mem_section)", "131072"),
    ] {
        assert_eq!(info.text(key), Some(value), "{key}");
    }
    assert_eq!(info.text("SYMBOL(other)"), None);
}

#[test]
fn symbols_have_their_addresses_in_the_running_kernel() {
    let file = elf(&[
        (".rodata", b"Linux version 6.1 x".to_vec()),
        (".BTF", Builder::new().bytes()),
        (
            ".symtab",
            [symbol(1, 3, 0x1000), symbol(13, 3, 0x2000), symbol(15, 3, 3), symbol(15, 3, 4)].concat(),
        ),
        (".strtab", b"\0init_uts_ns\0x\0twice\0".to_vec()),
    ]);
    let kernel = Vmlinux::parse(&file).unwrap();
    let booted =
        |address| Vmcoreinfo::parse(format!("KERNELOFFSET=100\nSYMBOL(init_uts_ns)={address}\n").as_bytes());
    let found = kernel.symbols(&["x", "twice", "y"], &booted("1100")).unwrap();
    assert_eq!(
        [found.get("x"), found.get("twice"), found.get("y")],
        [Some(&Some(0x2100)), Some(&None), None]
    );
    assert!(matches!(kernel.symbols(&["x"], &booted("1101")), Err(Error::SymbolMismatch)));
}

#[test]
fn a_missing_part_of_the_file_is_named() {
    let banner = (".rodata", b"Linux version 6.1 x".to_vec());
    for (file, lacks) in [
        (elf(&[]), "the Linux banner"),
        (elf(std::slice::from_ref(&banner)), "BTF"),
        (elf(&[banner, (".BTF", vec![0; 24])]), "a symbol table"),
        (kernel()[..200].to_vec(), "valid section headers"),
    ] {
        let error = Vmlinux::parse(&file).unwrap_err().to_string();
        assert!(error.contains(&format!("it lacks {lacks}")), "{error}");
    }
    assert!(matches!(Vmlinux::parse(b"\x7fELF\x01\x01"), Err(Error::Unrecognised { .. })));
}

proptest! {
    #[test]
    fn a_damaged_file_is_refused_or_read(place: prop::sample::Index, byte: u8, cut: prop::sample::Index) {
        let mut file = kernel();
        let place = place.index(file.len());
        file[place] = byte;
        let end = cut.index(file.len() + 1);
        for file in [&file[..], &file[..end]] {
            let _ = Vmlinux::parse(file).and_then(|kernel| kernel.vmcoreinfo());
        }
    }
}
