//! The benches of `cargo xtask bench`.

pub(crate) mod bios;
pub(crate) mod call;
pub(crate) mod capture;
pub(crate) mod downtime;
pub(crate) mod dump;
pub(crate) mod figure;
pub(crate) mod hibernate;
pub(crate) mod load;
pub(crate) mod switch;
