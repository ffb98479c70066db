use crate::{Compression, Format};

/// Why a file is no program. Offsets are in the file, addresses physical; both and sizes are in bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the numbers that the variants speak of")]
pub enum Error {
    /// The first bytes are those of no known format.
    #[error("no format is recognised; a flat binary needs an address to be loaded at")]
    Unrecognised,
    /// There are no bytes.
    #[error("the file is empty")]
    Empty,
    /// The file ends before something that it says it has.
    #[error("{what} would be {size:#x} bytes at offset {offset:#x}, the file has {length:#x}")]
    OutOfFile { what: String, offset: u64, size: u64, length: u64 },
    /// A field says that this is another kind of file.
    #[error("{field} is {value:#x}; {wanted}")]
    Unsupported { field: &'static str, value: u64, wanted: &'static str },
    /// The file counts on a dynamic linker.
    #[error("the file is not static (it has {header}); link it with `-static -no-pie`")]
    NotStatic { header: &'static str },
    /// Nothing is to be loaded.
    #[error("the file has no load header with memory")]
    NoLoadHeader,
    /// A load header has more bytes than memory.
    #[error("{name}: {filesz:#x} bytes of the file do not fit in {memsz:#x} bytes of memory")]
    TooManyBytes { name: String, filesz: u64, memsz: u64 },
    /// The load headers name some bytes more than once.
    #[error("the load headers have {bytes:#x} bytes together, the file only {length:#x}")]
    SharedBytes { bytes: u64, length: u64 },
    /// The destination wraps around.
    #[error("{name}: {size:#x} bytes at {address:#x} are beyond the end of the address space")]
    TooHigh { name: String, address: u64, size: u64 },
    /// Two destinations have bytes in common.
    #[error("{first} and {second} overlap in {start:#x}-{last:#x}")]
    Overlap { first: String, second: String, start: u64, last: u64 },
    /// The format is known, and nothing but its name.
    #[error("this is a file of the format {format}, which is recognised but not loaded")]
    NotLoaded { format: Format },
    /// The format is another than the one asked for.
    #[error("this is no {wanted} file")]
    Not { wanted: Format },
    /// A section that can be there once is there more often.
    #[error("there are two sections {name}")]
    SecondSection { name: &'static str },
    /// Compressed data is broken.
    #[error("the {what} data cannot be decompressed: {reason}")]
    Compressed { what: Compression, reason: String },
    /// More comes out of compressed data than there may be.
    #[error("the {what} data decompresses to more than {limit:#x} bytes")]
    TooLarge { what: Compression, limit: u64 },
    /// Something else comes out of compressed data than was put in.
    #[error("the {what} data decompresses to {length:#x} bytes, and {stated:#x} were compressed")]
    Unpacked { what: Compression, length: u64, stated: u64 },
    /// It is compressed in a way that is not known.
    #[error("compressed by `{name}`, which is not known")]
    UnknownCompression { name: String },
}
