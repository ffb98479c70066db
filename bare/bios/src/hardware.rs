//! The machine as far as it is used here.

/// Memory, ports and registers. Addresses are physical.
pub trait Hardware {
    /// Reads a byte of an I/O port.
    fn input(&mut self, port: u16) -> u8;
    /// Writes a byte to an I/O port.
    fn output(&mut self, port: u16, byte: u8);
    /// Reads a word of memory or of a device's registers.
    fn read(&mut self, address: u64) -> u32;
    /// Writes a word of memory or of a device's registers.
    fn write(&mut self, address: u64, word: u32);
    /// Copies memory upwards.
    fn copy(&mut self, from: u64, to: u64, bytes: u64);
    /// Reads a model-specific register.
    fn register(&mut self, number: u32) -> u64;
    /// Writes a model-specific register.
    fn set_register(&mut self, number: u32, value: u64);
    /// CR0 and CR4.
    fn control(&mut self) -> [u64; 2];
    /// Address and limit of the global and of the interrupt descriptor table.
    fn descriptors(&mut self) -> [(u64, u16); 2];
    /// The time stamp counter.
    fn time(&mut self) -> u64;
    /// Copies the stub's code to this address in low memory, and writes there how it returns.
    fn lay_stub(&mut self, at: u32);
    /// Runs the stub in real mode.
    fn real_mode(&mut self);
    /// The offsets of the stub's handlers.
    fn handlers(&self) -> Handlers;
    /// The offsets of those that serve a program.
    fn services(&self) -> Services;
}

/// Offsets of handlers in the stub, by their interrupt vector.
#[derive(Clone, Copy, Debug)]
pub struct Handlers {
    /// Pairs of a vector and the offset of its handler.
    pub all: [(u8, u16); 6],
}

/// Offsets of the stub's services for a program on a disk.
#[derive(Clone, Copy, Debug)]
pub struct Services {
    /// Pairs of an interrupt and the offset of its handler.
    pub interrupts: [(u8, u16); 4],
    /// Where the BIOS jumps after a restart of the CPU.
    pub restarted: u16,
}

/// The vector of IRQ 0, whose handler passes on to the BIOS's.
pub(crate) const TICK: u8 = 8;
