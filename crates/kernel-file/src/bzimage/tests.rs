use super::*;
use crate::testing;
use proptest::prelude::*;

/// A kernel of a protocol, with one sector of setup code and 4 KiB of kernel.
fn kernel(protocol: u16) -> Vec<u8> {
    let mut file = testing::bzimage(0x1000, 0x3_0000);
    let written = [
        header::SYSSIZE.write(&mut file, 0x100),
        header::VERSION.write(&mut file, protocol),
        header::INITRD_ADDR_MAX.write(&mut file, 0x7fff_ffff),
        header::PAYLOAD_OFFSET.write(&mut file, 0x10),
        header::PAYLOAD_LENGTH.write(&mut file, 0x20),
    ];
    assert!(written.iter().all(|&written| written));
    file
}

#[test]
fn a_field_counts_since_the_protocol_that_added_it() {
    let get = |protocol| BzImage::parse(&kernel(protocol).leak()[..]).unwrap();
    let oldest = get(0x200);
    assert_eq!(oldest.protocol.to_string(), "2.00");
    assert_eq!((oldest.alignment, oldest.preferred, oldest.memory), (None, 0x10_0000, 0x1000));
    assert_eq!((oldest.cmdline_size, oldest.initrd_last), (255, 0x37ff_ffff));
    assert!(oldest.payload.is_none() && !oldest.has_entry_64);
    assert_eq!(get(0x203).initrd_last, 0x7fff_ffff);
    assert_eq!((get(0x204).alignment, get(0x205).alignment), (None, Some(0x20_0000)));
    assert_eq!((get(0x205).cmdline_size, get(0x206).cmdline_size), (255, 2047));
    assert_eq!((get(0x207).payload, get(0x208).payload), (None, Some([0x90; 0x20].as_slice())));
    assert_eq!((get(0x209).preferred, get(0x20a).preferred), (0x10_0000, 0x100_0000));
    assert_eq!((get(0x209).memory, get(0x20a).memory), (0x1000, 0x3_0000));
    assert_eq!((get(0x20b).has_entry_64, get(0x20c).has_entry_64), (false, true));
    assert_eq!(get(0x20c).initrd_last, u64::MAX);
    assert_eq!(get(0x20f).protocol.to_string(), "2.15");
}

/// The headers of memdisk and of GRUB's lnxboot.img, of iPXE, of memtest86+ and of old kernels.
#[test]
fn a_header_without_code_for_protected_mode_is_one_for_real_mode() {
    let only_real_mode = |protocol, size: u32, start: u32, bytes: usize| {
        let mut file = kernel(protocol);
        file.resize(0x400 + bytes, 0x90);
        let written = [
            header::SYSSIZE.write(&mut file, size),
            header::CODE32_START.write(&mut file, start),
            header::RELOCATABLE_KERNEL.write(&mut file, 0),
            header::XLOADFLAGS.write(&mut file, 0),
        ];
        assert!(written.iter().all(|&written| written));
        BzImage::parse(&file).unwrap().only_real_mode
    };
    assert!(only_real_mode(0x203, 0, 0x10_0000, 0x60a8));
    assert!(only_real_mode(0x207, 0x100, 0, 0x1000));
    assert!(!only_real_mode(0x20c, 0x100, 0x10_0000, 0x1000));
    assert!(!only_real_mode(0x203, 0x100, 0x10_0000, 0x1000));
    assert!(!only_real_mode(0x203, 0, 0x10_0000, 1 << 20));
    assert!(!BzImage::parse(&kernel(0x20f)).unwrap().only_real_mode);
}

#[test]
fn a_truncated_kernel_is_rejected_at_any_length() {
    let file = kernel(0x20f);
    for length in 0..file.len() - 15 {
        BzImage::parse(&file[..length]).unwrap_err();
    }
    let error = BzImage::parse(&file[..0x800]).unwrap_err().to_string();
    assert_eq!(error, "the protected-mode code needs 0x1000 bytes at offset 0x400, the file has 0x800");
}

#[test]
fn a_header_that_contradicts_itself_is_rejected() {
    let mut file = kernel(0x20f);
    assert!(header::KERNEL_ALIGNMENT.write(&mut file, 0x30_0000));
    let error = BzImage::parse(&file).unwrap_err().to_string();
    assert_eq!(error, "the kernel's alignment is 0x300000; expected a power of two");
    let mut file = kernel(0x20f);
    assert!(header::PAYLOAD_OFFSET.write(&mut file, u32::MAX));
    assert!(matches!(BzImage::parse(&file), Err(Error::OutOfFile { .. })));
    assert!(matches!(BzImage::parse(&kernel(0x1ff)), Err(Error::Unsupported { value: 0x1ff, .. })));
}

/// A kernel with these compressed bytes.
fn packed(payload: &[u8]) -> Vec<u8> {
    let mut file = kernel(0x20f);
    file[0x410..][..payload.len()].copy_from_slice(payload);
    assert!(header::PAYLOAD_LENGTH.write(&mut file, u32::try_from(payload.len()).unwrap()));
    file
}

#[test]
fn a_damaged_payload_is_detected() {
    use std::io::Write;
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    writer.write_all(&(0..=255).cycle().take(5000).collect::<Vec<u8>>()).unwrap();
    let payload = writer.finish().unwrap();
    let check = |payload: &[u8]| BzImage::parse(&packed(payload)).unwrap().check_payload();
    check(&payload).unwrap();
    check(b"not compressed").unwrap();
    for place in 10..payload.len() {
        let mut damaged = payload.clone();
        damaged[place] ^= 4;
        check(&damaged).unwrap_err();
    }
    let error = check(&[payload.as_slice(), &4999_u32.to_le_bytes()].concat()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the gzip data decompressed to 0x1388 bytes, the file contains size 0x1387"
    );
}

#[test]
fn a_header_too_long_for_boot_params_is_truncated() {
    let mut file = kernel(0x20f);
    assert!(header::END_HINT.write(&mut file, 0xff));
    assert_eq!(header::START + BzImage::parse(&file).unwrap().header.len(), 0x290);
}

proptest! {
    #[test]
    fn any_header_is_parsed_or_rejected(bytes in prop::collection::vec(any::<u8>(), 0x27f - 0x1f1)) {
        let mut file = kernel(0x20f);
        file[0x1f1..0x27f].copy_from_slice(&bytes);
        assert!(header::BOOT_FLAG.write(&mut file, header::BOOT_FLAG_MAGIC));
        assert!(header::HEADER.write(&mut file, header::HEADER_MAGIC));
        if let Ok(kernel) = BzImage::parse(&file) {
            prop_assert_eq!(kernel.setup.len() + kernel.kernel.len(), file.len());
            prop_assert!(kernel.memory >= kernel.kernel.len() as u64);
        }
    }
}
