//! Every byte layout that kjump shares with someone. No logic.
#![no_std]
#![forbid(unsafe_code)]
