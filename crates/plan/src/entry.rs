use std::fmt;

/// How the loaded kernel is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// CPU mode.
    pub mode: CpuMode,
    /// Address of the first instruction; in real mode segment << 16 | offset.
    pub address: u64,
    /// General registers, indexed by [`register`]. With a stack pointer of 0, it gets purgatory's
    /// stack.
    pub registers: [u64; 8],
    /// In real mode, the value of the data and stack segment registers.
    pub segment: u16,
}

/// A mode of the CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CpuMode {
    /// 64-bit mode with identity-mapped memory.
    Long,
    /// 32-bit mode without paging.
    Protected,
    /// 16-bit real mode with the BIOS's interrupt table.
    Real,
}

impl From<kernel_file::Mode> for CpuMode {
    fn from(mode: kernel_file::Mode) -> Self {
        match mode {
            kernel_file::Mode::Long => Self::Long,
            kernel_file::Mode::Protected => Self::Protected,
        }
    }
}

/// Register numbers as in instruction encodings.
pub mod register {
    /// `rax`
    pub const RAX: usize = 0;
    /// `rbx`
    pub const RBX: usize = 3;
    /// `rsp`
    pub const RSP: usize = 4;
    /// `rsi`
    pub const RSI: usize = 6;
    /// `rdi`
    pub const RDI: usize = 7;
}

impl Entry {
    /// An address in a mode, with all registers zero.
    #[must_use]
    pub const fn at(mode: CpuMode, address: u64) -> Self {
        Self { mode, address, registers: [0; 8], segment: 0 }
    }

    /// Sets a register.
    #[must_use]
    pub fn with(mut self, register: usize, number: u64) -> Self {
        if let Some(place) = self.registers.get_mut(register) {
            *place = number;
        }
        self
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.mode {
            CpuMode::Long => write!(f, "{:#x} in 64-bit mode", self.address)?,
            CpuMode::Protected => write!(f, "{:#x} in 32-bit mode", self.address)?,
            CpuMode::Real => {
                let (segment, offset) = (self.address >> 16, self.address & 0xffff);
                write!(f, "{segment:#06x}:{offset:#06x} in real mode, data segments {:#06x}", self.segment)?;
            }
        }
        let names = ["ax", "cx", "dx", "bx", "sp", "bp", "si", "di"];
        let letter = if self.mode == CpuMode::Long { 'r' } else { 'e' };
        let mut set = names.iter().zip(self.registers).filter(|&(_, number)| number != 0);
        set.try_for_each(|(name, number)| write!(f, ", {letter}{name} = {number:#x}"))
    }
}
