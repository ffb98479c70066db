use std::io;

use crate::state::StateKind;

/// Why a hibernation file cannot be written or read. Offsets and sizes are in bytes.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the numbers of the messages")]
pub enum Error {
    /// The disk failed.
    #[error("cannot {action} {what} at offset {offset:#x}")]
    Disk { action: &'static str, what: &'static str, offset: u64, source: io::Error },
    /// The disk is too small for any hibernation file.
    #[error("too small: {length} bytes; a hibernation file needs at least {least}")]
    TooSmall { length: u64, least: u64 },
    /// There is no room for a block.
    #[error("hibernation file too small: at least {needed} bytes needed, {length} available")]
    Full { needed: u64, length: u64 },
    /// The state sector is damaged.
    #[error("the state is damaged: {why}")]
    BadState { why: &'static str },
    /// The state does not allow this step.
    #[error("the file is {from}, and cannot become {to}")]
    Step { from: StateKind, to: StateKind },
    /// There is no image to resume.
    #[error("there is no complete image: the file is {kind}{}", because(reason))]
    NotComplete { kind: StateKind, reason: String },
    /// A newer or older version of this format.
    #[error("{what} has version {version}; this program reads version {wanted}")]
    Version { what: &'static str, version: u32, wanted: u32 },
    /// A field of the header has an impossible value.
    #[error("the header is damaged: {field} is {value:#x}")]
    BadHeader { field: &'static str, value: u64 },
    /// The header or the manifest is not what was written.
    #[error("{what} was changed after it was written: its checksum or authentication code is wrong")]
    Altered { what: &'static str },
    /// State and header are of two different images.
    #[error("the header belongs to another image than the state: the file was written only in part")]
    OtherImage,
    /// The key opens no slot.
    #[error("the key is wrong: it opens none of the {slots} key slots")]
    WrongKey { slots: usize },
    /// An encrypted image was given no key.
    #[error("the image is encrypted, and no key was given")]
    NoKey,
    /// An image without encryption was given a key.
    #[error(
        "the image is not encrypted, so anybody could have written it; resume it only if that is \
         intended"
    )]
    NotEncrypted,
    /// A key file or passphrase is too short.
    #[error("{what} has {length} bytes; at least {least} are needed")]
    ShortKey { what: &'static str, length: usize, least: usize },
    /// The costs of a passphrase are beyond all reason.
    #[error("the passphrase needs {memory_kib} KiB of memory, {passes} passes and {lanes} lanes")]
    Cost { memory_kib: u32, passes: u32, lanes: u32 },
    /// The manifest contradicts itself.
    #[error("the manifest is damaged: block {block}: {why}")]
    BadManifest { block: u64, why: &'static str },
    /// A block is not what was written.
    #[error("block {block} was changed after it was written, or cannot be read back")]
    BadBlock { block: u64 },
    /// Too many key slots, or facts that are too long.
    #[error("the header has room for {room} bytes of {what}, not for {size}")]
    NoRoomInHeader { what: &'static str, size: usize, room: usize },
}

/// The result of working with a hibernation file.
pub type Result<T> = std::result::Result<T, Error>;

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(" ({reason})") }
}
