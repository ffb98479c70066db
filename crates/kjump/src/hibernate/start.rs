//! `kjump hibernate`: this kernel rests while another one writes its memory.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, anyhow, bail};
use hibernation::{Disk, Facts, Id, State, StateKind};
use machine::Machine;
use serde::Serialize;

use super::args::HibernateArgs;
use super::config::{Config, Job};
use super::key::KeyMaterial;
use super::rest::{Ending, Rest};
use super::target::Target;
use super::{RESUMED, facts};
use crate::device;
use crate::dump;
use crate::terminal::quantity;
use crate::terminal::report::{self, Outcome};

pub(crate) fn run(args: &HibernateArgs) -> anyhow::Result<Outcome> {
    if args.prepare {
        return prepare_peer(args);
    }
    let key = KeyMaterial::read(&args.key)?;
    let target = Target::open(&args.to)?;
    let state = State::read(&target).with_context(|| args.to.display().to_string())?;
    refuse_content(&args.to, &state, args.force, Swap::IsKept)?;
    let facts = facts::here(device::open()?.info()?.paging_levels)?;
    let (secret, slot) = key.new_secret()?.unzip();
    let cipher = key.cipher();
    let checked = Checked::new(args, &target, &facts, cipher.name());
    let config = Config {
        id: new_id()?,
        disk_bytes: target.length(),
        job: Job::Hibernate {
            codec: args.compress.into(),
            cipher,
            slots: slot.into_iter().collect(),
            then: args.then,
            facts: Box::new(facts),
        },
    };
    let message = config.message(secret.as_ref())?;
    drop((secret, key));
    let rest = Rest::new(&args.peer, &checked.kernel, &args.to)?;
    if args.check {
        rest.check()?;
        return checked.report(args.json);
    }
    prepare(&target, &state, config.id).with_context(|| args.to.display().to_string())?;
    drop(target);
    conclude(args, rest.begin(message))
}

/// Boots the small kernel, unless it is there.
fn prepare_peer(args: &HibernateArgs) -> anyhow::Result<Outcome> {
    let release = Machine::probe(Path::new("/")).release.map_err(|error| anyhow!("{error}"))?;
    let rest = Rest::new(&args.peer, &release, &args.to)?;
    if rest.is_resident() {
        report::inform("the small kernel is resident already; `kjump drop hibernate` frees it\n");
        return Ok(Outcome::Done);
    }
    drop(Target::open(&args.to)?);
    rest.prepare()?;
    Ok(Outcome::Done)
}

/// A new identifier.
pub(super) fn new_id() -> anyhow::Result<Id> {
    sys::system::random().context("the kernel has not gathered enough randomness yet; try again later")
}

/// Whether a swap partition is one afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Swap {
    IsKept,
    IsRefused,
}

/// Refuses to overwrite what may be needed.
pub(super) fn refuse_content(to: &Path, state: &State, force: bool, swap: Swap) -> anyhow::Result<()> {
    let path = to.display();
    if force {
        return Ok(());
    }
    if state.kind.has_image() {
        bail!("{path} holds an image that can be resumed; `kjump image erase {path}` or -f gives it up");
    }
    match dump::content_of_disk(&File::open(to)?)? {
        None => Ok(()),
        Some("swap space") if swap == Swap::IsKept => Ok(()),
        Some(content) => bail!("{path} contains {content}; -f overwrites it"),
    }
}

/// Writes out all file systems, and marks the disk for the kernel that writes to it.
pub(super) fn prepare(target: &Target, state: &State, id: Id) -> anyhow::Result<()> {
    sys::system::sync();
    if state.kind.has_image() {
        // Overwriting it was asked for.
        state.change(target, StateKind::Empty, "")?.start(target, id)?;
    } else {
        state.start(target, id)?;
    }
    Ok(())
}

/// What `--check` prints.
#[derive(Serialize)]
struct Checked {
    device: String,
    disk_bytes: u64,
    memory_bytes: u64,
    cipher: &'static str,
    kernel: String,
}

impl Checked {
    fn new(args: &HibernateArgs, target: &impl Disk, facts: &Facts, cipher: &'static str) -> Self {
        Self {
            device: args.to.display().to_string(),
            disk_bytes: target.length(),
            memory_bytes: facts.ram.iter().map(|[start, end]| end - start).sum(),
            cipher,
            kernel: facts.release.clone(),
        }
    }

    fn report(&self, json: bool) -> anyhow::Result<Outcome> {
        if json {
            report::print_json(self)?;
        } else {
            let (disk, memory) = (quantity::bytes(self.disk_bytes), quantity::bytes(self.memory_bytes));
            report::print(&format!(
                "{}: {disk}, for the used part of {memory} of memory, compressed; encryption: {}\n\
                 {} can be hibernated\n",
                self.device, self.cipher, self.kernel
            ))?;
        }
        Ok(Outcome::Done)
    }
}

/// The end of a hibernation, in the kernel that was to be hibernated.
#[derive(Serialize)]
struct Concluded {
    resumed: bool,
    reason: Option<String>,
}

/// Reports whether this kernel was resumed, and puts the file into a state that fits.
fn conclude(args: &HibernateArgs, ending: anyhow::Result<Ending>) -> anyhow::Result<Outcome> {
    let resumed = ending.as_ref().is_ok_and(|ending| ending.value == Some(RESUMED));
    let target = Target::open(&args.to)?;
    let state = State::read(&target)?;
    if resumed {
        state.release(&target)?;
        return report_end(args, &Concluded { resumed, reason: None });
    }
    // This kernel goes on, so no image of it may be resumed.
    let written = Some(&state.reason).filter(|_| state.kind == StateKind::Failed).cloned();
    let reason = written.unwrap_or_else(|| match ending {
        Ok(ending) => ending.said,
        Err(error) => format!("{error:#}"),
    });
    let failed = match state.kind {
        StateKind::Writing | StateKind::Failed => state.change(&target, StateKind::Failed, &reason)?,
        _ => state.change(&target, StateKind::Empty, "")?,
    };
    failed.release(&target)?;
    report_end(args, &Concluded { resumed, reason: Some(reason) })
}

fn report_end(args: &HibernateArgs, end: &Concluded) -> anyhow::Result<Outcome> {
    let reason = end.reason.as_deref().unwrap_or_default().trim_end();
    if args.json {
        report::print_json(end)?;
    } else if end.resumed {
        report::print("hibernated and resumed\n")?;
    } else {
        report::complain("kjump", &format!("not hibernated, and this kernel goes on: {reason}"));
    }
    Ok(if end.resumed { Outcome::Done } else { Outcome::No })
}
