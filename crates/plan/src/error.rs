use phys::PhysRange;

use crate::{Amount, Interface};

/// Why there is no plan. Addresses are physical, sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the numbers that the variants speak of")]
pub enum Error {
    /// Nothing free is large enough.
    #[error(
        "no room for {name}: {size}, aligned {align}, between {lowest:#x} and {highest:#x}; largest hole {hole}",
        size = Amount(*.size), align = Amount(*.align), hole = Amount(*.largest)
    )]
    NoRoom { name: &'static str, size: u64, align: u64, lowest: u64, highest: u64, largest: u64 },
    /// The kernel has no entry point that can be used.
    #[error(
        "the kernel (boot protocol {protocol}) has no 64-bit entry point; it is a 32-bit kernel or older than 3.8"
    )]
    NoEntry64 { protocol: String },
    /// The kernel cannot be started in real mode.
    #[error(
        "the kernel (boot protocol {protocol}, {setup:#x} bytes of setup code) is not to be entered in real mode: its code \
         belongs below 1 MiB, or leaves no room for a heap"
    )]
    NotForRealMode { protocol: String, setup: usize },
    /// The command line is longer than the kernel takes.
    #[error("the command line has {length} bytes, the kernel takes {limit} at most")]
    LongCommandLine { length: usize, limit: u64 },
    /// A zero ends a command line.
    #[error("the command line has a zero at byte {offset}")]
    ZeroInCommandLine { offset: usize },
    /// An initrd without bytes is a mistake.
    #[error("initrd {name} is empty")]
    EmptyInitrd { name: String },
    /// The machine tells no memory map of the firmware's.
    #[error("the machine tells no firmware memory map, which the next kernel needs")]
    NoFirmwareMap,
    /// The window lies where it cannot.
    #[error("window {window} overlaps {what}")]
    BadWindow { window: PhysRange, what: String },
    /// Nothing is reserved for a crash kernel.
    #[error("no memory is reserved for a crash kernel; boot with crashkernel=SIZE, and see /proc/iomem")]
    NoCrashMemory,
    /// Purgatory has room for so many.
    #[error("{count} regions to check, purgatory takes {limit} at most")]
    TooManyRegions { count: usize, limit: usize },
    /// A peer kernel's CPUs start below 1 MiB.
    #[error("no RAM below 1 MiB, where a kernel starts its other CPUs")]
    NoLowMemory,
    /// A segment has more bytes than its destination.
    #[error("{name}: {bytes:#x} bytes do not fit in {range}")]
    TooManyBytes { name: &'static str, bytes: usize, range: PhysRange },
    /// Two segments share pages.
    #[error("{first} and {second} overlap in {range}")]
    Overlap { first: &'static str, second: &'static str, range: PhysRange },
    /// A segment lies beyond what the machine has.
    #[error("{name} at {range} is not all RAM: there is none at {gap:#x}")]
    NotRam { name: &'static str, range: PhysRange, gap: u64 },
    /// More segments than the way takes.
    #[error("{count} segments, {interface} takes {limit} at most")]
    TooManySegments { count: usize, limit: usize, interface: Interface },
    /// The kernel refuses images that are larger than half of its memory.
    #[error("{what} takes {size}, more than half of {ram} of RAM, which {interface} refuses",
        size = Amount(*.size), ram = Amount(*.ram))]
    TooLarge { what: &'static str, size: u64, ram: u64, interface: Interface },
    /// Memory is too scattered to be told to another kernel.
    #[error("{count} notes and pieces of memory for an elfcorehdr, {limit} at most")]
    TooManyHeaders { count: usize, limit: usize },
    /// Nothing is loaded where the image is entered.
    #[error("the entry point {entry:#x} lies in no segment with bytes")]
    EntryOutside { entry: u64 },
}
