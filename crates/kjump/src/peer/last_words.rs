//! The last log lines of a kernel that died: from its handoff, or else from its memory, which the
//! image still holds.

use std::collections::VecDeque;
use std::fmt::Write;

use abi::device::{Call, Handoff, Range, status};
use phys::PhysRange;
use sys::{Device, ImageName};
use vmcore::printk::{Record, RingBuffer};
use vmcore::{PhysRead, Vmcoreinfo, notes};

/// Longest kernel log, in bytes, that is taken for one.
const LOG_LIMIT: u64 = 1 << 20;
/// Most messages that are shown.
const MESSAGES: usize = 100;
/// Size of the pieces, in bytes, in which memory is searched for VMCOREINFO. The kernel allocates
/// pages from the top.
const PIECE: u64 = 1 << 20;

/// The last log lines of the kernel that is the image of the open file.
pub(super) fn of(device: &Device, name: &ImageName, call: &Call) -> Option<String> {
    let handoff = Some(call.value_high).filter(|&at| call.status == status::RETURNED && at != 0);
    let log = handoff.and_then(|address| left(device, address)).or_else(|| found(device, name));
    log.map(|log| printable(&log))
}

/// The last lines of the log of a kernel that returned, by its name.
pub(crate) fn of_resident(device: &Device, name: &ImageName) -> Option<String> {
    found(device, name).map(|log| printable(&log))
}

/// The end of a kernel's log, from the handoff that it left at an address, if that is one.
fn left(device: &Device, address: u64) -> Option<Vec<u8>> {
    let mut bytes = [0; 24];
    device.read(address, &mut bytes).ok()?;
    let handoff = parse(&bytes)?;
    let mut log = vec![0; usize::try_from(handoff.log_length).ok()?];
    device.read(handoff.log, &mut log).ok()?;
    Some(log)
}

fn parse(bytes: &[u8; 24]) -> Option<Handoff> {
    let mut words = bytes.chunks_exact(8).map(|word| word.try_into().map_or(0, u64::from_le_bytes));
    let handoff = Handoff { magic: words.next()?, log: words.next()?, log_length: words.next()? };
    (handoff.magic == Handoff::MAGIC && handoff.log_length <= LOG_LIMIT).then_some(handoff)
}

/// The end of a kernel's log, found through its VMCOREINFO.
fn found(device: &Device, name: &ImageName) -> Option<Vec<u8>> {
    let image = device.image_named(name).ok()??;
    let ranges = device.ranges(image.id).ok()?;
    let memory = Memory(device);
    // The first one found may be that of the running kernel, which it passed to the other; its log
    // is not in this memory.
    notes::vmcoreinfos_in(&memory, ranges.iter().rev().flat_map(pieces)).find_map(|info| log(&memory, &info))
}

fn log(memory: &Memory<'_>, info: &Vmcoreinfo) -> Option<Vec<u8>> {
    let ring = RingBuffer::open(memory, info).ok()?;
    let mut last = VecDeque::with_capacity(MESSAGES);
    for record in ring.records().map_while(Result::ok) {
        if last.len() == MESSAGES {
            last.pop_front();
        }
        last.push_back(record);
    }
    (!last.is_empty()).then(|| last.iter().flat_map(line).collect())
}

/// The pieces of a range, from the top down.
fn pieces(range: &Range) -> impl Iterator<Item = PhysRange> + use<> {
    let Range { start, end } = *range;
    let starts = (0..(end - start).div_ceil(PIECE)).rev().map(move |n| start + n * PIECE);
    starts.filter_map(move |at| PhysRange::from_bytes(at, (end - at).min(PIECE)).ok())
}

/// A record as the kernel prints it.
fn line(record: &Record) -> Vec<u8> {
    let (seconds, microseconds) = (record.nanoseconds / 1_000_000_000, record.nanoseconds / 1000 % 1_000_000);
    let mut line = String::new();
    let _ = write!(line, "[{seconds:5}.{microseconds:06}] ");
    [line.as_bytes(), &record.text, b"\n"].concat()
}

/// The image of the open file.
struct Memory<'a>(&'a Device);

impl PhysRead for Memory<'_> {
    fn read_phys(&self, address: u64, buffer: &mut [u8]) -> vmcore::Result<()> {
        self.0.read(address, buffer).map_err(|_| vmcore::Error::Absent { pfn: address >> 12 })
    }
}

/// Another kernel's log, without control characters that would command the terminal.
fn printable(log: &[u8]) -> String {
    let text = String::from_utf8_lossy(log);
    text.chars().filter(|&letter| letter == '\n' || !letter.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handoff_is_recognised_by_its_magic_and_a_sane_length() {
        let bytes = |words: [u64; 3]| -> [u8; 24] {
            words.map(u64::to_le_bytes).concat().try_into().expect("three words")
        };
        let good = Handoff { magic: Handoff::MAGIC, log: 0x1000, log_length: LOG_LIMIT };
        assert_eq!(parse(&bytes([good.magic, good.log, good.log_length])), Some(good));
        assert_eq!(parse(&bytes([good.magic, good.log, LOG_LIMIT + 1])), None);
        assert_eq!(parse(&bytes([1, good.log, 1])), None);
    }

    #[test]
    fn control_characters_of_a_log_are_removed() {
        assert_eq!(printable(b"a\x1b[2Jb\r\n\xff"), "a[2Jb\n\u{fffd}");
    }

    #[test]
    fn memory_is_searched_from_the_top_down() {
        let range = Range { start: 0x10_0000, end: 0x28_1000 };
        let starts: Vec<_> = pieces(&range).map(|piece| (piece.start().get(), piece.bytes())).collect();
        assert_eq!(starts, [(0x20_0000, 0x8_1000), (0x10_0000, PIECE)]);
    }

    #[test]
    fn a_message_starts_with_its_time() {
        let record = Record { nanoseconds: 12_345_678_901, text: b"well".into(), ..Record::default() };
        assert_eq!(line(&record), b"[   12.345678] well\n");
    }
}
