//! Hibernation by jump: this kernel rests, another one saves its memory to a disk and powers the
//! machine off, and a third, after the next boot, loads the memory and jumps into it.
//!
//! | file | runs in |
//! |---|---|
//! | `start`, `snapshot`, `rest` | the kernel that is hibernated or dumped |
//! | `save` | the small kernel that writes the image, called by the init of its initramfs |
//! | `resume` | the kernel that was booted next |
//! | `image` | any kernel, on files at rest |

pub(crate) mod args;
mod config;
mod drivers;
mod facts;
pub(crate) mod image;
mod key;
mod rest;
pub(crate) mod resume;
mod save;
pub(crate) mod snapshot;
pub(crate) mod start;
mod superblock;
mod target;
mod view;
mod waiting;

/// What a kernel that was loaded from an image passes to the resumed one.
const RESUMED: u64 = u64::from_le_bytes(*b"resumed\0");
