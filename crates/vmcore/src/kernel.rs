//! The dumped kernel: the facts it reports about itself, its symbols, types and log, and how to
//! find them in its memory.

pub mod btf;
pub mod kallsyms;
pub(crate) mod learned;
pub mod log_buffer;
pub mod notes;
pub mod paging;
pub mod printk;
mod vmcoreinfo;
mod vmlinux;

pub use vmcoreinfo::Vmcoreinfo;
pub use vmlinux::Vmlinux;
