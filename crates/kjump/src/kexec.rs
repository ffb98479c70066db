//! kexec-tools' `kexec`: loads a kernel, and starts it in place of the running one.
//!
//! ```text
//! kexec --load FILE; kexec --exec
//! kexec --load-preserve-context --args-none FILE; kexec --exec     call an image, which returns
//! kexec --load-preserve-context --mem-max=ADDR FILE; kexec --exec  run a kernel alongside this one
//! kexec --load-jump-back-helper --entry=ADDR; kexec --exec         return to the kernel that booted this one
//! ```
//!
//! Arguments are parsed (`getopt`, by the table in `options`) and resolved (`args`, into a
//! `request`); then files are read (`files`), a system call is chosen (`syscall`), a plan is made
//! (`planning`) and carried out (`by_load`, `by_file_load`). A refusal of the kernel is explained
//! (`errno`). No option is ignored silently: one that has no effect is an error. Exit statuses are
//! kexec-tools': 0 success, 1 wrong command line or nothing to start, 255 failure, 254 no memory
//! for a crash kernel, 253 no `kexec_file_load`; `--status` exits with 1 if something is loaded and
//! 0 if not. An exception in a called image is 3.

pub(crate) mod args;
mod boot_entry;
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
mod prepare;
mod purgatory;
mod request;
mod reservation;
mod start;
mod syscall;
mod trial;
mod trouble;
mod window;

use std::ffi::OsString;
use std::process::ExitCode;

use crate::terminal::report;

use kept::NAME;
pub use options::command;
use request::{Action, Purpose, Work};
use trouble::Trouble;

/// Runs kexec with these arguments.
#[must_use]
pub fn run(arguments: &[OsString]) -> ExitCode {
    match args::read(arguments).and_then(|action| act(&action)) {
        Ok(status) => status.into(),
        Err(trouble) => {
            report::complain(NAME, &trouble.text());
            trouble.status().into()
        }
    }
}

/// Reports whether a load with these arguments can work.
#[must_use]
pub(crate) fn check(arguments: &[OsString], json: bool) -> ExitCode {
    let own = ["--check"].into_iter().chain(json.then_some("--json"));
    let arguments: Vec<OsString> = own.map(OsString::from).chain(arguments.iter().cloned()).collect();
    run(&arguments)
}

/// Loads a kernel with these arguments, and shuts the system down, which starts it.
pub(crate) fn start_for_good(arguments: &[OsString]) -> anyhow::Result<()> {
    match args::read(arguments).and_then(|action| act(&action)).and_then(|_| start::hand_over()) {
        Ok(0) => Ok(()),
        Ok(status) => anyhow::bail!("kexec: exit status {status}"),
        Err(trouble) => anyhow::bail!("kexec: {}", trouble.text()),
    }
}

/// Carries the action out; returns the exit status.
fn act(action: &Action) -> Result<u8, Trouble> {
    match action {
        Action::Help { all } => report::print(&options::help(*all))?,
        Action::Version => {
            // Scripts look for the name of the package that these options are of.
            report::print(&format!("kexec-tools 2.0.32 (kjump {})\n", env!("CARGO_PKG_VERSION")))?;
        }
        Action::Status(reservation) => return Ok(u8::from(reservation.is_loaded()?)),
        Action::PrintCrashSize => report::print(&format!("{}\n", reservation::crash_size()?))?,
        Action::ListEntries { json } => boot_entry::list(*json)?,
        Action::LoadCalled(load) => image::load(load)?,
        Action::LoadReturning(load) => peer::load(load)?,
        Action::LoadJumpBackHelper { entry } => peer::load_jump_back(*entry)?,
        Action::Work(work) => return self::work(work),
    }
    Ok(0)
}

fn work(work: &Work) -> Result<u8, Trouble> {
    let load = work.load.as_ref().map(boot_entry::resolved).transpose()?;
    let load = load.as_deref();
    match load.map(|load| (load, load.purpose)) {
        Some((load, Purpose::Check { json })) => return check::check(load, work.wanted, json),
        Some((load, Purpose::DryRun)) => return check::dry_run(load, work.wanted),
        Some((load, Purpose::Trial { json })) => return trial::run(load, work.wanted, json),
        _ => {}
    }
    if let Some(reservation) = work.unload {
        reservation.unload(work.wanted)?;
    }
    if let Some(load) = load {
        load::load(load, work.wanted)?;
    }
    start::follow(work.then, load.is_some(), work.debug)
}
