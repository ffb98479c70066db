//! Memory of a machine, for tests.

use crate::{Error, PhysRead, Result};

/// Physical memory from address 0 on.
#[derive(Clone)]
pub(crate) struct TestMemory(pub(crate) Vec<u8>);

impl TestMemory {
    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub(crate) fn put_u64(&mut self, at: usize, number: u64) {
        self.put(at, &number.to_le_bytes());
    }
}

impl PhysRead for TestMemory {
    fn read_phys(&self, address: u64, buffer: &mut [u8]) -> Result<()> {
        let at = usize::try_from(address).unwrap_or(usize::MAX);
        let bytes = at.checked_add(buffer.len()).and_then(|end| self.0.get(at..end));
        buffer.copy_from_slice(bytes.ok_or(Error::Absent { pfn: address / phys::PAGE_SIZE })?);
        Ok(())
    }
}
