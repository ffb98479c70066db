//! The first process of a guest: sets up the machine, runs one command, sends its output and exit
//! status to the host, and powers off. The host's instructions are in `/lab`.
//!
//! Started as `complaints`, it is a filter for jobs: it reads a kernel log, and prints the lines of
//! it that the host objects to as well. Its exit status is that of `grep`: 1 if there are none.
#![forbid(unsafe_code)]

mod command;
mod line;
mod setup;

use std::io::{self, Read as _};
use std::path::Path;
use std::process::ExitCode;

use lab::wire::Kind;
use line::Line;

fn main() -> ExitCode {
    let name = std::env::args_os().next().unwrap_or_default();
    if Path::new(&name).ends_with("complaints") {
        return complaints();
    }
    if std::process::id() != 1 {
        eprintln!("lab-agent runs only as the first process of a guest");
        return ExitCode::FAILURE;
    }
    // If the first process ends, the kernel panics, and the host takes the panic for the failure
    // that it is.
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lab-agent: {error}");
            ExitCode::FAILURE
        }
    }
}

fn complaints() -> ExitCode {
    let mut log = Vec::new();
    if let Err(error) = io::stdin().read_to_end(&mut log) {
        eprintln!("complaints: {error}");
        return ExitCode::from(2);
    }
    let log = String::from_utf8_lossy(&log);
    let found = lab::complaints(&log);
    for line in &found {
        println!("{line}");
    }
    ExitCode::from(u8::from(found.is_empty()))
}

fn work() -> io::Result<()> {
    setup::mount_everything()?;
    let mut line = Line::open()?;
    line.send(Kind::Hello, b"")?;
    for trouble in setup::prepare() {
        line.send(Kind::Note, trouble.as_bytes())?;
    }
    let status = command::run(&mut line)?;
    rustix::fs::sync();
    line.send(Kind::Exit, &[status])?;
    line.drain()?;
    Ok(rustix::system::reboot(rustix::system::RebootCommand::PowerOff)?)
}
