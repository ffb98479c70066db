//! The steps of `cargo xtask test`.

pub(crate) mod architecture;
pub(crate) mod bochs;
pub(crate) mod dump_debuggers;
pub(crate) mod dump_forms;
pub(crate) mod dump_readers;
pub(crate) mod dumps;
pub(crate) mod host;
pub(crate) mod kdump_tools;
pub(crate) mod layout;
pub(crate) mod packages;
pub(crate) mod peer_readers;
pub(crate) mod rpm;
mod rust_source;
mod secure_boot;
pub(crate) mod step;
pub(crate) mod stories;
pub(crate) mod uploads;
