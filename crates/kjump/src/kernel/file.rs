//! A kernel file, unpacked as far as needed.

use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use kernel_file::multiboot::{self, Multiboot};
use kernel_file::{BzImage, Format, Uki, Zboot, foreign};

use crate::input::{self, Input, Name};
use crate::terminal::progress::Progress;

/// Most bytes of a kernel file: offsets in an EFI program have 32 bits.
const LIMIT: u64 = 4 << 30;
/// Most bytes of what is packed in one.
const LIMIT_UNPACKED: u64 = 1 << 30;
/// Most levels of packing.
const DEPTH: usize = 4;

/// A format that `--type` names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A bzImage by its 64-bit entry point.
    BzImage64,
    /// A bzImage by its 32-bit or real-mode entry point.
    BzImage,
    Elf64,
    Elf32,
    Multiboot1,
    Multiboot2,
    Uki,
}

/// A kernel file.
pub(crate) struct KernelFile {
    pub(crate) path: PathBuf,
    /// The open file, which carries more than its bytes: IMA's signature.
    pub(crate) input: Input,
    bytes: Vec<u8>,
    kernel: Range<usize>,
    /// The formats it was packed in, from the outermost to the innermost.
    pub(crate) wrappings: Vec<Format>,
    initrds: Vec<Range<usize>>,
    command_line: Option<Range<usize>>,
    release: Option<Range<usize>>,
    os_release: Option<Range<usize>>,
}

/// How a kernel file is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Loader {
    BzImage,
    Elf,
    Multiboot(Multiboot),
}

impl fmt::Display for Loader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BzImage => Format::BzImage.fmt(f),
            Self::Elf => Format::Elf.fmt(f),
            Self::Multiboot(version) => Format::Multiboot(*version).fmt(f),
        }
    }
}

impl KernelFile {
    pub(crate) fn read(path: &Path) -> anyhow::Result<Self> {
        let input = Input::open(path).with_context(|| format!("Cannot open {}", Name(path)))?;
        let _progress = Progress::start(format!("reading {}", Name(path)), 1);
        let named = || Name(path).to_string();
        if input.head().is_empty() {
            bail!("{}: the file is empty", named());
        }
        // The first bytes show whether the others are worth reading.
        if Format::recognise(input.head()).is_none() {
            return Err(unrecognised(path, input.head(), &[], input.is_disk()));
        }
        let bytes = input.read(LIMIT).with_context(named)?;
        Self::unpack(path, input, bytes).with_context(named)
    }

    fn unpack(path: &Path, input: Input, bytes: Vec<u8>) -> anyhow::Result<Self> {
        let mut wrappings = Vec::new();
        let bytes = unwrapped(bytes, &mut wrappings)?;
        let whole = 0..bytes.len();
        let mut unpacked = Self {
            path: path.into(),
            input,
            bytes: Vec::new(),
            kernel: whole,
            wrappings,
            initrds: Vec::new(),
            command_line: None,
            release: None,
            os_release: None,
        };
        if Format::recognise(&bytes) == Some(Format::Uki) {
            let uki = Uki::parse(&bytes)?;
            let place = |part: &[u8]| place_of(part, &bytes);
            unpacked.wrappings.push(Format::Uki);
            unpacked.kernel = place(uki.linux);
            unpacked.initrds = [uki.microcode, uki.initrd].into_iter().flatten().map(place).collect();
            unpacked.command_line = uki.command_line.map(place);
            unpacked.release = uki.release.map(place);
            unpacked.os_release = uki.os_release.map(place);
        }
        unpacked.bytes = bytes;
        Ok(unpacked)
    }

    /// The kernel itself.
    pub(crate) fn kernel(&self) -> &[u8] {
        self.part(&self.kernel)
    }

    /// Whether an ELF file is Linux: it contains Linux's banner.
    pub(crate) fn is_linux(&self) -> bool {
        const BANNER: &[u8] = b"Linux version ";
        self.kernel().windows(BANNER.len()).any(|part| part == BANNER)
    }

    /// The file, if the kernel is all of it, not unpacked from it, and it can be read again.
    pub(crate) fn file(&self) -> Option<&File> {
        self.input.file().filter(|_| self.wrappings.is_empty())
    }

    /// The initrds in the file.
    pub(crate) fn initrds(&self) -> impl Iterator<Item = &[u8]> {
        self.initrds.iter().map(|range| self.part(range))
    }

    /// The command line in the file.
    pub(crate) fn command_line(&self) -> Option<&[u8]> {
        self.command_line.as_ref().map(|range| self.part(range))
    }

    /// The description in a unified kernel image: the name of the system, and the kernel's release.
    pub(crate) fn about(&self) -> Vec<String> {
        let text = |range: &Option<Range<usize>>| {
            range.as_ref().map(|range| String::from_utf8_lossy(self.part(range)).into_owned())
        };
        let system = text(&self.os_release).and_then(|text| {
            let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="))?;
            Some(name.trim_matches('"').to_owned())
        });
        system.into_iter().chain(text(&self.release)).collect()
    }

    fn part(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or(&[])
    }

    /// Whether it is a bzImage that runs at one address only.
    pub(crate) fn is_fixed(&self, loader: Loader) -> bool {
        loader == Loader::BzImage
            && BzImage::parse(self.kernel()).is_ok_and(|kernel| kernel.alignment.is_none())
    }

    /// The loader for the file's format, which must be the `wanted` one.
    pub(crate) fn loader(&self, wanted: Option<Kind>) -> anyhow::Result<Loader> {
        let kernel = self.kernel();
        let path = Name(&self.path);
        let Some(format) = Format::recognise(kernel) else {
            return Err(unrecognised(&self.path, kernel, &self.wrappings, false));
        };
        let header = multiboot::find(kernel).map(|header| header.version);
        let has = |version| multiboot::find_version(kernel, version).is_some();
        let is_64 = kernel.get(4) == Some(&2);
        // In the order of kexec-tools.
        let found = match (format, header) {
            (Format::BzImage, _) => Loader::BzImage,
            (Format::Elf, Some(Multiboot::Two)) => Loader::Multiboot(Multiboot::Two),
            (Format::Elf, Some(Multiboot::One)) if !is_64 => Loader::Multiboot(Multiboot::One),
            (Format::Elf, _) => Loader::Elf,
            (Format::Multiboot(version), _) => Loader::Multiboot(version),
            _ => bail!("{path} is of the format {format}, which is recognised but cannot be loaded"),
        };
        let fits = match wanted {
            None => return Ok(found),
            Some(Kind::BzImage64 | Kind::BzImage) => format == Format::BzImage,
            Some(Kind::Uki) => self.wrappings.contains(&Format::Uki),
            Some(Kind::Elf64) => format == Format::Elf && is_64,
            Some(Kind::Elf32) => format == Format::Elf && !is_64,
            Some(Kind::Multiboot1) => has(Multiboot::One),
            Some(Kind::Multiboot2) => has(Multiboot::Two),
        };
        match wanted {
            _ if !fits => bail!("{path} is of the format {format}, not what --type says"),
            Some(Kind::Elf64 | Kind::Elf32) => Ok(Loader::Elf),
            Some(Kind::Multiboot1) => Ok(Loader::Multiboot(Multiboot::One)),
            Some(Kind::Multiboot2) => Ok(Loader::Multiboot(Multiboot::Two)),
            _ => Ok(found),
        }
    }
}

/// The error for a file that is not a kernel: what it is instead.
fn unrecognised(path: &Path, bytes: &[u8], wrappings: &[Format], is_disk: bool) -> anyhow::Error {
    let packed: Vec<String> = wrappings.iter().map(|format| format!("{format}, of ")).collect();
    let what = match foreign::describe(bytes) {
        Some(what) => format!("it is {}{what}", packed.concat()),
        None if is_disk => "it is a disk, and does not start with a kernel".to_owned(),
        None => "unrecognised file format".to_owned(),
    };
    anyhow!("Cannot determine the file type of {}: {what}", Name(path))
}

/// The bytes without the formats that pack them as a whole.
fn unwrapped(mut bytes: Vec<u8>, wrappings: &mut Vec<Format>) -> anyhow::Result<Vec<u8>> {
    for _ in 0..DEPTH {
        match Format::recognise(&bytes) {
            Some(format @ Format::Compressed(compression)) => {
                wrappings.push(format);
                bytes = input::unpacked(LIMIT_UNPACKED, |limit| compression.decompress(&bytes, limit))?;
            }
            Some(format @ Format::Zboot) => {
                wrappings.push(format);
                let zboot = Zboot::parse(&bytes)?;
                bytes = input::unpacked(LIMIT_UNPACKED, |limit| zboot.decompress(limit))?;
            }
            _ => break,
        }
    }
    Ok(bytes)
}

/// The range of a part in the whole.
fn place_of(part: &[u8], whole: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    start..start + part.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, bytes: &[u8]) -> anyhow::Result<(KernelFile, Loader)> {
        let path = std::env::temp_dir().join(format!("kjump-kernel-{}-{name}", std::process::id()));
        std::fs::write(&path, bytes).unwrap();
        let file = KernelFile::read(&path);
        std::fs::remove_file(&path).unwrap();
        let file = file?;
        let loader = file.loader(None)?;
        Ok((file, loader))
    }

    fn refusal(name: &str, bytes: &[u8]) -> String {
        let error = read(name, bytes).map(drop).unwrap_err();
        format!("{error:#}").rsplit('/').next().unwrap_or_default().to_owned()
    }

    #[test]
    fn a_file_that_is_not_a_kernel_is_named() {
        let archive = [b"070701".as_slice(), &[b'0'; 200]].concat();
        let text = refusal("cpio", &archive);
        assert!(text.ends_with("it is a cpio archive; is it the initrd?"), "{text}");
        let packed = refusal("cpio.gz", &gzip(&archive));
        assert!(packed.ends_with("it is gzip, of a cpio archive; is it the initrd?"), "{packed}");
        let zeros = refusal("zeros", &[0; 70_000]);
        assert!(zeros.contains("it is all zeros at its beginning"), "{zeros}");
    }

    #[test]
    fn a_large_file_is_refused_by_its_first_bytes() {
        let path = std::env::temp_dir().join(format!("kjump-kernel-{}-sparse", std::process::id()));
        File::create(&path).unwrap().set_len(1 << 43).unwrap();
        let text = KernelFile::read(&path).map(drop).unwrap_err().to_string();
        std::fs::write(&path, b"\x7fELF").unwrap();
        File::options().write(true).open(&path).unwrap().set_len(1 << 43).unwrap();
        let large = format!("{:#}", KernelFile::read(&path).map(drop).unwrap_err());
        std::fs::remove_file(&path).unwrap();
        assert!(text.contains("it is all zeros at its beginning"), "{text}");
        assert!(large.ends_with("it has 8 TiB, and may have at most 4 GiB"), "{large}");
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        use std::io::Write;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    }

    #[test]
    fn files_that_break_kexec_tools_are_refused_by_name() {
        let text = refusal("two", b"MZ");
        assert!(text.ends_with("unrecognised file format"), "{text}");
        let mut many = vec![0; 0x100];
        many[..2].copy_from_slice(b"MZ");
        many[0x3c] = 0x40;
        many[0x40..0x44].copy_from_slice(b"PE\0\0");
        many[0x46..0x48].copy_from_slice(&5000_u16.to_le_bytes());
        refusal("many", &many);
        assert!(refusal("empty", b"").ends_with("the file is empty"));
        let nbi = [0x1b03_1336_u32.to_le_bytes().as_slice(), &[0; 508]].concat();
        assert!(refusal("nbi", &nbi).contains("recognised but cannot be loaded"));
    }

    #[test]
    fn a_file_is_unpacked_from_several_formats() {
        let elf = [b"\x7fELF\x02".as_slice(), &[0; 100]].concat();
        let (file, loader) = read("twice", &gzip(&gzip(&elf))).unwrap();
        assert_eq!((file.kernel(), loader, file.wrappings.len()), (elf.as_slice(), Loader::Elf, 2));
        assert!(file.file().is_none());
        let (file, _) = read("plain", &elf).unwrap();
        assert!(file.file().is_some());
        assert!(file.loader(Some(Kind::Elf64)).is_ok());
        assert!(file.loader(Some(Kind::Elf32)).is_err());
        assert!(file.loader(Some(Kind::BzImage)).is_err());
    }
}
