//! Purgatory as it runs between two kernels: the library's decisions, carried out on memory and I/O
//! ports.
//!
//! On entry (`start.S`) these facts are known:
//!
//! 1. The CPU is in 64-bit mode at privilege level 0, and memory is mapped at its physical
//!    addresses.
//! 2. Interrupts are off, no other CPU runs, and devices have stopped or do not matter (after a
//!    crash).
//! 3. The page below the code is the block: the entry point, the mode and registers for it, and the
//!    regions to verify. It may be damaged, as everything else in memory.
//! 4. Purgatory's variables are zero or hold the values of an earlier entry. They and the stack
//!    follow the code.
//! 5. If the block has `COMES_BACK`, a kernel waits: its return address is on top of the stack on
//!    entry.
//!
//! Nothing is known of the stack (without `COMES_BACK`), the GDT, the IDT, the segments or the
//! vector registers.
//!
//! Purgatory is responsible for:
//!
//! 1. Verifying the digest of every region before anything of it is used or executed.
//! 2. Copying what must move before the entry (the first 640 KiB of a crashed kernel), and adding
//!    the jump-back entry to the command line if the kernel waits.
//! 3. Entering the next kernel in the mode and with the registers of the block, the 8259s as the
//!    BIOS has them in real mode.
//! 4. If something is damaged: returning to the kernel that waits, with [`verdict::DAMAGED`], or
//!    else resetting the machine after the pause that the block names. It never enters an image
//!    that fails its digest.
// UNSAFETY: memory by its address, I/O ports, and resetting the machine.
#![allow(unsafe_code)]

#[path = "../../c_functions.rs"]
mod c_functions;
mod cpu;
mod memory;

use core::arch::global_asm;
use core::panic::PanicInfo;

use crate::{Block, Console, Damage, verify, write_jump_back};
use abi::purgatory::{self as field, ENTRY, flag, mode, verdict};
use cpu::CpuPorts;

type Speaker = Console<'static, CpuPorts>;

/// CR0: task switched, emulation.
const CR0_NO_VECTORS: u32 = 1 << 3 | 1 << 2;
const CR0_PG: u32 = 1 << 31;
/// CR4: OSFXSR, OSXMMEXCPT.
const CR4_VECTORS: u32 = 1 << 9 | 1 << 10;
/// Model-specific register: long mode.
const EFER: u32 = 0xc000_0080;
const EFER_LME: u32 = 1 << 8;

global_asm!(
    include_str!("start.S"),
    MODE = const field::MODE.offset(),
    GOAL = const field::GOAL.offset(),
    REGISTERS = const field::REGISTERS,
    SEGMENTS = const field::SEGMENTS.offset(),
    LOW_PAGE = const field::LOW_PAGE.offset(),
    MODE_LONG = const mode::LONG,
    MODE_REAL = const mode::REAL,
    CR0_NO_VECTORS = const CR0_NO_VECTORS,
    CR0_PG = const CR0_PG,
    CR4_VECTORS = const CR4_VECTORS,
    EFER = const EFER,
    EFER_LME = const EFER_LME,
    STACK = const 0x4000,
    options(att_syntax)
);

/// Null, unused, 32-bit code and data, 16-bit code and data, all with the accessed bit set (Intel
/// SDM volume 3, 3.4.5).
const NARROW: [u64; 6] =
    [0, 0, 0x00cf_9b00_0000_ffff, 0x00cf_9300_0000_ffff, 0x0000_9b00_0000_ffff, 0x0000_9300_0000_ffff];

/// Does everything but the jump. Returns 0 to enter the next kernel, or else the value to return to
/// the waiting kernel.
///
/// # Safety
/// `block` is the start of purgatory's memory; `kernel_stack` is the stack pointer on entry;
/// `descriptors` has room for the descriptors of 32-bit and real mode.
#[unsafe(no_mangle)]
unsafe extern "C" fn purgatory_main(
    block: *const [u8; ENTRY],
    kernel_stack: *const u64,
    descriptors: *mut [u64; 6],
) -> u64 {
    // SAFETY: the caller's promise; the block is not written to.
    let block = Block::new(unsafe { &*block });
    let Some(block) = block else {
        cpu::reset();
    };
    let mut console = console(&block);
    if let Err(damage) = check(&block, &mut console) {
        return fail(&block, &mut console, &damage);
    }
    copy(&block);
    if block.has(flag::COMES_BACK) {
        // SAFETY: a kernel that waits has left its return address on top of the stack.
        write_jump_back_entry(&block, unsafe { *kernel_stack });
    }
    // SAFETY: the caller's promise.
    unsafe { *descriptors = NARROW };
    if block.get(field::MODE) == mode::REAL {
        cpu::restore_interrupt_controllers(console.ports());
    }
    0
}

fn console(block: &Block<'_>) -> Speaker {
    let mut console = Console::new(CpuPorts);
    if block.has(flag::RESET_VGA) {
        console.reset_vga();
    }
    let port = u16::try_from(block.get(field::SERIAL_PORT)).unwrap_or(0);
    if block.has(flag::CONSOLE_SERIAL) && port != 0 {
        console.use_serial(port, block.get(field::SERIAL_BAUD));
    }
    if block.has(flag::CONSOLE_VGA) {
        console.use_screen(memory::screen());
    }
    console
}

fn check(block: &Block<'_>, console: &mut Speaker) -> Result<(), Damage> {
    if !block.has(flag::CHECK) {
        console.print("purgatory: unchecked\n");
        return Ok(());
    }
    let bytes = block.regions().fold(0, |sum: u64, region| sum.wrapping_add(region.bytes));
    console.print("purgatory: checking ");
    console.say_number(bytes);
    console.print(" bytes\n");
    verify(block, memory::bytes)?;
    console.print("purgatory: all is as it was loaded\n");
    Ok(())
}

/// Prints the damage. Returns the value for a kernel that waits; without one, resets the machine.
fn fail(block: &Block<'_>, console: &mut Speaker, damage: &Damage) -> u64 {
    console.print("purgatory: what was loaded is damaged: ");
    match damage {
        Damage::Digest { loaded, found } => {
            console.print("its digest was ");
            console.say_hex(loaded);
            console.print(", and is ");
            console.say_hex(found);
        }
        Damage::NotZero { region } => {
            console.print("no longer zero after ");
            console.say_hex(&region.start.wrapping_add(region.bytes).to_be_bytes());
        }
    }
    if block.has(flag::COMES_BACK) {
        console.print("\npurgatory: back to the kernel\n");
        return verdict::DAMAGED;
    }
    let seconds = block.get(field::PAUSE);
    console.print("\npurgatory: reset in ");
    console.say_number(seconds);
    console.print(" s\n");
    cpu::wait(seconds);
    cpu::reset()
}

fn copy(block: &Block<'_>) {
    let size = block.get(field::COPY_SIZE);
    if size > 0 {
        c_functions::copy(block.get(field::COPY_FROM), block.get(field::COPY_TO), size);
    }
}

fn write_jump_back_entry(block: &Block<'_>, entry: u64) {
    let parameter = block.get(field::JUMP_BACK);
    if parameter != 0 {
        let size = field::JUMP_BACK_PARAMETER.len() as u64;
        // Without its parameter, the next kernel runs but cannot return.
        let _ = write_jump_back(memory::bytes_mut(parameter, size), entry);
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    cpu::reset()
}
