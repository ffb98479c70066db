// SPDX-License-Identifier: GPL-2.0-only
//! Reading and writing an image, and listing its slots.

use core::mem::offset_of;

use abi::device::{List, Piece, SlotRun, Transfer, reason};
use claims::runs::{Run, Runs};
use phys::{PAGE_SIZE, Pfn};

use crate::caller::CallerMemory;
use crate::failure::Failure;

use super::Loaded;

impl Loaded {
    /// Copies bytes between the caller and the image, up to the first bad address.
    pub fn transfer(&mut self, request: &Transfer, write: bool, memory: CallerMemory) -> Result<(), Failure> {
        if !write {
            self.check_written()?;
        }
        self.check_inside(request)?;
        let mut done = 0;
        while done < request.length {
            let address = request.address + done;
            let within = address % PAGE_SIZE;
            let length = (PAGE_SIZE - within).min(request.length - done);
            let bytes = self.bytes_at(address, within, length).ok_or_else(|| not_inside(request))?;
            let theirs = request.buffer.wrapping_add(done);
            let good = if write { memory.read(theirs, bytes) } else { memory.write(theirs, bytes) };
            if !good {
                return Err(Failure::bad_pointer(theirs));
            }
            if let Some(unwritten) = &mut self.unwritten
                && length == PAGE_SIZE
            {
                unwritten.note(address);
            }
            done += length;
            if !self.sealed.frames_mut().pause_now_and_then() {
                self.sealed.frames_mut().interrupted = false;
                let numbers = [done / PAGE_SIZE, request.length / PAGE_SIZE, 0];
                return Err(Failure::new(reason::INTERRUPTED, numbers));
            }
        }
        Ok(())
    }

    /// Writes the pieces of a list, up to the first that is bad, and counts them.
    pub fn write_list(&mut self, list: &mut List, memory: CallerMemory) -> Result<(), Failure> {
        list.count = 0;
        while list.count < list.capacity {
            let mut piece = [0; size_of::<Piece>()];
            let from = list.entries.wrapping_add(list.count.wrapping_mul(size_of::<Piece>() as u64));
            if !memory.read(from, &mut piece) {
                return Err(Failure::bad_pointer(from));
            }
            let transfer = Transfer {
                address: word(&piece, offset_of!(Piece, address)),
                buffer: word(&piece, offset_of!(Piece, buffer)),
                length: word(&piece, offset_of!(Piece, length)),
                ..Transfer::default()
            };
            self.transfer(&transfer, true, memory)?;
            // Pieces may be empty, and there may be any number of them.
            if !self.sealed.frames_mut().pause_now_and_then() {
                self.sealed.frames_mut().interrupted = false;
                return Err(Failure::new(reason::INTERRUPTED, [list.count, list.capacity, 0]));
            }
            list.count += 1;
        }
        Ok(())
    }

    /// Lists the slots as runs, as far as the caller has room, and counts all runs.
    pub fn slots(&mut self, list: &mut List, memory: CallerMemory) -> Result<(), Failure> {
        let mut writer = RunWriter { memory, entries: list.entries, capacity: list.capacity, count: 0 };
        let mut runs = Runs::default();
        let pages = self.sealed.pages();
        let mut done = 0;
        let visited = self.sealed.visit(|frames, slot| {
            done += 1;
            if !frames.pause_now_and_then() {
                frames.interrupted = false;
                return Err(Failure::new(reason::INTERRUPTED, [done, pages, 0]));
            }
            writer.write(runs.add(slot.destination, slot.source))
        });
        visited.and_then(|()| writer.write(runs.end()))?;
        list.count = writer.count;
        Ok(())
    }

    /// Checks all bytes before any is copied.
    fn check_inside(&mut self, request: &Transfer) -> Result<(), Failure> {
        let end = request.address.checked_add(request.length).ok_or_else(|| not_inside(request))?;
        let mut page = request.address & !(PAGE_SIZE - 1);
        while page < end && request.length != 0 {
            let found = Pfn::starting_at(page).and_then(|frame| self.sealed.source_of(frame));
            found.ok_or_else(|| not_inside(request))?;
            page += PAGE_SIZE;
        }
        Ok(())
    }

    fn bytes_at(&mut self, address: u64, within: u64, length: u64) -> Option<&mut [u8]> {
        let source = self.sealed.source_of(Pfn::starting_at(address - within)?)?;
        let bytes = self.sealed.frames_mut().bytes(source);
        bytes.get_mut(usize::try_from(within).ok()?..usize::try_from(within + length).ok()?)
    }
}

/// Writes runs of slots to the caller, as far as there is room, and counts all runs.
struct RunWriter {
    memory: CallerMemory,
    entries: u64,
    capacity: u64,
    count: u64,
}

impl RunWriter {
    fn write(&mut self, run: Option<Run>) -> Result<(), Failure> {
        let Some(run) = run else { return Ok(()) };
        let place = self.entries.wrapping_add(self.count.wrapping_mul(size_of::<SlotRun>() as u64));
        let fields =
            [run.destination.address().get(), run.source.address().get(), run.pages].map(u64::to_ne_bytes);
        if self.count < self.capacity && !self.memory.write(place, fields.as_flattened()) {
            return Err(Failure::bad_pointer(place));
        }
        self.count += 1;
        Ok(())
    }
}

/// The word at an offset of a piece.
fn word(piece: &[u8; size_of::<Piece>()], at: usize) -> u64 {
    piece.get(at..).and_then(|rest| rest.first_chunk()).map_or(0, |bytes| u64::from_ne_bytes(*bytes))
}

fn not_inside(request: &Transfer) -> Failure {
    Failure::new(reason::NOT_IN_IMAGE, [request.address, request.length, 0])
}
