use abi::bios::LOW_BUFFER;

/// The segment of the buffer.
#[expect(clippy::cast_possible_truncation, reason = "it lies below 1 MiB")]
pub(crate) const BUFFER_SEGMENT: u16 = (LOW_BUFFER / 16) as u16;
/// Interrupts enabled, and the bit that is always set.
const USUAL_FLAGS: u32 = 0x202;
/// EFLAGS: carry.
const CARRY: u32 = 1;

/// The registers of real mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Registers {
    /// EAX.
    pub eax: u32,
    /// EBX.
    pub ebx: u32,
    /// ECX.
    pub ecx: u32,
    /// EDX.
    pub edx: u32,
    /// ESI.
    pub esi: u32,
    /// EDI.
    pub edi: u32,
    /// EBP.
    pub ebp: u32,
    /// EFLAGS.
    pub eflags: u32,
    /// DS.
    pub ds: u16,
    /// ES.
    pub es: u16,
}

/// Zeros, interrupts enabled, and the buffer's segment in DS and ES.
impl Default for Registers {
    fn default() -> Self {
        let [eax, ebx, ecx, edx, esi, edi, ebp] = [0; 7];
        let (eflags, ds, es) = (USUAL_FLAGS, BUFFER_SEGMENT, BUFFER_SEGMENT);
        Self { eax, ebx, ecx, edx, esi, edi, ebp, eflags, ds, es }
    }
}

impl Registers {
    /// The segment of the buffer.
    pub const BUFFER: u16 = BUFFER_SEGMENT;

    /// AX.
    #[must_use]
    pub const fn ax(&self) -> u16 {
        low(self.eax)
    }

    /// AH.
    #[must_use]
    pub const fn ah(&self) -> u8 {
        self.eax.to_le_bytes()[1]
    }

    /// Whether the carry flag is set, which most calls return for an error.
    #[must_use]
    pub const fn carry(&self) -> bool {
        self.eflags & CARRY != 0
    }
}

/// The low half of a register.
#[expect(clippy::cast_possible_truncation, reason = "the other half is not meant")]
pub(crate) const fn low(register: u32) -> u16 {
    register as u16
}

/// What is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// INT n.
    Interrupt(u8),
    /// INT n until EBX is 0 or the carry flag is set, at most so many times; EDI grows by the step.
    Loop {
        /// The interrupt's number.
        number: u8,
        /// Most times.
        most: u16,
        /// Added to EDI each time.
        step: u16,
    },
    /// A far call.
    Far {
        /// The segment.
        segment: u16,
        /// The offset.
        offset: u16,
    },
}

impl Kind {
    /// The interrupt's number, if it is one.
    #[must_use]
    pub const fn number(self) -> Option<u8> {
        match self {
            Self::Interrupt(number) | Self::Loop { number, .. } => Some(number),
            Self::Far { .. } => None,
        }
    }
}

/// One call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// What is called.
    pub kind: Kind,
    /// The registers in.
    pub registers: Registers,
    /// Milliseconds after which it is ended, if it has not returned; 55 to 3600000.
    pub deadline: u32,
}

impl Call {
    /// The usual deadline in milliseconds.
    pub const DEADLINE: u32 = 2000;

    /// INT n.
    #[must_use]
    pub const fn interrupt(number: u8, registers: Registers) -> Self {
        Self { kind: Kind::Interrupt(number), registers, deadline: Self::DEADLINE }
    }

    /// The deadline in ticks of 54.9 ms, rounded up: 65536 / 1193182 s each.
    #[must_use]
    pub fn ticks(&self) -> u16 {
        let ticks = (u64::from(self.deadline) * 1_193_182).div_ceil(65_536 * 1000);
        u16::try_from(ticks).unwrap_or(u16::MAX).max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_rounded_up_to_ticks() {
        for (milliseconds, ticks) in [(0, 1), (1, 1), (54, 1), (55, 2), (1000, 19), (3_600_000, u16::MAX)] {
            let call = Call { deadline: milliseconds, ..Call::interrupt(0x15, Registers::default()) };
            assert_eq!(call.ticks(), ticks, "{milliseconds}");
        }
    }

    #[test]
    fn parts_of_registers() {
        let registers = Registers { eax: 0x1234_5678, eflags: 0x203, ..Registers::default() };
        assert_eq!((registers.ax(), registers.ah(), registers.carry()), (0x5678, 0x56, true));
    }
}
