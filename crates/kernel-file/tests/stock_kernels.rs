//! Kernels of distributions, which `cargo xtask fetch` downloads. Without them, the tests print so
//! and pass.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::{Path, PathBuf};

use kernel_file::bzimage::Protocol;
use kernel_file::{BzImage, Compression, Format};

fn kernels() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/kernels");
    let releases = std::fs::read_dir(&directory).into_iter().flatten().flatten();
    let files = releases
        .filter_map(|release| std::fs::read_dir(release.path().join("boot")).ok())
        .flatten()
        .flatten();
    let is_kernel =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("vmlinuz"));
    let found: Vec<PathBuf> = files.map(|file| file.path()).filter(is_kernel).collect();
    if found.is_empty() {
        eprintln!("nothing tested: no kernels in {}", directory.display());
    }
    found
}

#[test]
fn headers_of_stock_kernels_are_read_correctly() {
    for path in kernels() {
        let file = std::fs::read(&path).unwrap();
        assert_eq!(Format::recognise(&file), Some(Format::BzImage), "{}", path.display());
        let kernel = BzImage::parse(&file).unwrap();
        assert_eq!(kernel.protocol, Protocol { major: 2, minor: 15 });
        assert!(kernel.has_entry_64 && kernel.above_4g && kernel.loads_high && kernel.efi_kexec);
        assert_eq!((kernel.preferred, kernel.alignment), (0x100_0000, Some(0x20_0000)));
        assert_eq!((kernel.cmdline_size, kernel.initrd_last), (2047, u64::MAX));
        let release = path.file_name().unwrap().to_str().unwrap().strip_prefix("vmlinuz-").unwrap();
        let version = String::from_utf8_lossy(kernel.version.unwrap());
        assert!(version.starts_with(release), "{version}");
    }
}

/// The kernel inside is an ELF file that needs at most the memory in the header.
#[test]
fn stock_kernels_are_decompressed() {
    for path in kernels().into_iter().take(1) {
        let file = std::fs::read(&path).unwrap();
        let kernel = BzImage::parse(&file).unwrap();
        let payload = kernel.payload.unwrap();
        let packed = Compression::recognise(payload).unwrap();
        let vmlinux = packed.decompress(payload, kernel.memory).unwrap();
        assert_eq!(Format::recognise(&vmlinux), Some(Format::Elf));
        let size = u32::from_le_bytes(*payload.last_chunk().unwrap());
        assert_eq!(vmlinux.len(), size as usize, "the size that the build appended");
        assert!(packed.decompress(payload, u64::from(size) - 1).is_err());
    }
}

#[test]
fn truncated_stock_kernels_are_rejected() {
    for path in kernels() {
        let file = std::fs::read(&path).unwrap();
        let whole = BzImage::parse(&file).unwrap();
        for length in
            [0, 1, 0x1f0, 0x1f1, 0x202, 0x206, 0x26b, 0x26c, whole.setup.len(), whole.setup.len() + 1]
        {
            BzImage::parse(&file[..length]).unwrap_err();
        }
        BzImage::parse(&file[..file.len() - 0x1000]).unwrap_err();
    }
}
