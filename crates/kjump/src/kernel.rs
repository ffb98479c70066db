//! Kernels: their files, the digest over a load, and the running kernel's own memory.

pub(crate) mod digest;
pub(crate) mod file;
pub(crate) mod kcore;
pub(crate) mod loading;
