//! Purgatory's body: what the library decides, done to memory and I/O ports.
// UNSAFETY: memory by its address, I/O ports, and the end of the machine.
#![allow(unsafe_code)]

mod cpu;
mod memory;

use core::arch::global_asm;
use core::panic::PanicInfo;

use crate::{Block, Console, Damage, append_jump_back, verify};
use abi::purgatory::{self as told, ENTRY, flag, mode, verdict};
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
    MODE = const told::MODE.offset(),
    GOAL = const told::GOAL.offset(),
    REGISTERS = const told::REGISTERS,
    SEGMENTS = const told::SEGMENTS.offset(),
    LOW_PAGE = const told::LOW_PAGE.offset(),
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

/// Null, unused, 32-bit code and data, 16-bit code and data, all accessed already (Intel SDM volume 3, 3.4.5).
const NARROW: [u64; 6] =
    [0, 0, 0x00cf_9b00_0000_ffff, 0x00cf_9300_0000_ffff, 0x0000_9b00_0000_ffff, 0x0000_9300_0000_ffff];

/// Does everything but the jump. Returns 0 if the goal is to be entered, else what the kernel is to be told.
///
/// # Safety
/// `block` is the start of purgatory's memory; `kernel_stack` is what the kernel came with; `descriptors` has room for those
/// of 32-bit and real mode.
#[unsafe(no_mangle)]
unsafe extern "C" fn purgatory_main(
    block: *const [u8; ENTRY],
    kernel_stack: *const u64,
    descriptors: *mut [u64; 6],
) -> u64 {
    // SAFETY: the caller's promise; nobody writes to the block.
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
        // SAFETY: who comes back leaves a return address on top of the stack.
        tell_way_back(&block, unsafe { *kernel_stack });
    }
    // SAFETY: the caller's promise.
    unsafe { *descriptors = NARROW };
    if block.get(told::MODE) == mode::REAL {
        cpu::restore_interrupt_controllers(console.ports());
    }
    0
}

fn console(block: &Block<'_>) -> Speaker {
    let mut console = Console::new(CpuPorts);
    if block.has(flag::RESET_VGA) {
        console.reset_vga();
    }
    let port = u16::try_from(block.get(told::SERIAL_PORT)).unwrap_or(0);
    if block.has(flag::CONSOLE_SERIAL) && port != 0 {
        console.use_serial(port, block.get(told::SERIAL_BAUD));
    }
    if block.has(flag::CONSOLE_VGA) {
        console.use_screen(memory::screen());
    }
    console
}

fn check(block: &Block<'_>, console: &mut Speaker) -> Result<(), Damage> {
    if !block.has(flag::CHECK) {
        console.say("purgatory: unchecked\n");
        return Ok(());
    }
    let bytes = block.regions().fold(0, |sum: u64, region| sum.wrapping_add(region.bytes));
    console.say("purgatory: checking ");
    console.say_number(bytes);
    console.say(" bytes\n");
    verify(block, memory::bytes)?;
    console.say("purgatory: all is as it was loaded\n");
    Ok(())
}

/// Back to a kernel that waits; else the end of this run of the machine.
fn fail(block: &Block<'_>, console: &mut Speaker, damage: &Damage) -> u64 {
    console.say("purgatory: what was loaded is damaged: ");
    match damage {
        Damage::Digest { loaded, found } => {
            console.say("its digest was ");
            console.say_hex(loaded);
            console.say(", and is ");
            console.say_hex(found);
        }
        Damage::NotZero { region } => {
            console.say("no longer zero behind ");
            console.say_hex(&region.start.wrapping_add(region.bytes).to_be_bytes());
        }
    }
    if block.has(flag::COMES_BACK) {
        console.say("\npurgatory: back to the kernel\n");
        return verdict::DAMAGED;
    }
    let seconds = block.get(told::PAUSE);
    console.say("\npurgatory: reset in ");
    console.say_number(seconds);
    console.say(" s\n");
    cpu::wait(seconds);
    cpu::reset()
}

fn copy(block: &Block<'_>) {
    let size = block.get(told::COPY_SIZE);
    if size > 0 {
        memory::copy(block.get(told::COPY_FROM), block.get(told::COPY_TO), size);
    }
}

fn tell_way_back(block: &Block<'_>, entry: u64) {
    let end = block.get(told::COMMAND_LINE_END);
    if end != 0 {
        // The plan leaves room; without it the kernel just does not know the way.
        let _ = append_jump_back(memory::bytes_mut(end, block.get(told::COMMAND_LINE_ROOM)), entry);
    }
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    cpu::reset()
}
