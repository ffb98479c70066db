//! The program kjump.
#![forbid(unsafe_code)]
#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;

use kjump::Program;

fn main() -> ExitCode {
    match Program::called(std::env::args_os().collect()) {
        Program::Kjump(args) => kjump::run(&args),
        Program::Kexec(args) => kjump::kexec::run(&args),
        Program::Makedumpfile(args) => kjump::dump::makedumpfile::run(&args),
        Program::VmcoreDmesg(args) => kjump::dump::dmesg::run(&args),
    }
}
