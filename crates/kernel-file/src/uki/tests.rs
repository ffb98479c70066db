use super::*;
use proptest::prelude::*;

/// An EFI program that consists of sections only.
fn program(sections: &[(&str, &[u8])]) -> Vec<u8> {
    let table_at = 0x40 + 24 + 16;
    let mut file = vec![0; table_at + 40 * sections.len()];
    file[..2].copy_from_slice(b"MZ");
    file[0x3c] = 0x40;
    file[0x40..0x44].copy_from_slice(b"PE\0\0");
    file[0x46..0x48].copy_from_slice(&u16::try_from(sections.len()).unwrap().to_le_bytes());
    file[0x54] = 16;
    for (index, (name, bytes)) in sections.iter().enumerate() {
        let (size, at) = (u32::try_from(bytes.len()).unwrap(), u32::try_from(file.len()).unwrap());
        let header = &mut file[table_at + 40 * index..][..40];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[8..12].copy_from_slice(&size.to_le_bytes());
        header[16..20].copy_from_slice(&size.next_multiple_of(64).to_le_bytes());
        header[20..24].copy_from_slice(&at.to_le_bytes());
        file.extend_from_slice(bytes);
        file.resize((at + size.next_multiple_of(64)) as usize, 0xcc);
    }
    file
}

fn whole() -> Vec<u8> {
    program(&[
        (".text", b"stub"),
        (".osrel", b"ID=debian\n"),
        (".uname", b"6.12.95\0"),
        (".cmdline", b"root=/dev/vda1 quiet\n\0"),
        (".ucode", b"early"),
        (".initrd", b"late"),
        (".linux", b"kernel"),
        (".profile", b"ID=factory-reset\n"),
        (".cmdline", b"wipe"),
    ])
}

#[test]
fn every_part_is_found_without_its_padding() {
    let file = whole();
    let uki = Uki {
        linux: b"kernel",
        initrd: Some(b"late"),
        microcode: Some(b"early"),
        command_line: Some(b"root=/dev/vda1 quiet"),
        release: Some(b"6.12.95"),
        os_release: Some(b"ID=debian"),
    };
    assert_eq!(Uki::parse(&file), Ok(uki));
    assert_eq!(Format::recognise(&file), Some(Format::Uki));
}

#[test]
fn only_a_kernel_is_required() {
    let file = program(&[(".linux", b"kernel")]);
    assert_eq!(Uki::parse(&file), Ok(Uki { linux: b"kernel", ..Uki::default() }));
    let not = Err(Error::Not { wanted: Format::Uki });
    assert_eq!(Uki::parse(&program(&[(".text", b"stub")])), not);
    assert_eq!(Uki::parse(b"\x7fELF"), not);
    assert_eq!(Format::recognise(&program(&[(".text", b"stub")])), None);
    assert!(matches!(Uki::parse(&program(&[(".linux", b"")])), Err(Error::OutOfFile { .. })));
}

#[test]
fn a_part_that_appears_twice_is_rejected() {
    let file = program(&[(".linux", b"a"), (".cmdline", b"x"), (".cmdline", b"y")]);
    assert_eq!(Uki::parse(&file), Err(Error::SecondSection { name: ".cmdline" }));
}

#[test]
fn errors_name_the_missing_bytes() {
    let error = Uki::parse(b"MZ").unwrap_err().to_string();
    assert_eq!(error, "the DOS header needs 0x4 bytes at offset 0x3c, the file has 0x2");
    let mut file = whole();
    file[0x46..0x48].copy_from_slice(&5000_u16.to_le_bytes());
    let error = Uki::parse(&file).unwrap_err().to_string();
    assert_eq!(
        error,
        format!(
            "a table of 5000 sections needs 0x30d40 bytes at offset 0x68, the file has {:#x}",
            file.len()
        )
    );
    assert_eq!(Format::recognise(&file), None);
}

#[test]
fn a_truncated_file_is_rejected_at_any_length() {
    // The last section belongs to another profile, and is not read.
    let needed = program(&[(".linux", b"kernel")]);
    for length in 0..needed.len() - 58 {
        Uki::parse(&needed[..length]).unwrap_err();
    }
}

proptest! {
    #[test]
    fn damaged_files_have_their_parts_in_the_file_or_are_rejected(
        changes in prop::collection::vec((0..480_usize, any::<u8>()), 0..12),
    ) {
        let mut file = whole();
        for (at, byte) in changes {
            file[at] = byte;
        }
        if let Ok(uki) = Uki::parse(&file) {
            let part = file.as_ptr_range();
            prop_assert!(part.contains(&uki.linux.as_ptr()));
        }
        let _ = Format::recognise(&file);
    }
}
