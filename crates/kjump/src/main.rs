//! Calls images in physical memory and comes back; saves memory images.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use kjump::Program;

fn main() -> ExitCode {
    match Program::called(std::env::args_os().collect()) {
        Program::Kjump(words) => kjump::run(&words),
        Program::Kexec(words) => kjump::kexec::run(&words),
        Program::Makedumpfile(words) => kjump::dump::makedumpfile::run(&words),
        Program::VmcoreDmesg(words) => kjump::dump::dmesg::run(&words),
    }
}
