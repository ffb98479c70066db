//! The test as it runs on a machine: the library's steps on memory by its address.
//!
//! On entry (`start.S`) these facts are known:
//!
//! 1. The CPU is in 64-bit mode, all System RAM is mapped at its physical address, SSE works.
//! 2. Interrupts are off, no other CPU runs, no device writes to memory.
//! 3. The block is the first pages of the image, as far as [`ENTRY`]. Variables are zero or hold
//!    the values of an earlier call.
//!
//! The pages of the image, of the page tables and of the descriptor tables are in use: they are
//! left out and named, so that an image in another place can test them.
// UNSAFETY: memory by its address, registers.
#![allow(unsafe_code)]

#[path = "../../c_functions.rs"]
mod c_functions;

use core::arch::{asm, global_asm};
use core::panic::PanicInfo;

use abi::memtest::{ENTRY, KEPT, MEMORY};

use crate::{Machine, PAGE_WORDS, Page};

global_asm!(include_str!("start.S"), options(att_syntax));

/// Tests memory. Returns one of [`abi::memtest::verdict`].
///
/// # Safety
/// `block` is the start of the image's memory.
#[unsafe(no_mangle)]
unsafe extern "C" fn memtest_main(block: *mut [u8; ENTRY]) -> u64 {
    let memory = block as u64;
    // SAFETY: the block is the image's first pages, in which nothing else is.
    let block = unsafe { &mut *block };
    crate::run(block, &mut Real { memory })
}

struct Real {
    memory: u64,
}

impl Machine for Real {
    fn own(&self) -> (u64, u64) {
        (self.memory, self.memory + MEMORY as u64)
    }

    fn tables(&mut self) -> [u64; 3] {
        let cr3: u64;
        let (mut gdt, mut idt) = ([0_u16; 5], [0_u16; 5]);
        // SAFETY: reads three registers.
        unsafe {
            asm!("mov %cr3, {0}", "sgdt ({1})", "sidt ({2})", out(reg) cr3,
                in(reg) &raw mut gdt, in(reg) &raw mut idt, options(att_syntax, nostack, preserves_flags));
        }
        let base = |pointer: [u16; 5]| {
            let [_, a, b, c, d] = pointer.map(u64::from);
            a | b << 16 | c << 32 | d << 48
        };
        [cr3, base(gdt), base(idt)]
    }

    fn levels(&mut self) -> u32 {
        let cr4: u64;
        // SAFETY: reads a register.
        unsafe { asm!("mov %cr4, {0}", out(reg) cr4, options(att_syntax, nomem, nostack, preserves_flags)) }
        if cr4 & 1 << 12 == 0 { 4 } else { 5 }
    }

    fn word(&mut self, address: u64) -> u64 {
        let word;
        // SAFETY: a word of a page table, which is mapped.
        unsafe {
            asm!("mov ({0}), {1}", in(reg) address, out(reg) word,
                options(att_syntax, nostack, readonly, preserves_flags));
        }
        word
    }

    fn keep(&mut self, address: u64) {
        copy_page(address, self.memory + KEPT as u64);
    }

    fn put_back(&mut self, address: u64) {
        copy_page(self.memory + KEPT as u64, address);
    }

    fn page(&mut self, address: u64) -> &mut Page {
        // SAFETY: the page is mapped, its contents are kept, and nothing else refers to it.
        unsafe { &mut *(address as *mut Page) }
    }

    fn settle(&mut self, address: u64, flush: bool) {
        if flush {
            for line in (address..address + PAGE_WORDS as u64 * 8).step_by(64) {
                // SAFETY: writes a line of the cache back, and drops it.
                unsafe { asm!("clflush ({0})", in(reg) line, options(att_syntax, nostack, preserves_flags)) }
            }
        }
        // SAFETY: waits for it. To the compiler this may write to any memory, so that it reads the
        // page anew.
        unsafe { asm!("mfence", options(att_syntax, nostack, preserves_flags)) }
    }

    fn time(&mut self) -> u64 {
        // SAFETY: reads a counter.
        unsafe { core::arch::x86_64::_rdtsc() }
    }
}

/// Copies a page: both are mapped; one is the image's own, the other is under test.
fn copy_page(from: u64, to: u64) {
    c_functions::copy(from, to, PAGE_WORDS as u64 * 8);
}

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {
        // SAFETY: halts: a fault of this program, which has no panic path, would end here.
        unsafe { asm!("cli", "hlt", options(att_syntax, nomem, nostack)) }
    }
}
