//! Programs that check and measure kjump in the guests of the lab, one in each directory of `src/bin`.
//!
//! They use the interfaces of the product directly, where the program `kjump` has no option for it: wrong requests,
//! several processes at once, registers and clocks. This library holds what more than one of them needs.
#![forbid(unsafe_code)]

pub mod physical;
