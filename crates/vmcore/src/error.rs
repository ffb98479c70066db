use std::io;

/// Why an image cannot be read, selected from or written. Offsets are in the file, addresses in the dumped machine's
/// memory, sizes in bytes.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the numbers that the variants speak of")]
pub enum Error {
    /// The first bytes are those of no known format.
    #[error("no memory image is recognised: the file starts with {start:02x?}")]
    Unrecognised { start: Vec<u8> },
    /// The source could not be read.
    #[error("cannot read {size} bytes of {what} at offset {offset:#x}")]
    Read { what: &'static str, offset: u64, size: usize, source: io::Error },
    /// The destination could not be written.
    #[error("cannot write {size} bytes at offset {offset:#x}")]
    Write { offset: u64, size: usize, source: io::Error },
    /// The file ends before something that it says it has.
    #[error("{what} would be {size:#x} bytes at offset {offset:#x}, the file has {length:#x}")]
    OutOfFile { what: &'static str, offset: u64, size: u64, length: u64 },
    /// A field says that this is another kind of file.
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
    /// VMCOREINFO lacks what is needed.
    #[error("VMCOREINFO has no {key}")]
    NoKey { key: String },
    /// VMCOREINFO says what cannot be.
    #[error("VMCOREINFO: {key}={value} cannot be")]
    BadKey { key: String, value: String },
    /// VMCOREINFO lacks what is needed, and the kernel's memory does not tell it.
    #[error("VMCOREINFO has no {key}, and the kernel's memory does not tell: {why}")]
    Untold { key: String, why: Box<Error> },
    /// The kernel's table of symbols lacks one.
    #[error("kallsyms has no {name}")]
    NoSymbol { name: &'static str },
    /// The kernel's table of symbols gives other addresses than VMCOREINFO, or none of those that both know.
    #[error("kallsyms and VMCOREINFO do not agree where symbols are")]
    OtherSymbols,
    /// The kernel's types cannot be read. The offset is in the types, or in the header.
    #[error("BTF cannot be read at offset {offset:#x}: {reason}")]
    Btf { offset: u64, reason: &'static str },
    /// A kernel's ELF file tells too little.
    #[error("this ELF file is no kernel's with all that is needed: it lacks {lacks}")]
    Vmlinux { lacks: &'static str },
    /// The image carries no VMCOREINFO.
    #[error("the image has no VMCOREINFO note")]
    NoVmcoreinfo,
    /// A flattened stream ends without its last record, or a record has an impossible size.
    #[error("the flattened stream is damaged at offset {offset:#x}: {reason}")]
    Flattened { offset: u64, reason: &'static str },
    /// A file of a split set is wanted.
    #[error("this is no part of a split set")]
    NoPart,
    /// Files of two split sets.
    #[error("the parts are of different memory images")]
    OtherMachine,
    /// Too many pages, or too high ones, for the output format.
    #[error("{what} is {value:#x}, at most {most:#x} can be written")]
    TooLarge { what: &'static str, value: u64, most: u64 },
}

/// Why bytes are no compressed page. Sizes are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the numbers that the variants speak of")]
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
    /// A page claims more bytes than it has uncompressed.
    #[error("{size} bytes stored for a page of {most}")]
    TooLong { size: u32, most: usize },
}

/// What this crate answers with.
pub type Result<T, E = Error> = std::result::Result<T, E>;
