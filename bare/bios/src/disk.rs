//! INT 13h from a disk in memory.
//!
//! IBM's "Personal System/2 and Personal Computer BIOS Interface Technical Reference"; for 41h to
//! 48h the "BIOS Enhanced Disk Drive Specification", version 1.1.

use abi::bios::disk::{self as field, SECTOR};
use abi::bios::registers::{DS, EBX, ECX, EDI, EDX, ES, ESI};

use crate::block::Block;
use crate::guest::{AH, AL, Guest, Memory, address, low, lowest, second};
use crate::hardware::Hardware;

/// Statuses in AH.
mod status {
    pub(super) const OK: u8 = 0x00;
    pub(super) const BAD_COMMAND: u8 = 0x01;
    pub(super) const NOT_FOUND: u8 = 0x04;
    pub(super) const DATA_BOUNDARY: u8 = 0x09;
}

/// The first hard disk.
const HARD_DISK: u8 = 0x80;
/// Where the vector of the floppy disk parameters is.
const FLOPPY_PARAMETERS: u64 = 0x1e * 4;

/// What happens to sectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Read,
    Write,
    Verify,
}

/// Neighbouring sectors, and the memory for them.
#[derive(Clone, Copy, Debug)]
struct Transfer {
    way: Way,
    first: u64,
    count: u64,
    memory: u64,
}

/// The disk.
#[derive(Debug)]
pub(crate) struct Disk {
    contents: u64,
    sectors: u64,
    cylinders: u32,
    heads: u16,
    track: u16,
    drive: u8,
    floppy_type: u8,
    memory: Memory,
    /// Status of the last call.
    last: u8,
    pub(crate) requests: u32,
    pub(crate) failed: u32,
    pub(crate) read: u64,
    pub(crate) written: u64,
}

impl Disk {
    pub(crate) fn new(block: &Block<'_>, memory: Memory) -> Self {
        Self {
            contents: block.get(field::CONTENTS),
            sectors: block.get(field::SECTORS),
            cylinders: block.get(field::CYLINDERS).clamp(1, 1024),
            heads: block.get(field::HEADS).clamp(1, 256),
            track: block.get(field::TRACK).clamp(1, 63),
            drive: block.get(field::DRIVE),
            floppy_type: block.get(field::FLOPPY_TYPE),
            memory,
            last: status::OK,
            requests: 0,
            failed: 0,
            read: 0,
            written: 0,
        }
    }

    pub(crate) const fn drive(&self) -> u8 {
        self.drive
    }

    pub(crate) const fn is_hard(&self) -> bool {
        self.drive & HARD_DISK != 0
    }

    /// Serves one call.
    pub(crate) fn serve(&mut self, guest: &mut Guest, hardware: &mut impl Hardware) {
        let function = guest.get(AH);
        let is_ours = guest.get(lowest(EDX)) == self.drive;
        self.requests = self.requests.saturating_add(1);
        let result = match function {
            // A disk that is not there: its type is "none".
            0x15 if !is_ours => {
                guest.set(AH, 0);
                guest.set_carry(false);
                return;
            }
            0x15 => {
                self.kind(guest);
                return;
            }
            // All hard disks, or all floppy disks, are counted for any of them.
            0x08 if guest.get(lowest(EDX)) & HARD_DISK == self.drive & HARD_DISK => {
                self.parameters(guest, hardware)
            }
            _ if !is_ours => Err(status::BAD_COMMAND),
            0x01 => {
                let last = self.last;
                guest.set(AH, last);
                guest.set_carry(last != status::OK);
                return;
            }
            _ => self.function(function, guest, hardware),
        };
        let status = result.err().unwrap_or(status::OK);
        self.failed = self.failed.saturating_add((status != status::OK).into());
        self.last = status;
        guest.set_carry(status != status::OK);
        // A check for extensions that succeeds returns their version there.
        if function != 0x41 || status != status::OK {
            guest.set(AH, status);
        }
    }

    fn function(&mut self, function: u8, guest: &mut Guest, hardware: &mut impl Hardware) -> Result<(), u8> {
        match function {
            // Reset, set up, seek, reset, ready, recalibrate, diagnose; then: the disk is the same.
            0x00 | 0x09 | 0x0c | 0x0d | 0x10 | 0x11 | 0x14 => Ok(()),
            0x16 if !self.is_hard() => Ok(()),
            0x02 => self.by_cylinder(Way::Read, guest, hardware),
            0x03 => self.by_cylinder(Way::Write, guest, hardware),
            0x04 => self.by_cylinder(Way::Verify, guest, hardware),
            _ if !self.is_hard() => Err(status::BAD_COMMAND),
            0x41 => Self::extensions(guest),
            0x42 => self.by_packet(Way::Read, guest, hardware),
            0x43 => self.by_packet(Way::Write, guest, hardware),
            0x44 => self.by_packet(Way::Verify, guest, hardware),
            0x47 => Ok(()),
            0x48 => self.extended_parameters(guest, hardware),
            _ => Err(status::BAD_COMMAND),
        }
    }

    /// Sectors by cylinder, head and sector, which cannot name more than a track at a time on
    /// floppy disks; here any number that the disk has.
    fn by_cylinder(&mut self, way: Way, guest: &mut Guest, hardware: &mut impl Hardware) -> Result<(), u8> {
        let count = u64::from(guest.get(AL));
        guest.set(AL, 0);
        let (sector, cylinder) = (guest.get(lowest(ECX)), guest.get(second(ECX)));
        let head = u64::from(guest.get(second(EDX)));
        let cylinder = u64::from(cylinder) | u64::from(sector & 0xc0) << 2;
        let sector = u64::from(sector & 0x3f);
        if head >= self.heads.into() || sector == 0 || sector > self.track.into() || count == 0 {
            return Err(status::NOT_FOUND);
        }
        let first = (cylinder * u64::from(self.heads) + head) * u64::from(self.track) + sector - 1;
        let memory = address(guest.get(ES), guest.get(low(EBX)));
        self.transfer(Transfer { way, first, count, memory }, hardware)?;
        #[expect(clippy::cast_possible_truncation, reason = "it was AL")]
        guest.set(AL, count as u8);
        Ok(())
    }

    /// Sectors by a packet: its size, a zero, their number in two bytes, where they go to in
    /// memory, the number of the first in eight.
    fn by_packet(&mut self, way: Way, guest: &Guest, hardware: &mut impl Hardware) -> Result<(), u8> {
        let packet = address(guest.get(DS), guest.get(low(ESI)));
        if !self.memory.has(packet, 16) {
            return Err(status::DATA_BOUNDARY);
        }
        let head = hardware.read(packet);
        if head & 0xff < 16 {
            return Err(status::BAD_COMMAND);
        }
        let count = u64::from(head >> 16);
        let place = hardware.read(packet + 4);
        let first = u64::from(hardware.read(packet + 8)) | u64::from(hardware.read(packet + 12)) << 32;
        let [low, high] = [place & 0xffff, place >> 16];
        let memory = u64::from(high) * 16 + u64::from(low);
        let result = self.transfer(Transfer { way, first, count, memory }, hardware);
        if result.is_err() {
            // How many were transferred.
            hardware.write(packet, head & 0xffff);
        }
        result
    }

    /// All sectors or none.
    fn transfer(&mut self, transfer: Transfer, hardware: &mut impl Hardware) -> Result<(), u8> {
        let Transfer { way, first, count, memory } = transfer;
        let last = first.checked_add(count).ok_or(status::NOT_FOUND)?;
        if last > self.sectors {
            return Err(status::NOT_FOUND);
        }
        let bytes = count * u64::from(SECTOR);
        let disk = self.contents + first * u64::from(SECTOR);
        if way != Way::Verify && !self.memory.has(memory, bytes) {
            return Err(status::DATA_BOUNDARY);
        }
        match way {
            Way::Read => {
                hardware.copy(disk, memory, bytes);
                self.read += count;
            }
            Way::Write => {
                hardware.copy(memory, disk, bytes);
                self.written += count;
            }
            Way::Verify => {}
        }
        Ok(())
    }

    /// 08h: the greatest cylinder, head and sector, and how many disks there are.
    fn parameters(&self, guest: &mut Guest, hardware: &mut impl Hardware) -> Result<(), u8> {
        let [cylinder, high, ..] = (self.cylinders - 1).to_le_bytes();
        let [track, _] = self.track.to_le_bytes();
        let [head, _] = (self.heads - 1).to_le_bytes();
        guest.set(low(ECX), u16::from_le_bytes([track | (high & 3) << 6, cylinder]));
        guest.set(low(EDX), u16::from_le_bytes([1, head]));
        guest.set(AL, 0);
        if !self.is_hard() {
            guest.set(lowest(EBX), self.floppy_type);
            let [low_byte, next, third, fourth] = hardware.read(FLOPPY_PARAMETERS).to_le_bytes();
            guest.set(low(EDI), u16::from_le_bytes([low_byte, next]));
            guest.set(ES, u16::from_le_bytes([third, fourth]));
        }
        Ok(())
    }

    /// 15h: a floppy disk drive that does not notice changes, or a hard disk and its sectors.
    fn kind(&self, guest: &mut Guest) {
        if self.is_hard() {
            let [first, second, third, fourth] =
                u32::try_from(self.sectors).unwrap_or(u32::MAX).to_le_bytes();
            guest.set(low(EDX), u16::from_le_bytes([first, second]));
            guest.set(low(ECX), u16::from_le_bytes([third, fourth]));
        }
        guest.set(AH, if self.is_hard() { 3 } else { 1 });
        guest.set_carry(false);
    }

    /// 41h: version 1.1 of the extensions, of which there are those that read and write.
    fn extensions(guest: &mut Guest) -> Result<(), u8> {
        if guest.get(low(EBX)) != 0x55aa {
            return Err(status::BAD_COMMAND);
        }
        guest.set(low(EBX), 0xaa55);
        guest.set(AH, 0x01);
        guest.set(low(ECX), 1);
        Ok(())
    }

    /// 48h, version 1: size, flags (the geometry is valid), geometry, sectors, bytes of a sector.
    fn extended_parameters(&self, guest: &Guest, hardware: &mut impl Hardware) -> Result<(), u8> {
        const SIZE: u64 = 26;
        let result = address(guest.get(DS), guest.get(low(ESI)));
        // Written by words of four bytes.
        if !self.memory.has(result, SIZE + 2) {
            return Err(status::DATA_BOUNDARY);
        }
        if u64::from(hardware.read(result) & 0xffff) < SIZE {
            return Err(status::BAD_COMMAND);
        }
        let after = hardware.read(result + 24) & 0xffff_0000;
        let [low, high] = [self.sectors & 0xffff_ffff, self.sectors >> 32];
        #[expect(clippy::cast_possible_truncation, reason = "each is half of a number")]
        let sectors = [low as u32, high as u32];
        let words = [
            26 | 2 << 16,
            self.cylinders,
            self.heads.into(),
            self.track.into(),
            sectors[0],
            sectors[1],
            after | u32::from(SECTOR),
        ];
        for (offset, word) in (0..).step_by(4).zip(words) {
            hardware.write(result + offset, word);
        }
        Ok(())
    }
}
