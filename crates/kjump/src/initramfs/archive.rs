//! An initramfs as bytes: a compressed cpio archive in the format that Linux unpacks (newc).

use std::io::{self, Write};

use anyhow::{Context, bail};
use cpio::newc::{self, Builder};
use flate2::{Compression, GzBuilder};

use super::args::InitramfsCodec;
use super::entries::{Content, Entries, Entry};
use crate::input::{self, Name};

const DIRECTORY: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const CHARACTER_DEVICE: u32 = 0o020_000;

/// Packs the entries. The bytes do not depend on times, owners or the order of files on the host.
pub(crate) fn pack(entries: &Entries) -> anyhow::Result<Vec<u8>> {
    let mut archive = Vec::new();
    for (number, (name, entry)) in (1..).zip(entries.iter()) {
        add(&mut archive, number, name, entry).with_context(|| format!("/{name}"))?;
    }
    newc::trailer(&mut archive)?;
    Ok(archive)
}

fn add(archive: &mut Vec<u8>, number: u32, name: &str, entry: &Entry) -> anyhow::Result<()> {
    let described = Builder::new(name).ino(number).nlink(1).uid(0).gid(0).mtime(0);
    let mode = |kind| entry.mode | kind;
    match &entry.content {
        Content::Directory => put(archive, described.mode(mode(DIRECTORY)).nlink(2), &[])?,
        Content::Bytes(bytes) => put(archive, described.mode(mode(FILE)), bytes)?,
        Content::Link(target) => put(archive, described.mode(mode(LINK)), target.as_bytes())?,
        Content::CharacterDevice { major, minor } => {
            let described = described.mode(mode(CHARACTER_DEVICE)).rdev_major(*major).rdev_minor(*minor);
            put(archive, described, &[])?;
        }
        Content::File(path) => {
            let bytes = input::read_any(path, u64::MAX).with_context(|| Name(path).to_string())?;
            put(archive, described.mode(mode(FILE)), &bytes)?;
        }
    }
    Ok(())
}

fn put(archive: &mut Vec<u8>, described: Builder, bytes: &[u8]) -> anyhow::Result<()> {
    let Ok(size) = u32::try_from(bytes.len()) else {
        bail!("{} bytes: a file of an initramfs can have at most 4 GiB", bytes.len());
    };
    let mut writer = described.write(archive, size);
    writer.write_all(bytes)?;
    writer.finish()?;
    Ok(())
}

/// Compresses the archive. The same input makes the same bytes.
pub(crate) fn compress(archive: Vec<u8>, codec: InitramfsCodec) -> anyhow::Result<Vec<u8>> {
    match codec {
        InitramfsCodec::None => Ok(archive),
        InitramfsCodec::Gzip => Ok(gzip(&archive)?),
        InitramfsCodec::Zstd => zstd(&archive),
    }
}

fn gzip(archive: &[u8]) -> io::Result<Vec<u8>> {
    let mut gzip = GzBuilder::new().mtime(0).write(Vec::new(), Compression::default());
    gzip.write_all(archive)?;
    gzip.finish()
}

fn zstd(archive: &[u8]) -> anyhow::Result<Vec<u8>> {
    // The window of this level is 2 MiB, which a kernel can allocate on any machine.
    const LEVEL: i32 = 3;
    let mut out = Vec::with_capacity(zstd_safe::compress_bound(archive.len()));
    match zstd_safe::compress(&mut out, archive, LEVEL) {
        Ok(_) => Ok(out),
        Err(code) => bail!("zstd: {}", zstd_safe::get_error_name(code)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Entries {
        let mut entries = Entries::default();
        entries
            .add("/dev/console", Content::CharacterDevice { major: 5, minor: 1 }.with_mode(0o600))
            .unwrap();
        entries.add("/init", Content::Bytes(b"#!/bin/sh\n".to_vec()).with_mode(0o755)).unwrap();
        entries.add("/sbin/kexec", Content::Link("kjump".into()).with_mode(0o777)).unwrap();
        entries
    }

    #[test]
    fn an_archive_has_the_format_that_the_kernel_reads() {
        let packed = pack(&entries()).unwrap();
        let mut rest = packed.as_slice();
        let mut found = Vec::new();
        loop {
            let mut reader = newc::Reader::new(rest).unwrap();
            let mut bytes = Vec::new();
            io::copy(&mut reader, &mut bytes).unwrap();
            let entry = reader.entry();
            if entry.is_trailer() {
                break;
            }
            assert_eq!((entry.mtime(), entry.uid(), entry.gid()), (0, 0, 0));
            let device = (entry.rdev_major(), entry.rdev_minor());
            found.push((entry.name().to_owned(), entry.mode(), device, String::from_utf8(bytes).unwrap()));
            rest = reader.finish().unwrap();
        }
        let expected = [
            ("dev", 0o040_755, (0, 0), ""),
            ("dev/console", 0o020_600, (5, 1), ""),
            ("init", 0o100_755, (0, 0), "#!/bin/sh\n"),
            ("sbin", 0o040_755, (0, 0), ""),
            ("sbin/kexec", 0o120_777, (0, 0), "kjump"),
        ];
        assert_eq!(
            found,
            expected.map(|(name, mode, device, text)| (name.into(), mode, device, text.into()))
        );
    }

    #[test]
    fn every_codec_is_lossless_and_deterministic() {
        let packed = pack(&entries()).unwrap();
        for codec in [InitramfsCodec::Zstd, InitramfsCodec::Gzip] {
            let small = compress(packed.clone(), codec).unwrap();
            assert_eq!(small, compress(packed.clone(), codec).unwrap());
            let kind = kernel_file::Compression::recognise(&small).unwrap();
            assert_eq!(kind.decompress(&small, 1 << 20).unwrap(), packed);
        }
        assert_eq!(compress(packed.clone(), InitramfsCodec::None).unwrap(), packed);
    }

    #[test]
    fn a_file_that_was_removed_is_named() {
        let mut entries = Entries::default();
        entries.add("/x", Content::File("/nowhere/at-all".into()).with_mode(0o644)).unwrap();
        assert!(format!("{:#}", pack(&entries).unwrap_err()).starts_with("/x: /nowhere/at-all: "));
    }
}
