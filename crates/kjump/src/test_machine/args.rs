//! The arguments of `kjump test-machine`.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use firmware::Call;

/// Test this machine through its BIOS, and return
///
/// Calls the BIOS in real mode, step by step, and compares what it returns with what the kernel
/// knows: memory map and sizes, A20, clocks and their interrupts, keyboard, video, monitor, disks,
/// PCI; then checksums of ROMs and tables, and the interrupt controllers, timers, local APIC,
/// descriptor tables and control registers, before and after. Each line has what was seen, what
/// was expected, the verdict and the time.
///
/// A step that does not return ends at its deadline, and the test goes on. A step that hangs with
/// interrupts off cannot be ended: --console shows which one it was. The exit status is 0 if
/// nothing differs, 5 if a step did not return, 3 if an exception ended one, and otherwise 1.
#[derive(Debug, Args)]
pub(crate) struct TestMachineArgs {
    /// Write the name of each step to this device before it starts, and its verdict afterwards
    #[arg(long, value_name = "DEVICE", value_hint = ValueHint::FilePath)]
    pub(crate) console: Option<PathBuf>,
    /// Milliseconds after which a call that has not returned is ended, in steps of 55
    #[arg(long, value_name = "MS", default_value_t = Call::DEADLINE)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=3_600_000))]
    pub(crate) deadline: u32,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
