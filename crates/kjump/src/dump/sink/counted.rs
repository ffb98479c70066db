//! A stream to another machine: what passes is collected for large writes, counted and hashed.

use std::io::{self, BufWriter, Write};

use purgatory::Sha256;

/// Bytes that are collected for one write.
const BUFFER: usize = 256 << 10;

pub(super) struct Counted<W: Write> {
    /// `None` once the stream has ended.
    to: Option<BufWriter<W>>,
    hash: Sha256,
    /// Bytes.
    count: u64,
}

impl<W: Write> Counted<W> {
    pub(super) fn new(to: W) -> Self {
        Self { to: Some(BufWriter::with_capacity(BUFFER, to)), hash: Sha256::new(), count: 0 }
    }

    /// Bytes so far.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// The SHA-256 of all bytes so far, in hexadecimal digits.
    pub(super) fn digest(&self) -> String {
        self.hash.clone().finish().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Writes all of `bytes` and what was collected. They are neither counted nor hashed.
    pub(super) fn write_last(&mut self, bytes: &[u8]) -> io::Result<()> {
        let to = self.stream()?;
        to.write_all(bytes)?;
        to.flush()
    }

    /// Ends the stream. What is collected is not written: nobody may read it any more.
    pub(super) fn close(&mut self) {
        if let Some(to) = self.to.take() {
            drop(to.into_parts());
        }
    }

    fn stream(&mut self) -> io::Result<&mut BufWriter<W>> {
        self.to.as_mut().ok_or_else(|| io::ErrorKind::BrokenPipe.into())
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.stream()?.write(bytes)?;
        self.hash.update(bytes.get(..count).unwrap_or_default());
        self.count += count as u64;
        Ok(count)
    }

    /// A stream that has ended has nothing left to write.
    fn flush(&mut self) -> io::Result<()> {
        self.to.as_mut().map_or(Ok(()), Write::flush)
    }
}
