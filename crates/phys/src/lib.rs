//! Page frames, physical ranges and sets of ranges. Nothing else.
#![no_std]
#![forbid(unsafe_code)]
