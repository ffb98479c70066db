//! The local APIC of this CPU: Intel SDM volume 3, chapter 11.

use abi::bios::state::LOCAL_APIC_REGISTERS;

use crate::Hardware;

/// IA32_APIC_BASE: enabled, x2APIC mode, address.
pub(crate) const BASE: u32 = 0x1b;
const ENABLED: u64 = 1 << 11;
const X2APIC: u64 = 1 << 10;
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
/// In x2APIC mode the register at offset 16 n has number 0x800 + n. SDM 11.12.1.2.
const FIRST_REGISTER: u32 = 0x800;

const LINT0: u32 = 0x350;
const COUNTERS: u32 = 0x340;
const SPURIOUS: u32 = 0xf0;
const PRIORITY: u32 = 0x80;
const SOFTWARE_ENABLED: u32 = 1 << 8;
const MASKED: u32 = 1 << 16;
/// Delivery mode ExtINT: the vector is the 8259's.
const EXTERNAL: u32 = 0x700;

/// How its registers are accessed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LocalApic {
    base: u64,
}

impl LocalApic {
    /// The local APIC, if it is enabled.
    pub(crate) fn find(hardware: &mut impl Hardware) -> Option<Self> {
        let base = hardware.register(BASE);
        (base & ENABLED != 0).then_some(Self { base })
    }

    pub(crate) fn read(self, hardware: &mut impl Hardware, register: u32) -> u32 {
        if self.base & X2APIC == 0 {
            return hardware.read((self.base & ADDRESS) + u64::from(register));
        }
        // The registers have 32 bits.
        #[expect(clippy::cast_possible_truncation, reason = "the registers have 32 bits")]
        let value = hardware.register(FIRST_REGISTER + (register >> 4)) as u32;
        value
    }

    fn write(self, hardware: &mut impl Hardware, register: u32, value: u32) {
        if self.base & X2APIC == 0 {
            hardware.write((self.base & ADDRESS) + u64::from(register), value);
        } else {
            hardware.set_register(FIRST_REGISTER + (register >> 4), value.into());
        }
    }

    /// Holds back every interrupt that is not the 8259's or an NMI.
    pub(crate) fn hold(self, hardware: &mut impl Hardware) {
        self.write(hardware, PRIORITY, 0xff);
    }

    /// Lets the 8259's interrupts through. After a suspend the APIC is off by software; entries
    /// cannot be unmasked then (SDM 11.4.7.2). The performance counters' interrupt is an NMI as a
    /// rule.
    pub(crate) fn let_through(self, hardware: &mut impl Hardware) {
        let spurious = self.read(hardware, SPURIOUS);
        self.write(hardware, SPURIOUS, spurious | SOFTWARE_ENABLED);
        let counters = self.read(hardware, COUNTERS);
        self.write(hardware, COUNTERS, counters | MASKED);
        self.write(hardware, LINT0, EXTERNAL);
    }

    /// Puts the registers back, the priority last.
    pub(crate) fn restore(self, hardware: &mut impl Hardware, values: [u32; 7]) {
        for (register, value) in LOCAL_APIC_REGISTERS.into_iter().zip(values) {
            self.write(hardware, register, value);
        }
    }
}
