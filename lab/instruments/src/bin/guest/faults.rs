//! Images that raise exceptions.

use abi::control::{Fault, selector};
use abi::device::{mode, quiesce, status};
use anyhow::{Context as _, Result, ensure};

use crate::image::{Image, Plan, level};

/// The expected report of an exception.
struct Expected {
    argument: u64,
    vector: u64,
    error_code: u64,
    /// Bytes of machine code at this distance from the reported address.
    code: &'static [u8],
    offset: i64,
    cr2: Option<u64>,
    /// The stack pointer, if the image changed it.
    stack: Option<u64>,
    /// `rax rcx rdx`; the other registers are the same for all.
    registers: [u64; 3],
}

const fn expected(vector: u64, offset: i64, code: &'static [u8]) -> Expected {
    let registers = [vector, 0x2222, 0x3333];
    Expected { argument: vector, vector, error_code: 0, code, offset, cr2: None, stack: None, registers }
}

/// An address that is not mapped for any image.
const NOWHERE: u64 = 0x7fff_ffff_f000;

// Faults report the address of the instruction, traps that of the next one.
const DIVIDE: Expected = Expected { registers: [0; 3], ..expected(0, 0, &[0xf7, 0xf1]) };
const DEBUG: Expected = expected(1, -1, &[0x90]);
const BREAKPOINT: Expected = expected(3, -1, &[0xcc]);
const OPCODE: Expected = expected(6, 0, &[0x0f, 0x0b]);
const PROTECTION: Expected =
    Expected { error_code: 0xfffc, registers: [0xffff, 0x2222, 0x3333], ..expected(13, 0, &[0x8e, 0xd8]) };
const READ_NOWHERE: &[u8] = &[0x48, 0x8b, 0x07];
const DOUBLE: Expected = Expected { cr2: Some(NOWHERE), ..expected(8, 0, READ_NOWHERE) };
const PAGE: Expected = Expected { cr2: Some(NOWHERE), ..expected(14, 0, READ_NOWHERE) };
const STACK: Expected = Expected {
    argument: 32,
    error_code: 2,
    cr2: Some(NOWHERE - 8),
    stack: Some(NOWHERE),
    registers: [32, 0x2222, 0x3333],
    ..expected(14, 0, &[0x50])
};

/// The exceptions of `fault64`.
const LONG: [Expected; 8] = [DIVIDE, DEBUG, BREAKPOINT, OPCODE, DOUBLE, PROTECTION, PAGE, STACK];
/// The exceptions of `fault32`.
const PROTECTED: [Expected; 5] = [DIVIDE, DEBUG, BREAKPOINT, OPCODE, PROTECTION];

/// `faults LEVEL...`: every exception is reported with its vector, error code, address and
/// registers; the image, another image and the kernel keep working.
pub(crate) fn faults(arguments: &[String]) -> Result<()> {
    let neighbour = Plan::payload("sum64")?.load()?;
    for (name, list) in [("fault64", &LONG[..]), ("fault32", &PROTECTED[..])] {
        let plan = Plan::payload(name)?;
        let image = plan.load()?;
        let before = neighbour.call(&[], quiesce::NONE)?.calls;
        for (word, round) in arguments.iter().zip(1..) {
            for (expected, number) in list.iter().zip(1..) {
                fault(&image, plan.mode, expected, level(word)?)
                    .with_context(|| format!("{name} {}, {word}", expected.argument))?;
                image.gives(0, &[99], level(word)?)?;
                let made = before + (round - 1) * list.len() as u64 + number;
                neighbour.gives(7 + 1000 * made, &[7], quiesce::AUTO)?;
            }
        }
        count(&image, arguments.len() * list.len())?;
        println!("{name}: {} exceptions", arguments.len() * list.len());
    }
    Ok(())
}

fn fault(image: &Image, mode: u64, expected: &Expected, level: u64) -> Result<()> {
    let call = image.device.call([expected.argument, 2, 3, 4, 5, 6], level)?;
    ensure!(call.status == status::FAULT, "no exception: {call:x?}");
    let fault = call.fault;
    place(image, mode, expected, &fault).with_context(|| format!("{fault:x?}"))?;
    registers(mode, expected, &fault).with_context(|| format!("{fault:x?}"))
}

fn place(image: &Image, mode: u64, expected: &Expected, fault: &Fault) -> Result<()> {
    ensure!(
        (fault.vector, fault.error_code) == (expected.vector, expected.error_code),
        "wrong vector or code"
    );
    let code_segment = if mode == mode::PROTECTED { selector::CODE_32 } else { selector::CODE_64 };
    ensure!(fault.cs == u64::from(code_segment), "wrong code segment");
    let mut code = vec![0; expected.code.len()];
    image.device.read(fault.rip.wrapping_add_signed(expected.offset), &mut code)?;
    ensure!(code == expected.code, "the code there is {code:x?}");
    if let Some(cr2) = expected.cr2 {
        ensure!(fault.cr2 == cr2, "wrong CR2");
    }
    // Interrupts were off, bit 1 is always set.
    ensure!(fault.rflags & 0x202 == 2, "wrong flags");
    Ok(())
}

fn registers(mode: u64, expected: &Expected, fault: &Fault) -> Result<()> {
    let [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, _, _, high @ ..] = fault.registers;
    ensure!([rax, rcx, rdx] == expected.registers, "wrong rax, rcx or rdx");
    if mode == mode::PROTECTED {
        ensure!([rbx, rbp, rsi, rdi] == [0x1111, 0x5555, 0x6666, 0x7777], "wrong ebx, ebp, esi or edi");
        ensure!(fault.registers[8..] == [0; 8], "32-bit code has no r8 to r15");
    } else {
        let argument = if expected.code == READ_NOWHERE { NOWHERE } else { expected.argument };
        ensure!([rbx, rsi, rdi] == [0x1111, 2, argument], "wrong rbx, rsi or rdi");
        ensure!([r8, r9] == [5, 6] && high == [0xcccc, 0xdddd, 0xeeee, 0xffff], "wrong r8 to r15");
    }
    let stack = expected.stack.unwrap_or(rsp);
    ensure!(rsp == stack && rsp != 0 && rsp % 4 == 0, "wrong stack pointer");
    Ok(())
}

/// Checks the image's own count of faults.
fn count(image: &Image, faults: usize) -> Result<()> {
    let images = image.device.images()?;
    let info = images.iter().find(|info| info.id == image.load.id).context("the image is not listed")?;
    ensure!(info.faults == faults as u64, "{} faults are counted, {faults} occurred", info.faults);
    Ok(())
}
