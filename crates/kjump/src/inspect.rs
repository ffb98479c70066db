//! What is known of this machine, of its memory and of the images that are loaded.

pub(crate) mod args;
pub(crate) mod check;
pub(crate) mod findings;
pub(crate) mod map;
pub(crate) mod saved_machine;
pub(crate) mod status;
pub(crate) mod verdict;
