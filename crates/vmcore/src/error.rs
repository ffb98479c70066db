use std::io;

/// Why an image cannot be read, selected from or written. Offsets are in the file, addresses in the
/// dumped machine's memory, sizes in bytes.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the numbers of the messages")]
pub enum Error {
    /// The first bytes match no known format.
    #[error("not a memory image: {}", beginning(start))]
    Unrecognised { start: Vec<u8> },
    /// The source could not be read.
    #[error("cannot read {size} bytes of {what} at offset {offset:#x}")]
    Read { what: &'static str, offset: u64, size: usize, source: io::Error },
    /// The destination could not be written.
    #[error("cannot write {size} bytes at offset {offset:#x}")]
    Write { offset: u64, size: usize, source: io::Error },
    /// The file ends before something that its headers describe.
    #[error("{what}: {size:#x} bytes at offset {offset:#x} exceed the file, which has {length:#x}")]
    OutOfFile { what: &'static str, offset: u64, size: u64, length: u64 },
    /// A field has a value of another kind of file.
    #[error("{field} is {value:#x}; {wanted}")]
    Unsupported { field: &'static str, value: u64, wanted: &'static str },
    /// A page is in no part of the image.
    #[error("page {pfn:#x} is not in the image")]
    Absent { pfn: u64 },
    /// A dump that was cut short has a place for the page, but not the page.
    #[error("page {pfn:#x} is missing: the dump is incomplete")]
    Missing { pfn: u64 },
    /// A page cannot be decompressed.
    #[error("page {pfn:#x}: {reason}")]
    Page { pfn: u64, reason: DecodeError },
    /// The page tables of the dumped kernel do not map an address.
    #[error("virtual address {address:#x} is not mapped: entry {entry:#x} of level {level}")]
    NotMapped { address: u64, level: u8, entry: u64 },
    /// VMCOREINFO lacks a key.
    #[error("VMCOREINFO has no {key}")]
    NoKey { key: String },
    /// VMCOREINFO has an impossible value.
    #[error("VMCOREINFO has an invalid value: {key}={value}")]
    BadKey { key: String, value: String },
    /// VMCOREINFO lacks a key, and the kernel's types and symbols do not give its value either.
    #[error("VMCOREINFO has no {key}, and the kernel's types and symbols cannot replace it")]
    NotLearned { key: String, source: Box<Error> },
    /// The dump of another architecture.
    #[error("a dump of {machine}; only x86-64 is supported")]
    ForeignMachine { machine: String },
    /// No header describes any memory.
    #[error("the file describes no memory")]
    NoMemory,
    /// A core file of a process.
    #[error("a core file of a process, not of a kernel")]
    ProcessCore,
    /// The kernel's table of symbols lacks one.
    #[error("kallsyms has no {name}")]
    NoSymbol { name: &'static str },
    /// The kernel's table of symbols gives other addresses than VMCOREINFO, or has none of those in
    /// VMCOREINFO.
    #[error("kallsyms and VMCOREINFO disagree about the addresses of symbols")]
    SymbolMismatch,
    /// The kernel's types cannot be read. The offset is in the types, or in the header.
    #[error("BTF cannot be read at offset {offset:#x}: {reason}")]
    Btf { offset: u64, reason: &'static str },
    /// An ELF file lacks a part that a kernel's file needs.
    #[error("not a usable vmlinux: it lacks {lacks}")]
    Vmlinux { lacks: &'static str },
    /// The image carries no VMCOREINFO.
    #[error("the image has no VMCOREINFO note")]
    NoVmcoreinfo,
    /// Facts about another kernel than the dumped one.
    #[error("they are of another kernel: its {key} is {given}, that of the image is {own}")]
    OtherKernel { key: &'static str, given: String, own: String },
    /// A flattened stream ends before the header of its file.
    #[error("the flattened stream is cut off after {length} bytes, before anything of use")]
    CutOffStream { length: u64 },
    /// A flattened stream is cut off, and the rest cannot be read.
    #[error("the flattened stream is cut off after {length} bytes, too early to be of use")]
    CutOffEarly { length: u64, source: Box<Error> },
    /// A flattened stream has a record with an impossible size.
    #[error("the flattened stream is damaged at offset {offset:#x}: {reason}")]
    Flattened { offset: u64, reason: &'static str },
    /// The file is not part of a split set.
    #[error("not part of a split set")]
    NotAPart,
    /// Files of two split sets.
    #[error("the parts are of different memory images")]
    MixedParts,
    /// A file of a split set is missing.
    #[error("no part has the pages {from:#x} to {to:#x}")]
    MissingPart { from: u64, to: u64 },
    /// Files of a split set overlap, or one was given twice.
    #[error("more than one part has the pages {from:#x} to {to:#x}")]
    RepeatedPart { from: u64, to: u64 },
    /// Ranges of raw memory that have pages in common.
    #[error(
        "the ranges {:#x}-{:#x} and {:#x}-{:#x} overlap",
        first.0, first.1, second.0, second.1
    )]
    RangesOverlap { first: (u64, u64), second: (u64, u64) },
    /// Ranges of raw memory that are not those of the file.
    #[error("the ranges are {described:#x} bytes together, the file is {length:#x} bytes")]
    RawLength { described: u64, length: u64 },
    /// A rule that erases data is wrong, or does not fit the kernel.
    #[error("line {line}: {reason}")]
    Rule { line: usize, reason: String },
    /// What a rule names cannot be found in memory.
    #[error("line {line}: {what}")]
    RuleMemory { line: usize, what: String, source: Box<Error> },
    /// A number is out of range.
    #[error("{what} is {value:#x}; the limit is {most:#x}")]
    TooLarge { what: &'static str, value: u64, most: u64 },
}

/// The first bytes of files that are mistaken for memory images, and what they are.
const OTHERS: [(&[u8], &str); 14] = [
    (b"\x1f\x8b", "gzip data, to be decompressed first"),
    (b"\xfd7zXZ", "xz data, to be decompressed first"),
    (b"\x28\xb5\x2f\xfd", "Zstandard data, to be decompressed first"),
    (b"\x04\x22\x4d\x18", "LZ4 data, to be decompressed first"),
    (b"\x89LZO", "lzop data, to be decompressed first"),
    (b"BZh", "bzip2 data, to be decompressed first"),
    (
        b"LibvirtQemud",
        "a saved guest of libvirt; `virsh dump --memory-only` writes an image that can be read",
    ),
    (b"QEVM", "a saved guest of QEMU; its command `dump-guest-memory` writes an image that can be read"),
    (b"QFI\xfb", "a QCOW2 disk"),
    (b"EMiL", "a LiME image, which is not supported"),
    (b"AVML", "an AVML image, which is not supported"),
    (b"PAGEDU64", "a crash dump of Windows"),
    (b"PAGEDUMP", "a crash dump of Windows"),
    (b"DISKDUMP", "a diskdump, the predecessor of kdump, which is not supported"),
];

/// The first bytes of a file, also as text if they are any.
fn beginning(start: &[u8]) -> String {
    if start.is_empty() {
        return "the file is empty".to_owned();
    }
    if let Some((_, what)) = OTHERS.iter().find(|(magic, _)| start.starts_with(magic)) {
        return (*what).to_owned();
    }
    if start.iter().all(|byte| *byte == 0) {
        return "it starts with zeros".to_owned();
    }
    let text = start.iter().take_while(|byte| byte.is_ascii_graphic() || **byte == b' ').count();
    let text = String::from_utf8_lossy(&start[..text]);
    let text = if text.len() < 4 { String::new() } else { format!(" ({text:?})") };
    format!("it starts with {start:02x?}{text}")
}

impl Error {
    /// The message with its causes.
    #[must_use]
    pub fn whole(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text += &format!(": {error}");
            cause = error.source();
        }
        text
    }
}

/// Why bytes are not a compressed page. Sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the numbers of the messages")]
pub enum DecodeError {
    /// The codec's own checks failed.
    #[error("damaged {codec} data")]
    Damaged { codec: &'static str },
    /// The decompressed length is wrong.
    #[error("{codec} data gives {length} bytes instead of {wanted}")]
    Length { codec: &'static str, length: usize, wanted: usize },
    /// The flags of the page descriptor name no codec.
    #[error("the page descriptor's flags {flags:#x} name no codec")]
    Codec { flags: u32 },
    /// A page's compressed form is longer than a page.
    #[error("{size} bytes stored for a page of {most}")]
    TooLong { size: u32, most: usize },
}

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;
