//! Programs that check and measure kjump in the guests of the lab, one in each directory of
//! `src/bin`.
//!
//! They use the interfaces of the product directly, where the program `kjump` has no option for it:
//! invalid requests, several processes at once, registers and clocks. This library contains the
//! code that several of them share.
#![forbid(unsafe_code)]

pub mod physical;
