//! Dumps that are compressed adaptively read back, whichever effort each page had.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use phys::PAGE_SIZE;
use support::MemoryFile;
use vmcore::codec::Codec;
use vmcore::select::Level;
use vmcore::write::{Compression, Pages, Progress, Settings, Written, write_kdump};
use vmcore::{MemoryImage, PhysRead, ReadAt, WriteAt};

const PAGE: usize = 1 << phys::PAGE_SHIFT;
const PAGES: u64 = 40_000;

/// An ELF vmcore of one load, generated on reading: half text with numbers, some noise, some zeros.
struct Source;

fn page(n: u64) -> [u8; PAGE] {
    let noise = |at: usize| {
        let mixed = (n << 20 | at as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ mixed >> 29).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 40
    };
    std::array::from_fn(|at| match n % 5 {
        0 => 0,
        1 => noise(at).to_le_bytes()[0],
        _ if at % 16 < 9 => b"a page of"[at % 16],
        _ => noise(at / 3).to_le_bytes()[0] & 0xf,
    })
}

impl ReadAt for Source {
    fn length(&self) -> u64 {
        (PAGES + 1) * PAGE_SIZE
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let (number, inside) = (offset / PAGE_SIZE, usize::try_from(offset % PAGE_SIZE).unwrap());
        let bytes = number.checked_sub(1).map_or_else(header, page);
        let count = buffer.len().min(PAGE - inside);
        buffer[..count].copy_from_slice(&bytes[inside..inside + count]);
        Ok(count)
    }
}

fn header() -> [u8; PAGE] {
    let mut file = [0; PAGE];
    file[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0\x3e\0");
    file[32] = 64;
    file[54..58].copy_from_slice(&[56, 0, 1, 0]);
    file[64] = 1;
    for (at, value) in [(72, PAGE_SIZE), (96, PAGES * PAGE_SIZE), (104, PAGES * PAGE_SIZE)] {
        file[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }
    file
}

/// A file in memory that takes its time, by the clock that it moves.
struct Slow<'c> {
    file: MemoryFile,
    clock: &'c AtomicU64,
    nanoseconds_a_byte: u64,
}

impl WriteAt for Slow<'_> {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)?;
        self.clock.fetch_add(bytes.len() as u64 * self.nanoseconds_a_byte, Ordering::Relaxed);
        Ok(())
    }
}

fn write(out: &Slow<'_>, clock: fn() -> u64, threads: usize) -> Written {
    let image = MemoryImage::open(Source).unwrap();
    let statistics = BTreeMap::new();
    let pages = Pages { kept: image.present(), first: &[], part: None, statistics: &statistics };
    let compression = Compression::Adaptive(clock);
    let settings = Settings { compression, level: Level::new(1).unwrap(), threads, incomplete: false };
    write_kdump(&image, &pages, &settings, out, &Progress::default()).unwrap()
}

fn assert_same(out: Slow<'_>) {
    let file = out.file.bytes();
    let image = MemoryImage::open(&file[..]).unwrap();
    assert_eq!(image.present().count(), PAGES);
    for number in 0..PAGES {
        let mut read = [1; PAGE];
        image.read_phys(number * PAGE_SIZE, &mut read).unwrap();
        assert!(read == page(number), "page {number:#x}");
    }
    assert!(image.check_sums(|damage| panic!("{damage:?}")).unwrap());
}

#[test]
fn pages_read_back_whichever_effort_they_had() {
    static NEVER: AtomicU64 = AtomicU64::new(0);
    fn real() -> u64 {
        static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
        u64::try_from(START.get_or_init(std::time::Instant::now).elapsed().as_nanos()).unwrap()
    }
    let out = Slow { file: MemoryFile::new(), clock: &NEVER, nanoseconds_a_byte: 0 };
    // The efforts depend on what else the machine does; noise is always stored uncompressed.
    let written = write(&out, real, 2);
    assert!(written.stored[&Codec::Raw] >= PAGES / 5, "{written:?}");
    assert_same(out);
}

#[test]
fn to_a_slow_destination_pages_are_made_smaller() {
    static NOW: AtomicU64 = AtomicU64::new(0);
    let out = Slow { file: MemoryFile::new(), clock: &NOW, nanoseconds_a_byte: 100 };
    // With one thread, compressing takes no time by a clock that only writing advances.
    let written = write(&out, || NOW.load(Ordering::Relaxed), 1);
    // The first effort was used until enough was known.
    assert!(written.stored[&Codec::Lzo] < PAGES / 4, "{written:?}");
    assert!(written.stored[&Codec::Zstd] > PAGES / 3, "{written:?}");
    // No effort makes noise smaller.
    assert_eq!(written.stored[&Codec::Raw], PAGES / 5);
    assert_same(out);
}
