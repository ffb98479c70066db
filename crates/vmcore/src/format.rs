//! Raw layouts: places of fields, sizes and constants of the file formats. Readers and writers are
//! built on them, and not on each other.

pub(crate) mod elf;
pub(crate) mod field;
pub(crate) mod flattened;
pub(crate) mod kdump;
pub mod manifest;
