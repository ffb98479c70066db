//! `kjump snapshot`: this kernel rests while another one writes a dump of its memory, and goes on.

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use hibernation::{Disk, State, StateKind};
use machine::Machine;

use super::args::SnapshotArgs;
use super::config::{Config, Job};
use super::rest::{Ending, Rest};
use super::save::VMCORE;
use super::start::{Swap, new_id, prepare, refuse_content};
use super::target::Target;
use crate::dump;
use crate::terminal::report::{self, Outcome};

pub(crate) fn run(args: &SnapshotArgs) -> anyhow::Result<Outcome> {
    let path = args.to.display();
    let target = Target::open(&args.to)?;
    let state = State::read(&target).with_context(|| path.to_string())?;
    refuse_content(&args.to, &state, args.force, Swap::IsRefused)?;
    let release = Machine::probe(Path::new("/")).release.map_err(|error| anyhow!("{error}"))?;
    let job = Job::Snapshot { level: args.level.number() };
    let config = Config { id: new_id()?, disk_bytes: target.length(), job };
    let rest = Rest::new(&args.peer, &release, &args.to)?;
    let message = config.message(None)?;
    prepare(&target, &state, config.id).with_context(|| path.to_string())?;
    drop(target);
    let said = match rest.begin(message) {
        Ok(Ending { value: Some(0), said }) => {
            report::print(&format!("{path}: {}\n", said.trim_end()))?;
            return Ok(Outcome::Done);
        }
        Ok(ending) => ending.said,
        Err(error) => format!("{error:#}"),
    };
    let said = said.trim_end();
    if let Ok(target) = Target::open(&args.to)
        && let Ok(state) = State::read(&target)
        && state.kind == StateKind::Writing
    {
        state.change(&target, StateKind::Failed, said)?.release(&target)?;
    }
    bail!("{path}: no snapshot was written, and this kernel goes on: {said}")
}

/// Writes the dump, in the small kernel.
pub(super) fn write(device: &Path, level: u8) -> anyhow::Result<String> {
    dump::save_to_disk(Path::new(VMCORE), device, level)
}
