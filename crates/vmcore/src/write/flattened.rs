//! Writing a flattened stream.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use crate::WriteAt;
use crate::format::flattened::{Record, header};

/// A writer of a flattened stream, for any number of threads.
pub struct Flattener<W> {
    stream: Mutex<W>,
}

impl<W: Write + Send> Flattener<W> {
    /// Writes the stream's header.
    ///
    /// # Errors
    /// The stream's own error.
    pub fn new(mut stream: W) -> io::Result<Self> {
        stream.write_all(&header())?;
        Ok(Self { stream: Mutex::new(stream) })
    }

    /// Writes the last record.
    ///
    /// # Errors
    /// The stream's own error.
    pub fn finish(self) -> io::Result<W> {
        let mut stream = self.stream.into_inner().unwrap_or_else(PoisonError::into_inner);
        stream.write_all(&Record::LAST.to_bytes())?;
        stream.flush()?;
        Ok(stream)
    }
}

impl<W: Write + Send> WriteAt for Flattener<W> {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        // makedumpfile takes an empty record for the last one.
        if bytes.is_empty() {
            return Ok(());
        }
        let mut stream = self.stream.lock().unwrap_or_else(PoisonError::into_inner);
        stream.write_all(&Record { offset, size: bytes.len() as u64 }.to_bytes())?;
        stream.write_all(bytes)
    }

    fn is_stream(&self) -> bool {
        true
    }
}
