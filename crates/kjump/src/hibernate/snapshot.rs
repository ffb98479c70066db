//! `kjump snapshot`: this kernel rests while another one writes a dump of its memory, and goes on.

use std::path::Path;

use anyhow::{Context, anyhow, bail};
use hibernation::{State, StateKind};
use machine::Machine;

use super::args::SnapshotArgs;
use super::config::{Config, Job};
use super::rest::Rest;
use super::save::VMCORE;
use super::start::{new_id, prepare, refuse_content};
use super::target::Target;
use crate::dump;
use crate::terminal::report::{self, Outcome};

pub(crate) fn run(args: &SnapshotArgs) -> anyhow::Result<Outcome> {
    let path = args.to.display();
    let target = Target::open(&args.to)?;
    let state = State::read(&target).with_context(|| path.to_string())?;
    refuse_content(&args.to, &state, args.force)?;
    let release = Machine::probe(Path::new("/")).release.map_err(|error| anyhow!("{error}"))?;
    let config = Config { id: new_id()?, job: Job::Snapshot { level: args.level.number() } };
    let rest = Rest::new(&args.peer, &release, &args.to, config.archive(None)?)?;
    prepare(&target, &state, config.id).with_context(|| path.to_string())?;
    drop(target);
    let ending = rest.begin()?;
    match ending.value {
        Some(0) => {
            report::print(&format!("{path}: {}\n", ending.said.trim_end()))?;
            Ok(Outcome::Done)
        }
        _ => {
            if let Ok(target) = Target::open(&args.to)
                && let Ok(state) = State::read(&target)
                && state.kind == StateKind::Writing
            {
                state.change(&target, StateKind::Failed, &ending.said)?.release(&target)?;
            }
            bail!("{path}: no snapshot, and this kernel goes on: {}", ending.said.trim_end())
        }
    }
}

/// Writes the dump, in the small kernel.
pub(super) fn write(device: &Path, level: u8) -> anyhow::Result<String> {
    dump::save_to_disk(Path::new(VMCORE), device, level)
}
