//! The power is cut between any two writes, and in the middle of one. Afterwards there is no image,
//! or a whole one, and none that has run.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use std::io;
use std::sync::{Mutex, PoisonError};

use hibernation::{CipherKind, Codec, Disk, Image, Key, MemoryDisk, PAGE, State, StateKind};
use support::{KEY, Memory, pages_of, plan, save};

const LENGTH: usize = 3 << 20;
const SECTOR: usize = 512;

enum Event {
    Write(u64, Vec<u8>),
    Sync,
}

/// Records what is done to a disk.
struct Recorder {
    disk: MemoryDisk,
    events: Mutex<Vec<Event>>,
}

impl Recorder {
    fn new(bytes: Vec<u8>) -> Self {
        Self { disk: MemoryDisk::new(bytes), events: Mutex::default() }
    }

    fn note(&self, event: Event) {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).push(event);
    }

    fn events(self) -> Vec<Event> {
        self.events.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Disk for Recorder {
    fn length(&self) -> u64 {
        self.disk.length()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.disk.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.note(Event::Write(offset, bytes.to_vec()));
        self.disk.write_at(offset, bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.note(Event::Sync);
        Ok(())
    }
}

/// The disk after a power cut before event number `cut`. Of what was written since the last sync,
/// any sectors may be missing: `luck` selects them.
fn after_cut(before: &[u8], events: &[Event], cut: usize, mut luck: u64) -> Vec<u8> {
    let mut bytes = before.to_vec();
    let synced = events[..cut].iter().rposition(|event| matches!(event, Event::Sync)).unwrap_or(0);
    let all = luck == 0;
    for (number, event) in events[..cut].iter().enumerate() {
        let Event::Write(offset, data) = event else { continue };
        let start = usize::try_from(*offset).unwrap();
        for (sector, part) in data.chunks(SECTOR).enumerate() {
            luck ^= luck << 13;
            luck ^= luck >> 7;
            luck ^= luck << 17;
            if number < synced || all || luck.is_multiple_of(2) {
                let at = start + sector * SECTOR;
                bytes[at..at + part.len()].copy_from_slice(part);
            }
        }
    }
    bytes
}

/// Runs `check` on the disk after every power cut.
fn cut_everywhere(before: &[u8], events: &[Event], check: impl Fn(&MemoryDisk, usize)) {
    for cut in 0..=events.len() {
        for luck in 0..12_u64 {
            let bytes = after_cut(before, events, cut, luck.wrapping_mul(0x9e37_79b9_7f4a_7c15));
            check(&MemoryDisk::new(bytes), cut);
        }
    }
}

fn image_on(bytes: Vec<u8>) -> (Memory, Vec<Event>) {
    let (memory, recorder) = (Memory::new(400), Recorder::new(bytes));
    save(&recorder, &memory, plan(CipherKind::ChaCha20Poly1305, Codec::Lz4), [7; 16]).unwrap();
    (memory, recorder.events())
}

/// Checks that an image is whole, if there is one; answers whether there is.
fn whole_or_none(disk: &MemoryDisk, memory: &Memory) -> bool {
    let state = State::read(disk).unwrap();
    if !state.kind.has_image() {
        return false;
    }
    let image = Image::open(disk, Some(Key::File(KEY))).unwrap();
    assert!(pages_of(&image).unwrap() == memory.pages());
    true
}

#[test]
fn a_power_cut_while_saving_leaves_no_image_or_a_whole_one() {
    let used = {
        let disk = MemoryDisk::new(vec![0; LENGTH]);
        save(&disk, &Memory::new(300), plan(CipherKind::Aes256Gcm, Codec::Raw), [1; 16]).unwrap();
        let state = State::read(&disk).unwrap().change(&disk, StateKind::Resuming, "").unwrap();
        state.change(&disk, StateKind::Used, "").unwrap();
        disk.into_bytes()
    };
    for before in [vec![0; LENGTH], vec![0xff; LENGTH], used] {
        let (memory, events) = image_on(before.clone());
        let writes = events.len();
        cut_everywhere(&before, &events, |disk, cut| {
            let there = whole_or_none(disk, &memory);
            assert!(there || cut < writes, "the image is gone");
            // There is one only once everything before its state was on the disk.
            assert!(!there || cut + 2 > writes, "an image after {cut} of {writes}");
        });
    }
}

#[test]
fn a_power_cut_while_resuming_leaves_the_image_until_it_may_have_run() {
    let before = {
        let disk = MemoryDisk::new(vec![0; LENGTH]);
        save(&disk, &Memory::new(400), plan(CipherKind::Aes256Gcm, Codec::Lz4), [7; 16]).unwrap();
        disk.into_bytes()
    };
    let recorder = Recorder::new(before.clone());
    let state = State::read(&recorder).unwrap().change(&recorder, StateKind::Resuming, "").unwrap();
    let state = state.change(&recorder, StateKind::Used, "").unwrap();
    let used = recorder.events.lock().unwrap_or_else(PoisonError::into_inner).len();
    state.release(&recorder).unwrap();
    state.start(&recorder, [8; 16]).unwrap();
    cut_everywhere(&before, &recorder.events(), |disk, cut| {
        let there = whole_or_none(disk, &Memory::new(400));
        assert!(!there || cut < used, "an image that may have run is there after {cut}");
        assert!(there || cut + 2 > used, "the image is gone after {cut}");
    });
    assert_eq!(before.len() % PAGE, 0);
}
