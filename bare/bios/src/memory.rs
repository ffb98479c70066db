//! INT 15h about memory: the program gets the map that the block has, and the rest is reserved.
//!
//! E820h: ACPI specification, 15.1; E801h, 88h, 87h: as the BIOSes of the 1990s have them.

use abi::bios::disk::{RANGE_COUNT, RANGE_SIZE, RANGES, RANGES_MAX};
use abi::bios::registers::{EAX, EBX, ECX, EDI, EDX, ES, ESI};

use crate::block::Block;
use crate::guest::{AH, Guest, Memory, address, low};
use crate::hardware::Hardware;

/// "SMAP".
const SIGNATURE: u32 = 0x534d_4150;
/// No such function.
const UNSUPPORTED: u8 = 0x86;
/// The block move met memory that is not the program's.
const PARITY: u8 = 0x01;
const MEBIBYTE: u64 = 1 << 20;
/// Shift flags of the keyboard in the BIOS's variables: bits 2 and 3 are Ctrl and Alt.
const SHIFT_FLAGS: u64 = 0x417;
const CTRL_ALT: u32 = 1 << 2 | 1 << 3;
/// Keyboard intercept (AH) of the key Del (AL).
const DEL: u16 = 0x4f53;

/// What becomes of a call of INT 15h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The program goes on.
    Done,
    /// It is the BIOS's.
    PassOn,
    /// Ctrl-Alt-Del.
    Keys,
}

/// Serves one call.
pub(crate) fn serve(
    block: &mut Block<'_>,
    memory: Memory,
    guest: &mut Guest,
    hardware: &mut impl Hardware,
) -> Answer {
    let function = guest.get(low(EAX));
    let result = match function {
        DEL if hardware.read(SHIFT_FLAGS) & CTRL_ALT == CTRL_ALT => return Answer::Keys,
        DEL => return Answer::PassOn,
        0xe820 => range(block, memory, guest, hardware),
        0xe801 => {
            in_two_parts(memory, guest);
            Ok(())
        }
        _ if guest.get(AH) == 0x88 => {
            // 16 bits: as if there were at most 15 MiB.
            let kibibytes = memory.above().min(15 * MEBIBYTE) / 1024;
            guest.set(low(EAX), u16::try_from(kibibytes).unwrap_or(0));
            guest.set_carry(false);
            return Answer::Done;
        }
        _ if guest.get(AH) == 0x87 => move_block(memory, guest, hardware),
        _ => Err(UNSUPPORTED),
    };
    if let Err(status) = result {
        guest.set(AH, status);
    }
    guest.set_carry(result.is_err());
    Answer::Done
}

/// One range; EBX is its number, and that of the next one, 0 after the last.
fn range(
    block: &mut Block<'_>,
    memory: Memory,
    guest: &mut Guest,
    hardware: &mut impl Hardware,
) -> Result<(), u8> {
    let count = usize::from(block.get(RANGE_COUNT)).min(RANGES_MAX);
    let number = usize::try_from(guest.get(EBX)).unwrap_or(usize::MAX);
    let to = address(guest.get(ES), guest.get(low(EDI)));
    let size = RANGE_SIZE as u64;
    let is_call = guest.get(EDX) == SIGNATURE && u64::from(guest.get(ECX)) >= size;
    if !is_call || number >= count || !memory.has(to, size) {
        return Err(UNSUPPORTED);
    }
    let bytes = block.bytes_at(RANGES + number * RANGE_SIZE, RANGE_SIZE);
    for (offset, word) in (0..).step_by(4).zip(bytes.chunks_exact(4)) {
        hardware.write(to + offset, word.try_into().map_or(0, u32::from_le_bytes));
    }
    let next = if number + 1 == count { 0 } else { number + 1 };
    guest.set(EBX, u32::try_from(next).unwrap_or(0));
    guest.set(EAX, SIGNATURE);
    guest.set(ECX, u32::try_from(RANGE_SIZE).unwrap_or(0));
    Ok(())
}

/// KiB from 1 to 16 MiB, and units of 64 KiB above.
fn in_two_parts(memory: Memory, guest: &mut Guest) {
    let below = memory.above().min(15 * MEBIBYTE);
    let kibibytes = u16::try_from(below / 1024).unwrap_or(0);
    let units = u16::try_from((memory.above() - below) / 0x1_0000).unwrap_or(u16::MAX);
    for (registers, value) in [([EAX, ECX], kibibytes), ([EBX, EDX], units)] {
        for register in registers {
            guest.set(low(register), value);
        }
    }
}

/// Words from one place to another, by two descriptors of a table at ES:SI.
fn move_block(memory: Memory, guest: &mut Guest, hardware: &mut impl Hardware) -> Result<(), u8> {
    const TABLE: u64 = 0x30;
    let table = address(guest.get(ES), guest.get(low(ESI)));
    if !memory.has(table, TABLE) {
        return Err(PARITY);
    }
    let bytes = u64::from(guest.get(low(ECX))) * 2;
    let [from, to] = [0x10, 0x18].map(|offset| base(table + offset, hardware));
    if bytes > 0x1_0000 || !memory.has(from, bytes) || !memory.has(to, bytes) {
        return Err(PARITY);
    }
    hardware.copy(from, to, bytes);
    guest.set(AH, 0);
    Ok(())
}

/// The base of a descriptor. Intel SDM volume 3, 3.4.5.
fn base(descriptor: u64, hardware: &mut impl Hardware) -> u64 {
    let [first, second] = [0, 4].map(|offset| hardware.read(descriptor + offset));
    u64::from(first >> 16 | (second & 0xff) << 16 | second & 0xff00_0000)
}
