//! Images that are called and return: kept by the module under one name, in place of kexec-tools' one image.

use std::path::Path;

use abi::device::{Call, mode, quiesce, status};
use anyhow::bail;
use kernel_file::Program;
use machine::Machine;
use sys::{Device, ImageName};

use super::NAME;
use super::args::JumpLoad;
use super::beside;
use super::trouble::Trouble;
use super::window;
use crate::call::FaultReport;
use crate::call::image_file::ImageFile;
use crate::call::kept;
use crate::call::placing::Placing;
use crate::device;
use crate::device::suspend_failure;
use crate::terminal::report;

pub(super) fn name() -> anyhow::Result<ImageName> {
    Ok(NAME.parse()?)
}

/// Whether an image is kept.
pub(super) fn is_kept() -> anyhow::Result<bool> {
    let Some(device) = device::open_if_loaded()? else { return Ok(false) };
    let words = name()?.words();
    Ok(device.images()?.iter().any(|image| image.name == words))
}

/// Unloads the image, if one is kept; whether one was.
pub(super) fn forget() -> anyhow::Result<bool> {
    match device::open_if_loaded()? {
        Some(device) => kept::forget(&device, &name()?),
        None => Ok(false),
    }
}

pub(super) fn load(load: &JumpLoad) -> anyhow::Result<()> {
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
    kept::forget(&device, &name()?)?;
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

/// Calls the kept image; the exit status, or `None` if none is kept.
pub(super) fn call() -> Result<Option<u8>, Trouble> {
    let Some(device) = device::open_if_loaded().map_err(anyhow::Error::from)? else { return Ok(None) };
    match device.attach(&name()?) {
        Err(refusal) if kept::is_missing(&refusal) => return Ok(None),
        other => other.map_err(anyhow::Error::from)?,
    }
    if let Some(status) = beside::call(&device, &name()?)? {
        return Ok(Some(status));
    }
    let call = suspend_failure::explained(|| device.call([0; 6], quiesce::AUTO))?;
    Ok(Some(ending(&device, &call)?))
}

/// What `kexec --exec` says where kexec-tools takes a return for a failure.
pub(super) fn tell_return(calls: u64, value: u64) {
    report::complain(NAME, &format!("call {calls} returned {value:#x}"));
}

/// The exit status of a call; what it returned is printed, or the exception.
fn ending(device: &Device, call: &Call) -> anyhow::Result<u8> {
    const FAULT: u8 = 3;
    if call.status == status::RETURNED {
        tell_return(call.calls, call.value);
        return Ok(0);
    }
    let words = name()?.words();
    let image_mode =
        device.images()?.iter().find(|image| image.name == words).map_or(mode::LONG, |image| image.mode);
    report::complain(NAME, FaultReport::new(&call.fault, image_mode).text().trim_end());
    Ok(FAULT)
}
