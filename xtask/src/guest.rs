//! What several tasks do in guests.

pub(crate) mod crash_kernel;
pub(crate) mod memory_image;
pub(crate) mod timed;
