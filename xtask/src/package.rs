//! Packages of the product: which file goes where, and the archives made of them.

pub(crate) mod contents;
pub(crate) mod deb;
pub(crate) mod object;
