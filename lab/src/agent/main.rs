//! The first process of a guest: brings the machine up, runs one command, tells the host what it says and how it ended,
//! and powers off. The host's orders lie in `/lab`.
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
        eprintln!("lab-agent is the first process of a guest of the lab, and nothing else");
        return ExitCode::FAILURE;
    }
    // The first process must not end: the kernel would panic. That, though, is what the host understands.
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
    line.say(Kind::Hello, b"")?;
    for trouble in setup::prepare() {
        line.say(Kind::Note, trouble.as_bytes())?;
    }
    let status = command::run(&mut line)?;
    rustix::fs::sync();
    line.say(Kind::Exit, &[status])?;
    line.drain()?;
    Ok(rustix::system::reboot(rustix::system::RebootCommand::PowerOff)?)
}
