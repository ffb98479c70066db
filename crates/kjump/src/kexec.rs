//! The words of kexec-tools' `kexec`, as far as they are about images that are called and return:
//!
//! ```text
//! kexec --load-preserve-context --args-none FILE
//! kexec -e        (as often as wanted)
//! kexec -u
//! ```
//!
//! What else kexec-tools can do is refused by name, never left out in silence. Exit statuses are kexec-tools': 0 done,
//! 1 wrong words or nothing to run, 255 failed; `--status` 1 if something is loaded, 0 if not. An exception in an image
//! is 3.

mod getopt;
mod options;
mod plan;
mod window;

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use abi::device::{Call, mode, quiesce, status};
use anyhow::{Context, bail};
use kernel_file::Program;
use machine::Machine;
use sys::{Device, ImageName};

use crate::call::FaultReport;
use crate::image_file::ImageFile;
use crate::place::Placing;
use crate::{device, keep, report};

pub use options::command;
use plan::{Action, Load, Slot, Trouble, plan};

/// The name that the image is kept under.
const NAME: &str = "kexec";

/// Runs kexec with the words behind its name.
#[must_use]
pub fn run(words: &[OsString]) -> ExitCode {
    match plan(words).and_then(|action| act(&action)) {
        Ok(status) => status.into(),
        Err(trouble) => {
            report::complain(NAME, &trouble.text());
            trouble.status().into()
        }
    }
}

/// Does what is asked; returns the exit status.
fn act(action: &Action) -> Result<u8, Trouble> {
    match action {
        Action::Help => report::print(&options::help())?,
        Action::Version => report::print(&format!("kexec of kjump {}\n", env!("CARGO_PKG_VERSION")))?,
        Action::Status(slot) => return Ok(u8::from(is_loaded(*slot)?)),
        Action::Unload => unload()?,
        Action::Load(load) => load_image(load)?,
        Action::Execute { debug } => return execute(*debug),
    }
    Ok(0)
}

fn name() -> anyhow::Result<ImageName> {
    Ok(NAME.parse()?)
}

fn is_loaded(slot: Slot) -> anyhow::Result<bool> {
    match slot {
        Slot::Crash => Ok(kernel_says_loaded("kexec_crash_loaded")?),
        Slot::Normal if has_kept_image()? => Ok(true),
        Slot::Normal => Ok(kernel_says_loaded("kexec_loaded")?),
    }
}

fn has_kept_image() -> anyhow::Result<bool> {
    let Some(device) = device::open_if_loaded()? else { return Ok(false) };
    let words = name()?.words();
    Ok(device.images()?.iter().any(|image| image.name == words))
}

/// A switch of `/sys/kernel`.
fn kernel_says_loaded(switch: &str) -> anyhow::Result<bool> {
    let path = format!("/sys/kernel/{switch}");
    let text = std::fs::read_to_string(&path).with_context(|| path.clone())?;
    match text.trim() {
        "0" => Ok(false),
        "1" => Ok(true),
        other => bail!("{path} is {other:?}, neither 0 nor 1"),
    }
}

fn unload() -> Result<(), Trouble> {
    let forgotten = match device::open_if_loaded().map_err(anyhow::Error::from)? {
        Some(device) => keep::forget(&device, &name()?)?,
        None => false,
    };
    if !forgotten && has_other_kernel() {
        return Err(Trouble::later(
            "--unload of a kernel that was loaded by kexec_load(2) or kexec_file_load(2)",
        ));
    }
    Ok(())
}

/// Whether something is loaded that is no image of kjump's.
fn has_other_kernel() -> bool {
    kernel_says_loaded("kexec_loaded").is_ok_and(|loaded| loaded)
}

fn load_image(load: &Load) -> anyhow::Result<()> {
    let placing = Placing {
        entry: load.entry,
        // Pages of a window are not worth moving: there are too many, and the system is suspended anyway.
        claim: load.window.is_none(),
        ..Placing::default()
    };
    let file = ImageFile::read(&load.file, placing)?;
    let mut program = file.program()?;
    if let Some(window) = load.window {
        let memory = Machine::probe(Path::new("/")).memory?;
        if memory.is_hidden() {
            bail!("the kernel shows no addresses in /proc/iomem, which --mem-max needs; run as root");
        }
        let backup = window::backup(&memory.system_ram(), &program.segments, window);
        program.segments.extend(backup);
        program.segments.sort_by_key(|segment| segment.address);
    }
    if load.debug {
        explain(&program);
    }
    let device = device::open()?;
    keep::forget(&device, &name()?)?;
    file.load(&program, &device)?;
    Ok(device.keep(&name()?)?)
}

fn explain(program: &Program<'_>) {
    report::complain(NAME, &format!("entry point {:#x}, {}-bit mode", program.entry, program.mode.number()));
    for segment in &program.segments {
        let last = segment.end() - 1;
        let bytes = segment.bytes.len();
        report::complain(
            NAME,
            &format!("{:#x}-{last:#x}: {bytes:#x} bytes of {}", segment.address, segment.name),
        );
    }
}

fn execute(debug: bool) -> Result<u8, Trouble> {
    let nothing = || {
        if has_other_kernel() {
            Trouble::later("--exec of a kernel that was loaded by kexec_load(2) or kexec_file_load(2)")
        } else {
            Trouble::nothing_loaded()
        }
    };
    let device = device::open_if_loaded().map_err(anyhow::Error::from)?.ok_or_else(nothing)?;
    match device.attach(&name()?) {
        Err(refusal) if keep::is_missing(&refusal) => return Err(nothing()),
        other => other.map_err(anyhow::Error::from)?,
    }
    let call = device.call([0; 6], quiesce::AUTO).map_err(anyhow::Error::from)?;
    if debug {
        report::complain(NAME, &format!("call {}: returned {:#x}", call.calls, call.value));
    }
    Ok(ending(&device, &call)?)
}

/// The exit status of a call; an exception is printed.
fn ending(device: &Device, call: &Call) -> anyhow::Result<u8> {
    const FAULT: u8 = 3;
    if call.status == status::RETURNED {
        return Ok(0);
    }
    let words = name()?.words();
    let image_mode =
        device.images()?.iter().find(|image| image.name == words).map_or(mode::LONG, |image| image.mode);
    report::complain(NAME, FaultReport::new(&call.fault, image_mode).text().trim_end());
    Ok(FAULT)
}
