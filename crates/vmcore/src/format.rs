//! Raw layouts.

pub(crate) mod elf;
pub(crate) mod field;
pub(crate) mod flattened;
pub(crate) mod kdump;
pub mod manifest;
