//! Any text as VMCOREINFO and any bytes as the memory of its kernel: an error, or a log of finite
//! length.
#![no_main]

use vmcore::printk::RingBuffer;
use vmcore::{Error, PhysRead, Vmcoreinfo};

/// Memory that repeats itself, so that page tables lead somewhere.
struct Memory<'a>(&'a [u8]);

impl PhysRead for Memory<'_> {
    fn read_phys(&self, address: u64, buffer: &mut [u8]) -> Result<(), Error> {
        if self.0.is_empty() {
            return Err(Error::Absent { pfn: address >> 12 });
        }
        for (offset, byte) in (address..).zip(buffer) {
            *byte = self.0[(offset % self.0.len() as u64) as usize];
        }
        Ok(())
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or(&[]);
    let memory = Memory(bytes.get(text.len() + 1..).unwrap_or(&[]));
    let Ok(ring) = RingBuffer::open(&memory, &Vmcoreinfo::parse(text)) else { return };
    // A ring may contain very many empty messages: read 4096 at most.
    let texts: usize = ring.records().take(4096).flatten().map(|record| record.text.len()).sum();
    assert!(texts <= (1 << 31) + usize::from(u16::MAX));
});
