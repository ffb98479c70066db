//! kexec-tools' `kexec`: a kernel is loaded, and started in place of the running one.
//!
//! ```text
//! kexec --load FILE; kexec --exec
//! kexec --load-preserve-context --args-none FILE; kexec --exec     an image that is called and returns
//! kexec --load-preserve-context --mem-max=ADDR FILE; kexec --exec  a kernel beside this one
//! kexec --load-jump-back-helper --entry=ADDR; kexec --exec         back to the kernel that booted this one
//! ```
//!
//! Words are read (`getopt`, by the table in `options`) and understood (`args`); then files are read (`files`, `kernel`),
//! a system call is chosen (`syscall`), a plan is made (`planning`) and carried out (`load`, `by_load`, `by_file_load`). What the kernel refuses is
//! explained (`errno`). No option is passed over in silence: what cannot be honoured is an error. Exit statuses are
//! kexec-tools': 0 done, 1 wrong words or nothing to run, 255 failed, 254 no memory for a crash kernel, 253 no
//! `kexec_file_load`; `--status` 1 if something is loaded, 0 if not. An exception in a called image is 3.

pub(crate) mod args;
mod by_file_load;
mod by_load;
mod check;
mod command_line;
mod describe;
mod errno;
mod files;
mod getopt;
mod image;
mod kept;
mod load;
mod options;
mod peer;
mod planning;
mod purgatory;
mod request;
mod slot;
mod start;
mod syscall;
mod trouble;
mod window;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::terminal::report;

use kept::NAME;
pub use options::command;
use request::{Action, Purpose, Work};
use trouble::Trouble;

/// Runs kexec with the words behind its name.
#[must_use]
pub fn run(words: &[OsString]) -> ExitCode {
    match args::read(words).and_then(|action| act(&action)) {
        Ok(status) => status.into(),
        Err(trouble) => {
            report::complain(NAME, &trouble.text());
            trouble.status().into()
        }
    }
}

/// Tells whether a load with these words can work.
#[must_use]
pub(crate) fn check(words: &[OsString], json: bool) -> ExitCode {
    let own = ["--check"].into_iter().chain(json.then_some("--json"));
    let words: Vec<OsString> = own.map(OsString::from).chain(words.iter().cloned()).collect();
    run(&words)
}

/// Does what is asked; returns the exit status.
fn act(action: &Action) -> Result<u8, Trouble> {
    match action {
        Action::Help { all } => report::print(&options::help(*all))?,
        Action::Version => {
            // Scripts look for the name of the package whose options these are.
            report::print(&format!("kexec-tools 2.0.32 (kjump {})\n", env!("CARGO_PKG_VERSION")))?;
        }
        Action::Status(slot) => return Ok(u8::from(slot.is_loaded()?)),
        Action::PrintCrashSize => report::print(&format!("{}\n", slot::crash_size()?))?,
        Action::LoadToCall(load) => image::load(load)?,
        Action::LoadBeside(load) => peer::load(load)?,
        Action::LoadJumpBackHelper { entry } => peer::load_way_back(*entry)?,
        Action::Work(work) => return self::work(work),
    }
    Ok(0)
}

fn work(work: &Work) -> Result<u8, Trouble> {
    match work.load.as_ref().map(|load| (load, load.purpose)) {
        Some((load, Purpose::Check { json })) => return check::check(load, work.wanted, json),
        Some((load, Purpose::DryRun)) => return check::dry_run(load, work.wanted),
        _ => {}
    }
    if let Some(slot) = work.unload {
        slot.unload(work.wanted)?;
    }
    if let Some(load) = &work.load {
        load::load(load, work.wanted)?;
    }
    start::follow(work.then, work.debug)
}
