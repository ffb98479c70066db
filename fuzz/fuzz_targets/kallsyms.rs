//! Any text as VMCOREINFO and any bytes as the memory of its kernel: an error, or symbols with the
//! addresses that VMCOREINFO gives them.
#![no_main]

use std::sync::atomic::{AtomicUsize, Ordering};

use vmcore::kallsyms::Kallsyms;
use vmcore::{Error, PhysRead, Vmcoreinfo};

/// Memory that repeats itself, so that page tables lead somewhere, and the number of bytes that may
/// still be read.
struct Memory<'a>(&'a [u8], AtomicUsize);

impl PhysRead for Memory<'_> {
    fn read_phys(&self, address: u64, buffer: &mut [u8]) -> Result<(), Error> {
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

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let text = bytes.split(|byte| *byte == 0).next().unwrap_or(&[]);
    let memory = Memory(bytes.get(text.len() + 1..).unwrap_or(&[]), AtomicUsize::new(4 << 20));
    let info = Vmcoreinfo::parse(text);
    let Ok(symbols) = Kallsyms::open(&memory, &info) else { return };
    let Ok(found) = symbols.find(&["_stext", "mem_section", "__start_BTF"]) else { return };
    if let (Some(found), Ok(listed)) = (found.get("_stext"), info.symbol("_stext")) {
        assert_eq!(*found, listed);
    }
});
