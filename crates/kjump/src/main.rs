//! Calls images in physical memory and comes back.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use kjump::Program;

fn main() -> ExitCode {
    match Program::called(std::env::args_os().collect()) {
        Program::Kjump(words) => kjump::run(&words),
        Program::Kexec(words) => kjump::kexec::run(&words),
    }
}
