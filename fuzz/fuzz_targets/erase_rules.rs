//! Any text as rules, and any bytes as the memory of a kernel with a few symbols and types: an
//! error, or ranges to erase; pages are read with them as without.
#![no_main]

use std::sync::atomic::{AtomicUsize, Ordering};

use vmcore::erase::{Erased, Erasures, Rules};
use vmcore::{DumpSource, Error, FrameSet, Origin, PhysRead, Result, Vmcoreinfo};

/// Memory that repeats itself, so that pointers lead somewhere, and the number of bytes that may
/// still be read.
struct Memory<'a>(&'a [u8], AtomicUsize, FrameSet);

impl PhysRead for Memory<'_> {
    fn read_phys(&self, address: u64, buffer: &mut [u8]) -> Result<()> {
        let left =
            self.1.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(buffer.len()));
        if self.0.is_empty() || left.is_err() {
            return Err(Error::Absent { pfn: address >> 12 });
        }
        for (offset, byte) in (address..).zip(buffer) {
            *byte = self.0[(offset % self.0.len() as u64) as usize];
        }
        Ok(())
    }
}

impl DumpSource for Memory<'_> {
    fn present(&self) -> &FrameSet {
        &self.2
    }

    fn ram(&self) -> &FrameSet {
        &self.2
    }

    fn notes(&self) -> &[u8] {
        &[]
    }

    fn virtual_address(&self, _: u64) -> Option<u64> {
        None
    }

    fn origin(&self) -> Option<Origin<'_>> {
        None
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(3, |byte| *byte == 0);
    let mut part = || parts.next().unwrap_or(&[]);
    let (text, info, memory) = (part(), part(), part());
    let Ok(rules) = Rules::parse(text) else { return };
    let memory = Memory(memory, AtomicUsize::new(4 << 20), FrameSet::new());
    let info = Vmcoreinfo::parse(info);
    let erasures = rules.find(&memory, &info, None).unwrap_or_else(|_| Erasures::default());
    let (bytes, places) = erasures.amount();
    assert!((bytes == 0) == (places == 0) && bytes <= 4 << 30);
    let (mut plain, mut erased) = ([0; 8192], [0; 8192]);
    let image = Erased::new(&memory, &erasures);
    if memory.read_phys(0x7800, &mut plain).is_ok() && image.read_phys(0x7800, &mut erased).is_ok() {
        let is_right = |(plain, erased): (&u8, &u8)| plain == erased || matches!(*erased, 0 | b'X');
        assert!(plain.iter().zip(&erased).all(is_right));
    }
});
