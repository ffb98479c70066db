//! What ELF vmcores have beyond `abi::elf`.

/// In the flags of the file header: makedumpfile's mark of a dump that was cut short
/// (`DUMP_ELF_INCOMPLETE`).
pub(crate) const INCOMPLETE: u32 = 1;
