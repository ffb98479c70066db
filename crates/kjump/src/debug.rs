//! `kjump debug`: this kernel rests, and another one opens a shell that sees its memory.
//!
//! The other kernel is booted from an initramfs made for it, whose init opens the shell each time
//! the kernel is entered and returns when the shell ends. It stays resident.

pub(crate) mod args;

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use machine::Machine;
use plan::linux::{Initrd, parameters as words};
use sys::ImageName;

use crate::device;
use crate::initramfs::args::InitramfsArgs;
use crate::initramfs::{self, Job};
use crate::kernel::digest::QUIET;
use crate::kernel::file::KernelFile;
use crate::peer::load::{Planned, Request, Window};
use crate::peer::visit::Visit;
use crate::peer::{forecast, guard, parameters, resident};
use crate::terminal::report::{self, Outcome};

use args::DebugArgs;

/// The name that the other kernel is resident under.
const NAME: &str = "debug";
/// The console where the command line names none.
const SCREEN: &str = "tty0";
/// Bytes of the other kernel's window.
const MEMORY: u64 = 256 << 20;

pub(crate) fn run(args: &DebugArgs) -> anyhow::Result<Outcome> {
    let name: ImageName = NAME.parse()?;
    let is_resident = match device::open_if_loaded()? {
        Some(device) => device.image_named(&name)?.is_some(),
        None => false,
    };
    if let Some(option) = args.option_for_booting().filter(|_| is_resident) {
        bail!(
            "{option} is for booting the other kernel, but it is resident already; free it with \
             `kjump drop {NAME}` first"
        );
    }
    match (is_resident, args.prepare) {
        (true, false) => resident::visit(&name, 0, args.deadline)?.report(args.json),
        (true, true) => {
            report::inform("debug is resident already; `kjump drop debug` frees it\n");
            Ok(Outcome::Done)
        }
        (false, _) => boot(args, &name),
    }
}

fn boot(args: &DebugArgs, name: &ImageName) -> anyhow::Result<Outcome> {
    let release = Machine::probe(Path::new("/")).release.map_err(|error| anyhow!("{error}"))?;
    let running = machine::kernel::command_line(Path::new("/"))?;
    let console = args.console.clone().or_else(|| last_console(&running)).unwrap_or_else(|| SCREEN.into());
    let path = args.kernel.clone().unwrap_or_else(|| PathBuf::from(format!("/boot/vmlinuz-{release}")));
    let kernel = KernelFile::read(&path).context("kernel")?;
    let job = Job::Shell { terminal: terminal(&console), rests: args.prepare };
    let files = InitramfsArgs::of_host(&release, args.driver.clone(), args.add.clone());
    let initramfs = initramfs::build_for(&files, job).context("making an initramfs for the other kernel")?;
    let line = parameters::command_line(
        &running,
        format!("console={console} {}", args.append.as_deref().unwrap_or_default()).trim(),
    );
    let device = Planned::new(&Request {
        name,
        kernel: &kernel,
        initrds: vec![Initrd { name: "the initramfs", bytes: &initramfs }],
        command_line: line.clone(),
        window: Window::Anywhere { size: args.memory.unwrap_or(MEMORY) },
        guarded: args.deadline.is_some(),
        vmcore: true,
        mailbox: 0,
        purgatory: QUIET,
    })?
    .load()?;
    let can_guard = args.deadline.is_none() && guard::is_possible(&device)?;
    for advice in forecast::advice(&line, can_guard) {
        report::complain("kjump", &advice);
    }
    let visit = Visit::make(&device, name, [0; 6], args.deadline.unwrap_or(0)).inspect_err(|_| {
        // The kernel never ran. The error to report is that of the call.
        let _ = device.unload();
    })?;
    visit.report(args.json)
}

/// The last console of a command line that is a terminal.
fn last_console(line: &[u8]) -> Option<String> {
    let consoles = words::of_kernel(line).filter(|parameter| parameter.is_named(b"console"));
    let names = consoles.filter_map(|parameter| std::str::from_utf8(parameter.value()?).ok());
    names.filter(|name| name.starts_with("tty") || name.starts_with("hvc")).last().map(str::to_owned)
}

/// The name in /dev of the terminal of a console.
fn terminal(console: &str) -> &str {
    match console.split(',').next().unwrap_or(console) {
        // The first virtual terminal is the one that a kernel shows after it has booted.
        "tty" | SCREEN => "tty1",
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shell_is_on_the_last_console() {
        for (line, console, device) in [
            ("console=tty0 console=ttyS0,115200 quiet", Some("ttyS0,115200"), "ttyS0"),
            ("console=ttyS1 console=tty0", Some("tty0"), "tty1"),
            ("console=ttyS1 console=null -- console=ttyS3", Some("ttyS1"), "ttyS1"),
            ("quiet", None, "tty1"),
        ] {
            let found = last_console(line.as_bytes());
            assert_eq!(found.as_deref(), console);
            assert_eq!(terminal(found.as_deref().unwrap_or(SCREEN)), device);
        }
    }
}
