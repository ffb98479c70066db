//! Jobs in guests that several tasks share.

pub(crate) mod crash_kernel;
pub(crate) mod installed;
pub(crate) mod memory_image;
pub(crate) mod timed;
pub(crate) mod watcher;
