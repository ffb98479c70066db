//! Reports on this machine, its memory and the loaded images.

pub(crate) mod args;
pub(crate) mod check;
pub(crate) mod doctor;
pub(crate) mod findings;
pub(crate) mod map;
pub(crate) mod saved_machine;
pub(crate) mod status;
pub(crate) mod verdict;
