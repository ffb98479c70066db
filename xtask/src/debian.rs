//! What comes from Debian.

pub(crate) mod apt;
pub(crate) mod compiler;
pub(crate) mod kernels;
pub(crate) mod packages;
pub(crate) mod programs;
pub(crate) mod reference;
