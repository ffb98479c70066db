use crate::{Compression, Format};

/// Why a file cannot be loaded. Offsets are in the file, addresses physical; both and sizes are in
/// bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the numbers in the messages")]
pub enum Error {
    /// The first bytes do not match any known format.
    #[error("unrecognised file format; a flat binary needs a load address")]
    Unrecognised,
    /// The file has no bytes.
    #[error("the file is empty")]
    Empty,
    /// The file is truncated, or contains a wrong offset or size.
    #[error("{what} needs {size:#x} bytes at offset {offset:#x}, the file has {length:#x}")]
    OutOfFile { what: String, offset: u64, size: u64, length: u64 },
    /// A field has an unsupported value.
    #[error("{field} is {value:#x}; {wanted}")]
    Unsupported { field: &'static str, value: u64, wanted: &'static str },
    /// The file needs a dynamic linker.
    #[error("the file is not static (it has {header}); link it with `-static -no-pie`")]
    NotStatic { header: &'static str },
    /// The file has nothing to load.
    #[error("the file has no load header with memory")]
    NoLoadHeader,
    /// A load header has more bytes than memory.
    #[error("{name}: {filesz:#x} bytes of the file do not fit in {memsz:#x} bytes of memory")]
    TooManyBytes { name: String, filesz: u64, memsz: u64 },
    /// Load headers share bytes of the file.
    #[error("the load headers have {bytes:#x} bytes in total, the file only {length:#x}")]
    SharedBytes { bytes: u64, length: u64 },
    /// The destination exceeds the address space.
    #[error("{name}: {size:#x} bytes at {address:#x} extend beyond the address space")]
    TooHigh { name: String, address: u64, size: u64 },
    /// Two destinations overlap.
    #[error("{first} and {second} overlap in {start:#x}-{last:#x}")]
    Overlap { first: String, second: String, start: u64, last: u64 },
    /// The format is recognised, but not supported.
    #[error("file format {format} is not supported")]
    NotLoaded { format: Format },
    /// The file does not have the requested format.
    #[error("not a {wanted} file")]
    Not { wanted: Format },
    /// A section appears more than once.
    #[error("section {name} appears twice")]
    SecondSection { name: &'static str },
    /// Compressed data is damaged.
    #[error("the {what} data cannot be decompressed: {reason}")]
    Compressed { what: Compression, reason: String },
    /// The decompressed data exceeds a limit.
    #[error("the {what} data decompresses to more than {limit:#x} bytes")]
    TooLarge { what: Compression, limit: u64 },
    /// The size of the decompressed data is not the stated one.
    #[error("the {what} data decompressed to {length:#x} bytes, the file contains size {stated:#x}")]
    Unpacked { what: Compression, length: u64, stated: u64 },
    /// The compression is unknown.
    #[error("unknown compression `{name}`")]
    UnknownCompression { name: String },
}
