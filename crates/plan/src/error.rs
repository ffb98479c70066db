use phys::PhysRange;

use crate::{Amount, Interface};

/// Why there is no plan. Addresses are physical, sizes in bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the numbers in the messages")]
pub enum Error {
    /// No free range is large enough.
    #[error(
        "no room for {name}: {size}, aligned {align}, between {lowest:#x} and {highest:#x}; largest hole \
         {hole}",
        size = Amount(*.size), align = Amount(*.align), hole = Amount(*.largest)
    )]
    NoRoom { name: &'static str, size: u64, align: u64, lowest: u64, highest: u64, largest: u64 },
    /// The kernel has no 64-bit entry point.
    #[error(
        "the kernel (boot protocol {protocol}) has no 64-bit entry point; it is a 32-bit kernel or older \
         than 3.8"
    )]
    NoEntry64 { protocol: String },
    /// The kernel cannot be started in real mode.
    #[error(
        "the kernel (boot protocol {protocol}, {setup:#x} bytes of setup code) cannot be entered in real \
         mode: its code \
         must be loaded below 1 MiB, or leaves no room for a heap"
    )]
    NotForRealMode { protocol: String, setup: usize },
    /// The command line is longer than the kernel accepts.
    #[error("the command line has {length} bytes, the kernel accepts at most {limit}")]
    LongCommandLine { length: usize, limit: u64 },
    /// A zero byte would end the command line early.
    #[error("the command line contains a zero byte at offset {offset}")]
    ZeroInCommandLine { offset: usize },
    /// An initrd or module is empty.
    #[error("initrd {name} is empty")]
    EmptyInitrd { name: String },
    /// Two initrds end in a bootconfig.
    #[error("initrds {first} and {second} both end in a bootconfig, and a kernel reads only one")]
    TwoBootconfigs { first: String, second: String },
    /// The firmware's memory map is unknown.
    #[error("no firmware memory map found; the next kernel needs one")]
    NoFirmwareMap,
    /// The window overlaps memory that a peer cannot have.
    #[error("window {window} overlaps {what}")]
    BadWindow { window: PhysRange, what: String },
    /// Nothing is reserved for a crash kernel.
    #[error("no memory is reserved for a crash kernel; boot with crashkernel=SIZE, and see /proc/iomem")]
    NoCrashMemory,
    /// More regions than purgatory's table holds.
    #[error("{count} regions to check, purgatory supports at most {limit}")]
    TooManyRegions { count: usize, limit: usize },
    /// A kernel starts its other CPUs below 1 MiB.
    #[error("no RAM below 1 MiB, where a kernel starts its other CPUs")]
    NoLowMemory,
    /// A segment has more bytes than its destination.
    #[error("{name}: {bytes:#x} bytes do not fit in {range}")]
    TooManyBytes { name: &'static str, bytes: usize, range: PhysRange },
    /// Two segments share pages.
    #[error("{first} and {second} overlap in {range}")]
    Overlap { first: &'static str, second: &'static str, range: PhysRange },
    /// A segment is not in RAM.
    #[error("{name} at {range} is not all RAM: {gap:#x} is not")]
    NotRam { name: &'static str, range: PhysRange, gap: u64 },
    /// More segments than the interface accepts.
    #[error("{count} segments, {interface} accepts at most {limit}")]
    TooManySegments { count: usize, limit: usize, interface: Interface },
    /// The kernel rejects images that are larger than half of its memory.
    #[error("{what} takes {size}, more than half of {ram} of RAM, which {interface} rejects",
        size = Amount(*.size), ram = Amount(*.ram))]
    TooLarge { what: &'static str, size: u64, ram: u64, interface: Interface },
    /// Memory is too fragmented to describe it in an elfcorehdr.
    #[error("{count} notes and memory ranges for an elfcorehdr, at most {limit} are possible")]
    TooManyHeaders { count: usize, limit: usize },
    /// Nothing is loaded at the entry point.
    #[error("the entry point {entry:#x} is not in the bytes of any segment")]
    EntryOutside { entry: u64 },
}
