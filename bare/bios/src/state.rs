//! What the calls may change and Linux relies on.

use abi::bios::state::{self as field, LOCAL_APIC_REGISTERS};

use crate::block::set;
use crate::hardware::Hardware;
use crate::local_apic::{BASE, LocalApic};

/// Extended Feature Enable Register.
pub(crate) const EFER: u32 = 0xc000_0080;
/// Of the 8254's status: read and write mode, counting mode, BCD; without output and null count.
const PIT_MODE: u8 = 0x3f;
/// Real-time clock, register A: an update is in progress.
const UPDATING: u8 = 0x80;
/// The index port of the real-time clock: bit 7 disables NMIs.
const NMI_OFF: u8 = 0x80;
/// General configuration of the HPET.
pub(crate) const HPET_CONFIGURATION: u64 = 0x10;

/// The state, with the names of [`abi::bios::state`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) pic_mask: u16,
    pub(crate) pic_levels: u16,
    pub(crate) pic_requests: u16,
    pub(crate) pit_mode: u8,
    pub(crate) port_a: u8,
    pub(crate) rtc: [u8; 2],
    pub(crate) wraps: bool,
    pub(crate) hpet: u32,
    pub(crate) local_apic: [u32; 7],
    pub(crate) vectors: u32,
    pub(crate) apic_base: u64,
    pub(crate) control: [u64; 2],
    pub(crate) efer: u64,
    pub(crate) descriptors: [(u64, u16); 2],
}

impl State {
    /// Reads it. `hpet` is the address of the HPET, 0 for none; the real-time clock is read if
    /// `clock`.
    pub(crate) fn read(hardware: &mut impl Hardware, hpet: u64, clock: bool) -> Self {
        let rtc = if clock { [rtc(hardware, 0x0a) & !UPDATING, rtc(hardware, 0x0b)] } else { [0; 2] };
        Self {
            pic_mask: pair(hardware, 0x21, 0xa1),
            pic_levels: pair(hardware, 0x4d0, 0x4d1),
            pic_requests: pair(hardware, 0x20, 0xa0),
            pit_mode: pit_mode(hardware),
            port_a: hardware.input(0x92),
            rtc,
            wraps: wraps(hardware),
            hpet: if hpet == 0 { 0 } else { hardware.read(hpet + HPET_CONFIGURATION) },
            local_apic: local_apic(hardware),
            vectors: vectors(hardware),
            apic_base: hardware.register(BASE),
            control: hardware.control(),
            efer: hardware.register(EFER),
            descriptors: hardware.descriptors(),
        }
    }

    /// Stores it in the layout of [`abi::bios::state`].
    pub(crate) fn store(&self, bytes: &mut [u8]) {
        set(bytes, field::PIC_MASK, self.pic_mask);
        set(bytes, field::PIC_LEVELS, self.pic_levels);
        set(bytes, field::PIC_REQUESTS, self.pic_requests);
        set(bytes, field::PIT_MODE, self.pit_mode);
        set(bytes, field::PORT_A, self.port_a);
        set(bytes, field::RTC, u16::from_le_bytes(self.rtc));
        set(bytes, field::WRAPS, u16::from(self.wraps));
        set(bytes, field::HPET, self.hpet);
        for (number, value) in self.local_apic.into_iter().enumerate() {
            set(bytes, abi::Field::at(field::LOCAL_APIC + number * 4), value);
        }
        set(bytes, field::VECTORS, self.vectors);
        set(bytes, field::APIC_BASE, self.apic_base);
        set(bytes, field::CR0, self.control[0]);
        set(bytes, field::CR4, self.control[1]);
        set(bytes, field::EFER, self.efer);
        for (number, (address, limit)) in self.descriptors.into_iter().enumerate() {
            set(bytes, field::DESCRIPTORS[number], address);
            set(bytes, field::LIMITS[number], limit);
        }
    }
}

/// Two ports as one number, the first in the low byte.
fn pair(hardware: &mut impl Hardware, low: u16, high: u16) -> u16 {
    u16::from_le_bytes([hardware.input(low), hardware.input(high)])
}

/// Read-back command: the status of channel 0, latched. Intel 8254 data sheet.
fn pit_mode(hardware: &mut impl Hardware) -> u8 {
    hardware.output(0x43, 0xe2);
    hardware.input(0x40) & PIT_MODE
}

pub(crate) fn rtc(hardware: &mut impl Hardware, register: u8) -> u8 {
    hardware.output(0x70, register | NMI_OFF);
    hardware.input(0x71)
}

pub(crate) fn set_rtc(hardware: &mut impl Hardware, register: u8, value: u8) {
    hardware.output(0x70, register | NMI_OFF);
    hardware.output(0x71, value);
}

/// Whether addresses wrap at 1 MiB: the word there changes with the one at a low address. Both are
/// put back. Only the BIOS's area for communication between applications is written to.
fn wraps(hardware: &mut impl Hardware) -> bool {
    const LOW: u64 = 0x4f0;
    const HIGH: u64 = LOW + (1 << 20);
    let (low, high) = (hardware.read(LOW), hardware.read(HIGH));
    if low != high {
        return false;
    }
    hardware.write(LOW, !low);
    let wraps = hardware.read(HIGH) == !low;
    hardware.write(LOW, low);
    wraps
}

fn local_apic(hardware: &mut impl Hardware) -> [u32; 7] {
    match LocalApic::find(hardware) {
        Some(apic) => LOCAL_APIC_REGISTERS.map(|register| apic.read(hardware, register)),
        None => [0; 7],
    }
}

/// The sum of the 256 interrupt vectors.
fn vectors(hardware: &mut impl Hardware) -> u32 {
    (0..256).fold(0, |sum: u32, vector| sum.wrapping_add(hardware.read(vector * 4)))
}
