//! Plans for machines that are described here.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    reason = "a test that cannot go on has failed"
)]

mod linux;
mod others;
mod purgatory;
mod support;
