//! The CPU state that a program can observe: vector registers, rounding mode, a breakpoint, an
//! exception.
// UNSAFETY: assembly sets and reads registers; the system call for a breakpoint has no safe
// wrapper, and the writes that it counts must not be optimised away.
#![allow(unsafe_code)]

use std::arch::{asm, global_asm};
use std::fs::File;
use std::io::{self, Read as _};
use std::mem::{offset_of, size_of};
use std::os::fd::{AsFd as _, AsRawFd as _, FromRawFd as _};

use abi::device::{CALL, Call, feature};
use anyhow::{Result, ensure};
use sys::Device;

use crate::numbers::Numbers;

/// All vector registers, a number in an x87 register, and the control words of SSE and x87.
#[repr(C)]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Vectors {
    registers: [[u64; 4]; 16],
    number: f64,
    sse: u32,
    x87: u16,
}

impl Vectors {
    /// Pseudo-random registers, rounding down; the upper halves are zero if the CPU has no AVX.
    pub(crate) fn new(seed: u64) -> Self {
        let mut numbers = Numbers(seed);
        let width = if has_avx() { 4 } else { 2 };
        let mut registers = [[0; 4]; 16];
        for register in &mut registers {
            register[..width].fill_with(|| numbers.next());
        }
        Self { registers, number: std::f64::consts::PI, sse: 0x3f80, x87: 0x077f }
    }
}

fn has_avx() -> bool {
    std::is_x86_feature_detected!("avx")
}

/// Calls the image of an open device with these vector registers, and stores the registers after
/// the call in them.
pub(crate) fn call_with(device: &Device, call: &mut Call, vectors: &mut Vectors) -> io::Result<()> {
    // SAFETY: CALL takes a `kjump_call`, which contains no pointer.
    let result = unsafe { ioctl_with_vectors(device.as_fd().as_raw_fd(), CALL, call, vectors, has_avx()) };
    answer(result).map(drop)
}

/// System calls return -errno or a result.
fn answer(result: i64) -> io::Result<i32> {
    match i32::try_from(result) {
        Ok(errno @ -4095..0) => Err(io::Error::from_raw_os_error(-errno)),
        Ok(fine) => Ok(fine),
        Err(error) => Err(io::Error::other(error)),
    }
}

unsafe extern "C" {
    fn ioctl_with_vectors(
        fd: i32,
        request: u32,
        argument: *mut Call,
        vectors: *mut Vectors,
        avx: bool,
    ) -> i64;
}

// System V call; a system call keeps all registers but %rax, %rcx and %r11. 16 is ioctl(2).
global_asm!(
    r"
        .balign 16
ioctl_with_vectors:
        push    %rbx
        sub     $16, %rsp
        stmxcsr (%rsp)
        fnstcw  4(%rsp)
        mov     %rcx, %rbx
        test    %r8b, %r8b
        jz      1f
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        vmovdqu 32 * \n(%rbx), %ymm\n
        .endr
        jmp     2f
1:      .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        movdqu  32 * \n(%rbx), %xmm\n
        .endr
2:      fldl    {NUMBER}(%rbx)
        ldmxcsr {SSE}(%rbx)
        fldcw   {X87}(%rbx)
        mov     $16, %eax
        syscall
        fnstcw  {X87}(%rbx)
        stmxcsr {SSE}(%rbx)
        fstpl   {NUMBER}(%rbx)
        test    %r8b, %r8b
        jz      3f
        .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        vmovdqu %ymm\n, 32 * \n(%rbx)
        .endr
        vzeroupper
        jmp     4f
3:      .irp    n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
        movdqu  %xmm\n, 32 * \n(%rbx)
        .endr
4:      ldmxcsr (%rsp)
        fldcw   4(%rsp)
        add     $16, %rsp
        pop     %rbx
        ret
",
    NUMBER = const offset_of!(Vectors, number),
    SSE = const offset_of!(Vectors, sse),
    X87 = const offset_of!(Vectors, x87),
    options(att_syntax)
);

/// A word of memory, and the kernel's count of the writes to it, by a breakpoint register.
pub(crate) struct Watched {
    place: Box<u64>,
    count: File,
    writes: u64,
}

/// `struct perf_event_attr` of `include/uapi/linux/perf_event.h`, its second version.
#[repr(C)]
#[derive(Default)]
struct PerfEvent {
    kind: u32,
    size: u32,
    config: u64,
    sample: [u64; 3],
    flags: u64,
    wakeup: u32,
    breakpoint: u32,
    address: u64,
    length: u64,
}

impl Watched {
    pub(crate) fn new() -> io::Result<Self> {
        let place = Box::new(0);
        let event = PerfEvent {
            kind: 5, // PERF_TYPE_BREAKPOINT
            size: size_of::<PerfEvent>() as u32,
            flags: 1 << 5 | 1 << 6, // not in the kernel, nor in a hypervisor
            breakpoint: 2,          // writes
            address: (&raw const *place).expose_provenance() as u64,
            length: 8,
            ..PerfEvent::default()
        };
        let fd = answer(perf_event_open(&event))?;
        // SAFETY: the file descriptor is new.
        Ok(Self { place, count: unsafe { File::from_raw_fd(fd) }, writes: 0 })
    }

    /// Writes a few more times, and compares the count.
    pub(crate) fn check(&mut self) -> Result<()> {
        for _ in 0..10 {
            self.writes += 1;
            // SAFETY: the word is ours.
            unsafe { (&raw mut *self.place).write_volatile(self.writes) };
        }
        let mut counted = [0; 8];
        self.count.read_exact(&mut counted)?;
        let counted = u64::from_le_bytes(counted);
        ensure!(counted == self.writes, "the breakpoint counted {counted} writes of {}", self.writes);
        Ok(())
    }
}

/// For this task, on any CPU.
fn perf_event_open(event: &PerfEvent) -> i64 {
    let mut result: i64 = 298; // perf_event_open(2)
    // SAFETY: the kernel reads the event, which contains its size.
    unsafe {
        asm!("syscall", inlateout("rax") result, in("rdi") event, in("rsi") 0, in("rdx") -1_i64,
            in("r10") -1_i64, in("r8") 0, out("rcx") _, out("r11") _, options(nostack, att_syntax));
    }
    result
}

/// `crash`: reads address 8, so that the kernel ends this program by SIGSEGV.
pub(crate) fn crash(_: &[String]) -> Result<()> {
    // SAFETY: the address is unmapped; the exception is intended.
    unsafe { asm!("mov 8, {0}", out(reg) _, options(att_syntax, nostack)) };
    Ok(())
}

/// The time stamp counter.
pub(crate) fn ticks() -> u64 {
    // SAFETY: every 64-bit CPU has it.
    unsafe { std::arch::x86_64::_rdtsc() }
}

/// `machine`: prints the features of the page tables.
pub(crate) fn machine(_: &[String]) -> Result<()> {
    let info = Device::open()?.info()?;
    let large = if info.features & feature::GIGABYTE_PAGES == 0 { "no pages" } else { "pages" };
    let flags = std::fs::read_to_string("/proc/cpuinfo")?;
    let isolated = flags.split_whitespace().any(|flag| flag == "pti");
    let isolated = if isolated { "isolated" } else { "not isolated" };
    println!("{} levels of page tables, {large} of 1 GiB, {isolated}", info.paging_levels);
    Ok(())
}
