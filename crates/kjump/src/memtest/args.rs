//! The arguments of `kjump memtest`.

use abi::device::Range;
use clap::Args;

use crate::terminal::number;

/// Test the memory of this machine in place, without a reboot
///
/// Suspends the system, writes patterns to each page and reads them back, puts the page's contents
/// back, and resumes: in slices, so that the machine pauses for a moment each time. All System RAM
/// is tested, the running kernel's own text and data included; what the test itself occupies is
/// tested from another place. Wrong words are printed with their addresses and bits; the exit
/// status is 1 if there are any.
#[derive(Debug, Args)]
pub(crate) struct MemtestArgs {
    /// Physical range to test instead of all System RAM, whole pages; repeatable. Below 1 MiB it
    /// may be other memory
    #[arg(long = "range", value_name = "START-END", value_parser = number::page_range)]
    pub(crate) ranges: Vec<Range>,
    /// Test everything N times
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = number::at_least_one)]
    pub(crate) passes: u64,
    /// Seconds that the system pauses at a time, without suspend and resume
    #[arg(long, value_name = "S", default_value = "2", value_parser = number::deadline)]
    pub(crate) slice: u64,
    /// Stop after this many seconds, at the end of a slice
    #[arg(long = "for", value_name = "S", value_parser = number::deadline)]
    pub(crate) limit: Option<u64>,
    /// Do not flush caches between writing and reading: faster, and may test the caches only
    #[arg(long)]
    pub(crate) no_flush: bool,
    /// Have the kernel stop using pages with wrong words
    #[arg(long)]
    pub(crate) offline: bool,
    /// Invert a bit of the word at this address between writing and reading, so that it is found
    #[arg(long, value_name = "ADDR", value_parser = number::unsigned, hide = true)]
    pub(crate) inject: Option<u64>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
