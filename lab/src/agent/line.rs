//! The line to the host: the second serial port, as it is, without anybody's idea of lines or echoes.

use std::fs::File;
use std::io::{self, Write as _};

use lab::wire::{Encoder, Kind};
use rustix::termios::{self, OptionalActions};

/// The host's end is QEMU's standard output.
const PORT: &str = "/dev/ttyS1";

/// The line, and the number of the next frame on it.
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

    pub(crate) fn say(&mut self, kind: Kind, bytes: &[u8]) -> io::Result<()> {
        let frame = self.encoder.frame(kind, bytes);
        self.port.write_all(&frame)
    }

    /// Waits until everything said is on its way.
    pub(crate) fn drain(&self) -> io::Result<()> {
        Ok(termios::tcdrain(&self.port)?)
    }
}
