//! Interrupt controllers and timers: as the BIOS has them during the calls, as Linux had them
//! before and after.

use abi::bios::{self as field, flag};

use crate::block::Block;
use crate::hardware::Hardware;
use crate::local_apic::LocalApic;
use crate::state::{HPET_CONFIGURATION, State, rtc, set_rtc};

/// First vectors of the 8259s in real mode.
const BIOS_VECTORS: [u8; 2] = [0x08, 0x70];
/// HPET: its first two timers take the place of the 8254 and the real-time clock.
const LEGACY_REPLACEMENT: u32 = 1 << 1;
/// 8254: channel 0, both bytes, mode 2. The BIOS's 18.2 Hz is a count of 0, that is 65536.
const PIT_TICKS: u8 = 0x34;
/// Port 0x92: the A20 gate is open. Bit 0 would reset the machine.
const A20: u8 = 1 << 1;
const RESET: u8 = 1 << 0;
/// IRQs 4 and 5 have the vectors of exceptions.
const EXCEPTIONS: u16 = 1 << 4 | 1 << 5;
/// Pins of the I/O APIC that ISA interrupts are wired to.
pub(crate) const PINS: usize = 16;
const PIN_MASKED: u32 = 1 << 16;

/// The parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Interrupts {
    /// Address of the HPET, 0 for none.
    pub(crate) hpet: u64,
    /// Address of the I/O APIC whose pins are masked, 0 for none.
    pub(crate) io_apic: u64,
    /// First vectors of the 8259s in Linux.
    pub(crate) linux_vectors: [u8; 2],
    /// What the 8259s mask during the calls.
    pub(crate) mask: u16,
    /// Whether the BIOS gets interrupts at all.
    pub(crate) wanted: bool,
    /// Whether the real-time clock is put back.
    pub(crate) clock: bool,
}

/// What is put back in addition to a [`State`].
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pins {
    index: u32,
    entries: [u32; PINS],
}

impl Interrupts {
    /// The parameters of a block.
    pub(crate) fn of(block: &Block<'_>) -> Self {
        Self {
            hpet: block.get(field::HPET),
            io_apic: if block.has(flag::MASK_IO_APIC) { block.get(field::IO_APIC) } else { 0 },
            linux_vectors: block.get(field::PIC_LINUX).to_le_bytes(),
            mask: block.get(field::PIC_MASK),
            wanted: !block.has(flag::NO_INTERRUPTS),
            clock: block.has(flag::KEEP_CLOCK),
        }
    }

    /// Sets everything up for the BIOS. Priority comes first: from there on nothing of Linux's
    /// arrives.
    pub(crate) fn to_bios(self, hardware: &mut impl Hardware, before: &State) -> Pins {
        let apic = LocalApic::find(hardware);
        if let Some(apic) = apic {
            apic.hold(hardware);
        }
        let pins = self.mask_pins(hardware);
        if !self.wanted {
            return pins;
        }
        if self.hpet != 0 {
            hardware.write(self.hpet + HPET_CONFIGURATION, before.hpet & !LEGACY_REPLACEMENT);
        }
        hardware.output(0x43, PIT_TICKS);
        hardware.output(0x40, 0);
        hardware.output(0x40, 0);
        set_controllers(hardware, BIOS_VECTORS, self.mask | EXCEPTIONS);
        if let Some(apic) = apic {
            apic.let_through(hardware);
        }
        pins
    }

    /// Puts everything back. The local APIC is last: from there on Linux's interrupts arrive.
    pub(crate) fn to_linux(self, hardware: &mut impl Hardware, before: &State, pins: &Pins) {
        // The periodic interrupt of the clock, which the BIOS's waits use. Reading register C ends
        // one that is pending.
        if self.clock {
            set_rtc(hardware, 0x0a, before.rtc[0]);
            set_rtc(hardware, 0x0b, before.rtc[1]);
            rtc(hardware, 0x0c);
            // Selects a register that nothing changes, and leaves NMIs enabled.
            hardware.output(0x70, 0x0d);
        }
        if self.wanted {
            set_controllers(hardware, self.linux_vectors, before.pic_mask);
            let [low, high] = before.pic_levels.to_le_bytes();
            hardware.output(0x4d0, low);
            hardware.output(0x4d1, high);
            // The status that was read has the layout of a command for channel 0. The count cannot
            // be read back; no kernel that uses it gets here without a suspend.
            hardware.output(0x43, before.pit_mode);
            hardware.output(0x40, 0);
            hardware.output(0x40, 0);
            if self.hpet != 0 {
                hardware.write(self.hpet + HPET_CONFIGURATION, before.hpet);
            }
        }
        self.restore_pins(hardware, pins);
        if let Some(apic) = LocalApic::find(hardware) {
            apic.restore(hardware, before.local_apic);
        }
    }

    fn mask_pins(self, hardware: &mut impl Hardware) -> Pins {
        let mut pins = Pins::default();
        if self.io_apic == 0 {
            return pins;
        }
        pins.index = hardware.read(self.io_apic);
        for (index, entry) in (0x10..).step_by(2).zip(&mut pins.entries) {
            hardware.write(self.io_apic, index);
            *entry = hardware.read(self.io_apic + 0x10);
            hardware.write(self.io_apic + 0x10, *entry | PIN_MASKED);
        }
        pins
    }

    fn restore_pins(self, hardware: &mut impl Hardware, pins: &Pins) {
        if self.io_apic == 0 {
            return;
        }
        for (index, entry) in (0x10..).step_by(2).zip(pins.entries) {
            hardware.write(self.io_apic, index);
            hardware.write(self.io_apic + 0x10, entry);
        }
        hardware.write(self.io_apic, pins.index);
    }
}

/// Opens the A20 gate if a call left it closed: low memory is put back from above 1 MiB.
pub(crate) fn open_a20(hardware: &mut impl Hardware, before: &State) {
    let port = hardware.input(0x92);
    if port & A20 == 0 || port != before.port_a {
        hardware.output(0x92, (before.port_a | A20) & !RESET);
    }
}

/// Initializes both 8259s: edge-triggered, cascaded on IRQ 2, ended by commands; then their masks.
/// Intel 8259A data sheet, ICW1 to ICW4, OCW1. Writes to port 0x80 give slow ones time.
fn set_controllers(hardware: &mut impl Hardware, vectors: [u8; 2], mask: u16) {
    let mask = mask.to_le_bytes();
    let controllers = [(0x20, vectors[0], 0x04, mask[0]), (0xa0, vectors[1], 0x02, mask[1])];
    for (port, vector, cascade, mask) in controllers {
        let steps =
            [(port, 0x11), (port + 1, vector), (port + 1, cascade), (port + 1, 0x01), (port + 1, mask)];
        for (port, byte) in steps {
            hardware.output(port, byte);
            hardware.output(0x80, 0);
        }
    }
}
