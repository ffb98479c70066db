//! The console: the last thing that it shows is the step that hangs the machine.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::text::Line;

/// A device, usually a serial port, or none.
pub(super) struct Console {
    device: Option<(File, PathBuf)>,
}

impl Console {
    /// The device must exist: a file that is made by mistake would show nothing after a hang.
    pub(super) fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let device = match path {
            Some(path) => {
                let file = OpenOptions::new().append(true).open(path);
                Some((file.with_context(|| format!("--console {}", path.display()))?, path.into()))
            }
            None => None,
        };
        Ok(Self { device })
    }

    pub(super) fn starts(&mut self, name: &str) -> anyhow::Result<()> {
        self.write(&format!("test-machine: {name} ...\r\n"))
    }

    pub(super) fn ends(&mut self, line: &Line) -> anyhow::Result<()> {
        let Line { name, finding, .. } = line;
        self.write(&format!("test-machine: {name}: {}, {}\r\n", finding.verdict.name(), finding.seen))
    }

    /// Returns when the text has left the machine.
    fn write(&mut self, text: &str) -> anyhow::Result<()> {
        let Some((file, path)) = &mut self.device else { return Ok(()) };
        let written = file.write_all(text.as_bytes()).and_then(|()| sys::terminal::drain(&*file));
        written.with_context(|| format!("--console {}", path.display()))
    }
}
