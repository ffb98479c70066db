//! Packages from Debian: stock kernels, a compiler, programs to compare with.

pub(crate) mod apt;
pub(crate) mod compiler;
pub(crate) mod kernels;
pub(crate) mod loaders;
pub(crate) mod packages;
pub(crate) mod programs;
pub(crate) mod reference;
pub(crate) mod secure_boot;
pub(crate) mod system;
pub(crate) mod toolchain;
