//! Writing a flattened stream.

use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::WriteAt;
use crate::format::flattened::{Record, header};

/// A writer of a flattened stream, for any number of threads.
pub struct Flattener<W> {
    stream: Mutex<Stream<W>>,
}

struct Stream<W> {
    to: W,
    /// Whether the stream's header was written.
    has_header: bool,
}

impl<W: Write + Send> Flattener<W> {
    /// A stream without records.
    pub fn new(to: W) -> Self {
        Self { stream: Mutex::new(Stream { to, has_header: false }) }
    }

    /// Writes the last record.
    ///
    /// # Errors
    /// The stream's own error.
    pub fn finish(self) -> io::Result<W> {
        let mut stream = self.stream.into_inner().unwrap_or_else(PoisonError::into_inner);
        stream.begin(&[])?;
        stream.to.write_all(&Record::LAST.to_bytes())?;
        stream.to.flush()?;
        Ok(stream.to)
    }

    fn stream(&self) -> MutexGuard<'_, Stream<W>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<W: Write> Stream<W> {
    fn begin(&mut self, copy: &[u8]) -> io::Result<()> {
        if !self.has_header {
            self.has_header = true;
            self.to.write_all(&header(copy))?;
        }
        Ok(())
    }
}

impl<W: Write + Send> WriteAt for Flattener<W> {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        // makedumpfile takes an empty record for the last one.
        if bytes.is_empty() {
            return Ok(());
        }
        let mut stream = self.stream();
        stream.begin(&[])?;
        stream.to.write_all(&Record { offset, size: bytes.len() as u64 }.to_bytes())?;
        stream.to.write_all(bytes)
    }

    fn announce(&self, header: &[u8]) -> io::Result<()> {
        self.stream().begin(header)
    }

    fn is_stream(&self) -> bool {
        true
    }
}
