//! I/O ports, waiting, and resetting the machine.

use core::arch::asm;

use crate::Ports;

/// The I/O ports of the CPU.
pub(super) struct CpuPorts;

impl Ports for CpuPorts {
    fn write(&mut self, port: u16, byte: u8) {
        // SAFETY: I/O to the ports of console, timer and reset; none of them writes to memory.
        unsafe { asm!("out %al, %dx", in("dx") port, in("al") byte, options(att_syntax, nomem, nostack)) }
    }

    fn read(&mut self, port: u16) -> u8 {
        let byte;
        // SAFETY: as in `write`.
        unsafe { asm!("in %dx, %al", in("dx") port, out("al") byte, options(att_syntax, nomem, nostack)) }
        byte
    }
}

/// Ticks of the 8254 timer (1193182 Hz) in a hundredth of a second.
const HUNDREDTH: u16 = 11_932;
/// Reads of the status port before the timer is taken to be missing. A read takes about a
/// microsecond.
const PATIENCE: u32 = 20_000;

/// Waits for this time by the timer's third channel, which is the speaker's.
pub(super) fn wait(seconds: u64) {
    for _ in 0..seconds.saturating_mul(100) {
        wait_hundredth(&mut CpuPorts);
    }
}

fn wait_hundredth(ports: &mut CpuPorts) {
    let [low, high] = HUNDREDTH.to_le_bytes();
    let gate = ports.read(0x61) & 0xfc;
    ports.write(0x61, gate);
    // Channel 2, both bytes, mode 0: its output rises when it has counted down.
    ports.write(0x43, 0xb0);
    ports.write(0x42, low);
    ports.write(0x42, high);
    ports.write(0x61, gate | 1);
    let _ = (0..PATIENCE).any(|_| ports.read(0x61) & 0x20 != 0);
}

/// Programs both 8259s as the BIOS does: vectors from 0x08 and from 0x70, with its interrupt masks.
pub(super) fn restore_interrupt_controllers(ports: &mut CpuPorts) {
    for (controller, vector, cascade) in [(0x20, 0x08, 0x04), (0xa0, 0x70, 0x02)] {
        ports.write(controller, 0x11);
        for word in [vector, cascade, 0x01] {
            ports.write(controller + 1, word);
        }
    }
    ports.write(0x21, 0xb8);
    ports.write(0xa1, 0x8f);
}

/// Resets the machine: by the chipset, by the keyboard controller, and last by a triple fault.
pub(super) fn reset() -> ! {
    let ports = &mut CpuPorts;
    for (port, byte) in [(0xcf9, 0x02), (0xcf9, 0x06), (0x64, 0xfe)] {
        ports.write(port, byte);
        wait_hundredth(ports);
    }
    let nothing = [0_u16; 5];
    // SAFETY: nothing runs after this: an exception without an interrupt table resets the machine.
    unsafe {
        asm!("lidt ({0})", "int3", "2: hlt", "jmp 2b",
            in(reg) &raw const nothing, options(att_syntax, noreturn))
    }
}
