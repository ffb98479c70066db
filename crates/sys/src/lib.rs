//! System calls and ioctls made safe: one safe function per call, one effect per function, the errno kept.
//!
//! | module | calls |
//! |---|---|
//! | [`device`] | the ioctls of `/dev/kjump` |
//! | [`refusal`] | what the module says when it refuses, in words |
//! | [`terminal`] | the width of a terminal |
//! | [`clock`] | the clock that images are stamped with |

pub mod clock;
pub mod device;
mod name;
pub mod refusal;
pub mod terminal;

pub use device::{Device, Error};
pub use name::{BadName, ImageName};
pub use refusal::{Refusal, Request};
