//! What calls may change and Linux relies on: before, and after it was put back.

use abi::Field;
use abi::bios::state as field;

/// The machine's state, as the image read it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// Masks of the 8259s.
    pub pic_mask: u16,
    /// Their edge and level registers.
    pub pic_levels: u16,
    /// Interrupts that they wait to deliver.
    pub pic_requests: u16,
    /// Mode of the 8254's first channel.
    pub pit_mode: u8,
    /// System control port A.
    pub port_a: u8,
    /// Registers A and B of the real-time clock; 0 if they were not read.
    pub rtc: [u8; 2],
    /// Whether addresses wrap at 1 MiB.
    pub wraps: bool,
    /// Configuration of the HPET.
    pub hpet: u32,
    /// LINT0, LINT1, performance counters, thermal sensor, timer, spurious vector, task priority.
    pub local_apic: [u32; 7],
    /// Sum of the interrupt vectors.
    pub vectors: u32,
    /// The local APIC's base register.
    pub apic_base: u64,
    /// CR0.
    pub cr0: u64,
    /// CR4.
    pub cr4: u64,
    /// EFER.
    pub efer: u64,
    /// Addresses of the global and of the interrupt descriptor table.
    pub descriptors: [u64; 2],
    /// Their limits.
    pub limits: [u16; 2],
}

/// The names of the local APIC's registers.
const LOCAL_APIC: [&str; 7] = [
    "APIC LINT0",
    "APIC LINT1",
    "APIC counters",
    "APIC thermal",
    "APIC timer",
    "APIC spurious",
    "APIC priority",
];

impl State {
    /// Reads the layout of [`abi::bios::state`].
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let mut local_apic = [0; 7];
        for (number, register) in local_apic.iter_mut().enumerate() {
            *register = Field::<u32>::at(field::LOCAL_APIC + number * 4).read(bytes)?;
        }
        Some(Self {
            pic_mask: field::PIC_MASK.read(bytes)?,
            pic_levels: field::PIC_LEVELS.read(bytes)?,
            pic_requests: field::PIC_REQUESTS.read(bytes)?,
            pit_mode: field::PIT_MODE.read(bytes)?,
            port_a: field::PORT_A.read(bytes)?,
            rtc: field::RTC.read(bytes)?.to_le_bytes(),
            wraps: field::WRAPS.read(bytes)? != 0,
            hpet: field::HPET.read(bytes)?,
            local_apic,
            vectors: field::VECTORS.read(bytes)?,
            apic_base: field::APIC_BASE.read(bytes)?,
            cr0: field::CR0.read(bytes)?,
            cr4: field::CR4.read(bytes)?,
            efer: field::EFER.read(bytes)?,
            descriptors: [field::DESCRIPTORS[0].read(bytes)?, field::DESCRIPTORS[1].read(bytes)?],
            limits: [field::LIMITS[0].read(bytes)?, field::LIMITS[1].read(bytes)?],
        })
    }

    /// Every value with its name; those that change by themselves are left out.
    #[must_use]
    pub fn values(&self) -> Vec<(&'static str, u64)> {
        let mut values = vec![
            ("8259 masks", self.pic_mask.into()),
            ("8259 levels", self.pic_levels.into()),
            ("8254 mode", self.pit_mode.into()),
            ("HPET configuration", self.hpet.into()),
            ("RTC registers A, B", u16::from_be_bytes(self.rtc).into()),
            ("port 92h", self.port_a.into()),
            ("addresses wrap at 1 MiB", self.wraps.into()),
            ("interrupt vectors, sum", self.vectors.into()),
        ];
        values.extend(LOCAL_APIC.into_iter().zip(self.local_apic.map(u64::from)));
        values.extend([
            ("APIC base", self.apic_base),
            ("CR0", self.cr0),
            ("CR4", self.cr4),
            ("EFER", self.efer),
            ("descriptor table GDT", self.descriptors[0]),
            ("descriptor table GDT, limit", self.limits[0].into()),
            ("descriptor table IDT", self.descriptors[1]),
            ("descriptor table IDT, limit", self.limits[1].into()),
        ]);
        values
    }

    /// The values that differ: name, this state's, the other's. The real-time clock is left out if
    /// one of them did not read it.
    #[must_use]
    pub fn differences(&self, other: &Self) -> Vec<(&'static str, u64, u64)> {
        let mut other = *other;
        if self.rtc == [0; 2] || other.rtc == [0; 2] {
            other.rtc = self.rtc;
        }
        let pairs = self.values().into_iter().zip(other.values());
        pairs.filter(|(one, two)| one.1 != two.1).map(|((name, one), (_, two))| (name, one, two)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_has_its_name_and_both_values() {
        let before = State { pic_mask: 0xffff, pic_requests: 1, ..State::default() };
        let after = State { pic_mask: 0xfefa, pic_requests: 2, ..before };
        assert_eq!(before.differences(&after), [("8259 masks", 0xffff, 0xfefa)]);
        assert_eq!(before.differences(&before), []);
        let clock = State { rtc: [0x26, 2], ..before };
        assert_eq!((clock.differences(&before), before.differences(&clock)), (vec![], vec![]));
        assert_eq!(clock.differences(&State { rtc: [0x26, 0x42], ..before }).len(), 1);
    }

    #[test]
    fn every_field_is_read() {
        let bytes: Vec<u8> = (1..).take(field::SIZE).collect();
        let state = State::read(&bytes).unwrap();
        assert!(state.values().iter().all(|(_, value)| *value != 0));
        assert_eq!((state.pic_mask, state.rtc, state.efer), (0x0201, [9, 10], 0x504f_4e4d_4c4b_4a49));
        assert_eq!(State::read(&bytes[..field::SIZE - 1]), None);
    }
}
