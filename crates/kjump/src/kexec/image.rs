//! Loads an image that is called and returns. The module keeps it, in place of kexec-tools' one
//! image.

use std::path::Path;

use anyhow::anyhow;
use kernel_file::Program;
use machine::Machine;

use super::kept::{NAME, name};
use super::request::CalledLoad;
use super::window;
use crate::call::image_file::ImageFile;
use crate::call::kept;
use crate::call::placing::Placing;
use crate::device;
use crate::terminal::report;

pub(super) fn load(load: &CalledLoad) -> anyhow::Result<()> {
    let placing = Placing {
        entry: load.entry,
        // Pages of a window are not worth moving: there are too many, and the system is suspended
        // anyway.
        claim: load.window.is_none(),
        ..Placing::default()
    };
    let file = ImageFile::read(&load.file, placing)?;
    let mut program = file.program()?;
    if let Some(window) = load.window {
        let machine = Machine::probe(Path::new("/"));
        let memory = machine.visible_memory().map_err(|error| anyhow!("--mem-max: {error}"))?;
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
