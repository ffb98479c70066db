//! A kernel file, unpacked as far as needed.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use kernel_file::multiboot::{self, Multiboot};
use kernel_file::{Error, Format, Uki, Zboot};

use crate::terminal::progress::Progress;
use crate::terminal::quantity;

/// Most bytes of a kernel file, unpacked.
const LIMIT: u64 = 1 << 30;
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
    pub(crate) file: File,
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
        let named = || format!("Cannot open {}", path.display());
        let mut file = File::open(path).with_context(named)?;
        let _progress = Progress::start(format!("reading {}", path.display()), 1);
        match whole(&mut file, LIMIT).with_context(named)? {
            None => {
                bail!(
                    "{}: larger than {}, the most that a kernel file may have",
                    path.display(),
                    quantity::bytes(LIMIT)
                )
            }
            Some(bytes) if bytes.is_empty() => bail!("{}: the file is empty", path.display()),
            Some(bytes) => Self::unpack(path, file, bytes).with_context(|| path.display().to_string()),
        }
    }

    fn unpack(path: &Path, file: File, bytes: Vec<u8>) -> Result<Self, Error> {
        let mut wrappings = Vec::new();
        let bytes = unwrapped(bytes, &mut wrappings)?;
        let whole = 0..bytes.len();
        let mut unpacked = Self {
            path: path.into(),
            file,
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

    /// Whether the kernel is the file itself, not unpacked from it.
    pub(crate) fn is_original(&self) -> bool {
        self.wrappings.is_empty()
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

    /// The loader for the file's format, which must be the `wanted` one.
    pub(crate) fn loader(&self, wanted: Option<Kind>) -> anyhow::Result<Loader> {
        let kernel = self.kernel();
        let path = self.path.display();
        let Some(format) = Format::recognise(kernel) else {
            bail!("Cannot determine the file type of {path}: unrecognised file format");
        };
        let header = multiboot::find(kernel).map(|header| header.version);
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
            Some(Kind::Multiboot1) => header == Some(Multiboot::One),
            Some(Kind::Multiboot2) => header == Some(Multiboot::Two),
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

/// All bytes, if they are at most `limit`; `None` if there are more, as of a device without an end.
fn whole(file: &mut impl Read, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    file.take(limit + 1).read_to_end(&mut bytes)?;
    Ok((bytes.len() as u64 <= limit).then_some(bytes))
}

/// The bytes without the formats that pack them as a whole.
fn unwrapped(mut bytes: Vec<u8>, wrappings: &mut Vec<Format>) -> Result<Vec<u8>, Error> {
    for _ in 0..DEPTH {
        match Format::recognise(&bytes) {
            Some(format @ Format::Compressed(compression)) => {
                wrappings.push(format);
                bytes = compression.decompress(&bytes, LIMIT)?;
            }
            Some(format @ Format::Zboot) => {
                wrappings.push(format);
                bytes = Zboot::parse(&bytes)?.decompress(LIMIT)?;
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
    fn a_file_without_an_end_is_read_only_up_to_the_limit() {
        assert_eq!(whole(&mut io::repeat(1), 1000).unwrap(), None);
        assert_eq!(whole(&mut [1; 1000].as_slice(), 1000).unwrap(), Some(vec![1; 1000]));
        assert_eq!(whole(&mut [1; 1001].as_slice(), 1000).unwrap(), None);
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
        use std::io::Write;
        let elf = [b"\x7fELF\x02".as_slice(), &[0; 100]].concat();
        let pack = |bytes: &[u8]| {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(bytes).unwrap();
            gzip.finish().unwrap()
        };
        let (file, loader) = read("twice", &pack(&pack(&elf))).unwrap();
        assert_eq!((file.kernel(), loader, file.wrappings.len()), (elf.as_slice(), Loader::Elf, 2));
        assert!(!file.is_original());
        let (file, _) = read("plain", &elf).unwrap();
        assert!(file.is_original());
        assert!(file.loader(Some(Kind::Elf64)).is_ok());
        assert!(file.loader(Some(Kind::Elf32)).is_err());
        assert!(file.loader(Some(Kind::BzImage)).is_err());
    }
}
