//! The first process of a guest: sets up the machine, runs one command, sends its output and exit
//! status to the host, and powers off. The host's instructions are in `/lab`.
#![forbid(unsafe_code)]

mod command;
mod line;
mod setup;

use std::io;
use std::process::ExitCode;

use lab::wire::Kind;
use line::Line;

fn main() -> ExitCode {
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
