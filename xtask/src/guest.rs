//! What several tasks do in guests.

pub(crate) mod crash_kernel;
pub(crate) mod timed;
