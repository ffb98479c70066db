//! A machine in a file: the contents of the files that were read from it, to be read again
//! elsewhere.

use std::path::Path;

use anyhow::{Context, ensure};
use machine::{Machine, Snapshot};
use serde::{Deserialize, Serialize};

use super::args::MachineCommand;
use crate::terminal::output_file;
use crate::terminal::quantity;
use crate::terminal::report::{self, Outcome};

/// The file. It is JSON, so that people see what they give away. `kjump doctor` adds to it.
#[derive(Serialize, Deserialize)]
pub(super) struct Saved {
    /// The version of this format.
    kjump_machine: u32,
    files: Snapshot,
}

const VERSION: u32 = 1;

impl Saved {
    pub(super) const fn of(files: Snapshot) -> Self {
        Self { kjump_machine: VERSION, files }
    }
}

/// `kjump machine save`.
pub(crate) fn save(command: &MachineCommand) -> anyhow::Result<Outcome> {
    let MachineCommand::Save(args) = command;
    let count = write(&args.file)?;
    report::print(&format!("{}: {}\n", args.file.display(), quantity::count(count as u64, "path")))?;
    Ok(Outcome::Done)
}

/// Reads the machine and writes the contents of all files that were read. Returns the number of
/// files.
fn write(path: &Path) -> anyhow::Result<usize> {
    let (_, files) = Machine::record(Path::new("/"));
    let count = files.len();
    let text = serde_json::to_string_pretty(&Saved::of(files))?;
    output_file::write_bytes(path, text.as_bytes())?;
    Ok(count)
}

/// Reads a machine from a file.
pub(crate) fn read(path: &Path) -> anyhow::Result<Machine> {
    let named = || format!("--machine {}", path.display());
    let text = std::fs::read_to_string(path).with_context(named)?;
    let saved: Saved = serde_json::from_str(&text)
        .with_context(|| format!("{}: not saved by `kjump machine save`", named()))?;
    ensure!(
        saved.kjump_machine == VERSION,
        "{}: version {}, this program reads {VERSION}",
        named(),
        saved.kjump_machine
    );
    Ok(Machine::replay(saved.files))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_machine_is_the_same_machine() {
        let path = std::env::temp_dir().join(format!("kjump-machine-{}", std::process::id()));
        assert!(write(&path).unwrap() > 5);
        let (here, there) = (Machine::probe(Path::new("/")), read(&path).unwrap());
        assert_eq!(here.release.unwrap(), there.release.unwrap());
        assert_eq!(here.memory.unwrap(), there.memory.unwrap());
        assert_eq!(
            here.boot_data.map_err(|error| error.to_string()),
            there.boot_data.map_err(|error| error.to_string())
        );
        std::fs::write(&path, "{}").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("not saved by"));
        std::fs::remove_file(&path).unwrap();
    }
}
