//! Raw layouts.

pub(crate) mod field;
pub mod manifest;
