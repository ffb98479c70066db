//! The calls as they are made on a machine: the library's steps, carried out on memory, ports,
//! registers and the CPU's mode.
//!
//! On entry (`start.S`) these facts are known:
//!
//! 1. The CPU is in 64-bit mode at privilege level 0. Memory, and the devices that the block names,
//!    are mapped at their physical addresses. SSE works.
//! 2. Interrupts are off. The relocator's gates handle exceptions and NMIs.
//! 3. The page below the code is the block. Variables are zero or hold the values of an earlier
//!    call.
//! 4. The image lies below 4 GiB, within 2 MiB of one mapping of the tables made here.
// UNSAFETY: memory by its address, I/O ports, registers, and the assembly that changes the mode.
#![allow(unsafe_code)]

#[path = "../../c_functions.rs"]
mod c_functions;
mod cpu;

use core::arch::{asm, global_asm};
use core::panic::PanicInfo;

use abi::bios::{ENTRY, LOW_STACK, LOW_STUB, TABLES, registers, stub, why};

use crate::{Handlers, Hardware, Services};
use cpu::{Cpu, read_word, write_word};

/// Selectors of the descriptors in `start.S`.
const CODE_32: u16 = 0x10;
const DATA_32: u16 = 0x18;
const CODE_16: u16 = 0x20;
const DATA_16: u16 = 0x28;
const CODE_64: u16 = 0x30;

global_asm!(
    include_str!("start.S"),
    include_str!("stub.S"),
    include_str!("services.S"),
    CODE_16 = const CODE_16,
    CODE_32 = const CODE_32,
    CODE_64 = const CODE_64,
    DATA_16 = const DATA_16,
    DATA_32 = const DATA_32,
    CR0_PG = const 1_u32 << 31,
    EFER = const 0xc000_0080_u32,
    EFER_LMA = const 1 << 10,
    EFER_LME = const 1 << 8,
    STACK_SEGMENT = const LOW_STACK / 16,
    STACK_TOP = const LOW_STUB - LOW_STACK - 16,
    IN = const stub::IN,
    OUT = const stub::OUT,
    ENTRY_FLAGS = const stub::ENTRY_FLAGS.offset(),
    TARGET = const stub::TARGET.offset(),
    WHY = const stub::WHY.offset(),
    WHERE = const stub::WHERE.offset(),
    NMIS = const stub::NMIS.offset(),
    TICKS = const stub::TICKS.offset(),
    DEADLINE = const stub::DEADLINE.offset(),
    OLD_TICK = const stub::OLD_TICK.offset(),
    DESCRIPTORS_LIMIT = const stub::DESCRIPTORS_LIMIT.offset(),
    BACK = const stub::BACK.offset(),
    CODE = const stub::CODE.offset(),
    TURNS = const stub::TURNS.offset(),
    STEP = const stub::STEP.offset(),
    TICKS_ALLOWED = const stub::TICKS_ALLOWED.offset(),
    TIMES = const stub::TIMES.offset(),
    SCRATCH = const stub::SCRATCH.offset(),
    REAL_MODE = const stub::REAL_MODE.offset(),
    RESUMES = const stub::RESUMES.offset(),
    SERVICE = const stub::SERVICE.offset(),
    FRAME = const stub::FRAME.offset(),
    FRAME_FLAGS = const stub::FRAME_FLAGS.offset(),
    ESP = const stub::ESP.offset(),
    SS = const stub::SS.offset(),
    FS = const stub::FS.offset(),
    GS = const stub::GS.offset(),
    CR4 = const stub::CR4.offset(),
    A20_CLOSED = const stub::A20_CLOSED.offset(),
    OLD_15 = const stub::OLD_15.offset(),
    STUB_STACK = const stub::STACK_TOP,
    RESTART = const why::RESTART,
    WHY_DEADLINE = const why::DEADLINE,
    WHY_EXCEPTION = const why::EXCEPTION,
    STACK = const 0x3000,
    options(att_syntax)
);

// start.S spells the offsets of single registers out.
const _: () = {
    assert!(registers::EBX.offset() == 4 && registers::EDI.offset() == 0x14);
    assert!(registers::EAX.offset() == 0 && registers::EBP.offset() == 0x18);
    assert!(registers::EFLAGS.offset() == 0x1c);
    assert!(registers::DS.offset() == 0x20 && registers::ES.offset() == 0x22);
};

unsafe extern "C" {
    static bios_start: u8;
    static bios_back: u8;
    static bios_stub: u8;
    static bios_real_mode: u8;
    static bios_stub_end: u8;
    static bios_nmi: u8;
    static bios_tick: u8;
    static bios_exception_0: u8;
    static bios_exception_6: u8;
    static bios_exception_12: u8;
    static bios_exception_13: u8;
    static bios_service_13: u8;
    static bios_service_15: u8;
    static bios_service_18: u8;
    static bios_service_19: u8;
    static bios_restarted: u8;
    static bios_descriptors: u8;
    static bios_descriptors_end: u8;
    fn bios_enter_real_mode(tables: u64);
}

/// Makes the calls. Returns one of [`why`].
///
/// # Safety
/// `block` is the start of the image's memory.
#[unsafe(no_mangle)]
unsafe extern "C" fn bios_main(block: *mut [u8; ENTRY]) -> u64 {
    let memory = block as u64;
    // SAFETY: the block is the image's first page, in which nothing else is.
    let block = unsafe { &mut *block };
    let mut machine = Machine { cpu: Cpu, tables: Tables::make(memory) };
    crate::run(block, memory, &mut machine).into()
}

struct Machine {
    cpu: Cpu,
    /// Address of the root of the tables for returning to 64-bit mode.
    tables: u64,
}

struct Tables;

impl Tables {
    /// Maps the 2 MiB that the image lies in at their own address, for both numbers of levels.
    /// Returns the root's address. Intel SDM volume 3, 4.5.
    fn make(memory: u64) -> u64 {
        /// Present, writable, accessed; in the last level a page of 2 MiB, written to.
        const TABLE: u64 = 0x23;
        const PAGE: u64 = 0xe3;
        const LA57: u64 = 1 << 12;
        let at = |number: u64| memory + TABLES as u64 + number * 0x1000;
        let entry = |table: u64, level: u32| table + (memory >> (12 + 9 * level) & 0x1ff) * 8;
        put(entry(at(3), 1), (memory & !0x1f_ffff) | PAGE);
        put(entry(at(2), 2), at(3) | TABLE);
        put(entry(at(1), 3), at(2) | TABLE);
        put(entry(at(0), 4), at(1) | TABLE);
        let [_, cr4] = Cpu.control();
        if cr4 & LA57 == 0 { at(1) } else { at(0) }
    }
}

/// Makes a descriptor one of 64 KiB from a base below 16 MiB on. Intel SDM volume 3, 3.4.5. The
/// CPU may have translated code near it: it is not written to without need.
fn set_base(descriptor: u64, base: u32, access: u32) {
    let halves = [0xffff | base << 16, base >> 16 & 0xff | access << 8];
    for (place, half) in [descriptor, descriptor + 4].into_iter().zip(halves) {
        if read_word(place) != half {
            write_word(place, half);
        }
    }
}

fn put(address: u64, entry: u64) {
    #[expect(clippy::cast_possible_truncation, reason = "the low half, then the high one")]
    let halves = [entry as u32, (entry >> 32) as u32];
    write_word(address, halves[0]);
    write_word(address + 4, halves[1]);
}

/// The address of a label of `start.S`, below 4 GiB. The compiler would look it up in a table of
/// addresses, which nobody fills in.
macro_rules! address {
    ($label:ident) => {{
        let address: u64;
        // SAFETY: computes an address.
        unsafe {
            asm!("lea {label}(%rip), {0}", out(reg) address, label = sym $label,
                options(att_syntax, nomem, nostack, preserves_flags));
        }
        #[expect(clippy::cast_possible_truncation, reason = "the image lies below 4 GiB")]
        let narrow = address as u32;
        narrow
    }};
}

impl Hardware for Machine {
    fn input(&mut self, port: u16) -> u8 {
        self.cpu.input(port)
    }

    fn output(&mut self, port: u16, byte: u8) {
        self.cpu.output(port, byte);
    }

    fn read(&mut self, address: u64) -> u32 {
        read_word(address)
    }

    fn write(&mut self, address: u64, word: u32) {
        write_word(address, word);
    }

    fn copy(&mut self, from: u64, to: u64, bytes: u64) {
        c_functions::copy(from, to, bytes);
    }

    fn register(&mut self, number: u32) -> u64 {
        self.cpu.register(number)
    }

    fn set_register(&mut self, number: u32, value: u64) {
        self.cpu.set_register(number, value);
    }

    fn control(&mut self) -> [u64; 2] {
        self.cpu.control()
    }

    fn descriptors(&mut self) -> [(u64, u16); 2] {
        self.cpu.descriptors()
    }

    fn time(&mut self) -> u64 {
        self.cpu.time()
    }

    fn lay_stub(&mut self, at: u32) {
        let (start, end) = (address!(bios_stub), address!(bios_stub_end));
        c_functions::copy(start.into(), at.into(), (end - start).into());
        let descriptors = address!(bios_descriptors);
        let limit = address!(bios_descriptors_end) - descriptors - 1;
        for (selector, access) in [(CODE_16, 0x9b), (DATA_16, 0x93)] {
            set_base(u64::from(descriptors) + u64::from(selector), at, access);
        }
        let fields = [
            // The field before it ends in the word's low half.
            (stub::DESCRIPTORS_LIMIT.offset() - 2, limit << 16),
            (stub::DESCRIPTORS.offset(), descriptors),
            (stub::BACK.offset(), address!(bios_back)),
            (stub::BACK_SELECTOR.offset(), CODE_32.into()),
            (stub::CODE.offset(), address!(bios_start)),
            (stub::REAL_MODE.offset(), (address!(bios_real_mode) - start) | ((at / 16) << 16)),
        ];
        for (offset, value) in fields {
            write_word(u64::from(at) + offset as u64, value);
        }
    }

    fn real_mode(&mut self) {
        // SAFETY: the stub is in place, interrupts are off, and the tables map this code.
        unsafe { bios_enter_real_mode(self.tables) }
    }

    fn handlers(&self) -> Handlers {
        Handlers {
            all: [
                (0, offset(address!(bios_exception_0))),
                (2, offset(address!(bios_nmi))),
                (6, offset(address!(bios_exception_6))),
                (8, offset(address!(bios_tick))),
                (12, offset(address!(bios_exception_12))),
                (13, offset(address!(bios_exception_13))),
            ],
        }
    }

    fn services(&self) -> Services {
        Services {
            interrupts: [
                (0x13, offset(address!(bios_service_13))),
                (0x15, offset(address!(bios_service_15))),
                (0x18, offset(address!(bios_service_18))),
                (0x19, offset(address!(bios_service_19))),
            ],
            restarted: offset(address!(bios_restarted)),
        }
    }
}

/// Of a handler in the stub.
fn offset(handler: u32) -> u16 {
    #[expect(clippy::cast_possible_truncation, reason = "the stub is one page")]
    let offset = (handler - address!(bios_stub)) as u16;
    offset
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    cpu::stop()
}
