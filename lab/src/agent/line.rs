//! The line to the host: the second serial port in raw mode.

use std::fs::File;
use std::io::{self, Write as _};

use lab::wire::{Encoder, Kind};
use rustix::termios::{self, OptionalActions};

/// QEMU connects it to its standard output.
const PORT: &str = "/dev/ttyS1";

/// The port and the number of the next frame.
pub(crate) struct Line {
    port: File,
    encoder: Encoder,
}

impl Line {
    pub(crate) fn open() -> io::Result<Self> {
        let port = File::options().read(true).write(true).open(PORT)?;
        let mut settings = termios::tcgetattr(&port)?;
        settings.make_raw();
        settings.set_speed(115_200)?;
        termios::tcsetattr(&port, OptionalActions::Now, &settings)?;
        Ok(Self { port, encoder: Encoder::default() })
    }

    pub(crate) fn send(&mut self, kind: Kind, bytes: &[u8]) -> io::Result<()> {
        let frame = self.encoder.frame(kind, bytes);
        self.port.write_all(&frame)
    }

    /// Waits until everything has been transmitted.
    pub(crate) fn drain(&self) -> io::Result<()> {
        Ok(termios::tcdrain(&self.port)?)
    }
}
