//! System calls and ioctls made safe: one safe function per call, one effect per function, the
//! errno kept.
//!
//! | module | calls |
//! |---|---|
//! | [`device`] | the ioctls of `/dev/kjump` |
//! | [`refusal`] | explanations of the module's refusals |
//! | [`kexec`] | `kexec_load`, `kexec_file_load`, and the reboot that starts what they loaded |
//! | [`system`] | disks written out, random bytes, files in memory, the CPU to run on |
//! | [`interface`] | network interfaces taken down |
//! | [`routes`] | addresses and routes saved and put back |
//! | [`terminal`] | the width of a terminal, output that waits in one |
//! | [`clock`] | the clock that images are stamped with |
//! | [`window`] | parts of the kernel's files as memory |
//! | [`disk`] | disks without a file system, past the page cache |
//! | [`signal`] | the signal of the limit of file sizes |
//! | [`descriptor`] | inherited descriptors, files without a name |
//! | [`memory`] | the memory of this program |
//! | [`holes`] | where a sparse file has data |
//! | [`writeback`] | the page cache on its way to the disk |

pub mod clock;
pub mod descriptor;
pub mod device;
pub mod disk;
pub mod holes;
pub mod interface;
pub mod kexec;
pub mod mapping;
pub mod memory;
mod name;
pub mod refusal;
pub mod routes;
pub mod signal;
pub mod system;
pub mod terminal;
pub mod window;
pub mod writeback;

pub use device::{Device, Error};
pub use name::{BadName, ImageName};
pub use refusal::{Refusal, Request};
