//! Kernels that return, by the options of kexec-tools: one that runs in a window alongside this
//! one, and the one that booted this one.

use std::path::Path;

use anyhow::Context;
use phys::{PAGE_SIZE, PhysRange};

use super::files::Files;
use super::kept::name;
use super::purgatory;
use super::request::ReturningLoad;
use super::trouble::Trouble;
use crate::call::kept;
use crate::device;
use crate::peer::guard::guard_of;
use crate::peer::jump_back;
use crate::peer::load::{Planned, Request, Window};

/// The end of low memory, which stays with the running kernel.
const LOW_END: u64 = 0x10_0000;

/// Loads a kernel into a window; `kexec --exec` switches to it.
pub(super) fn load(peer: &ReturningLoad) -> anyhow::Result<()> {
    let load = &peer.load;
    let (first, last) = peer.window;
    let amount = plan::Amount(last.saturating_sub(first).saturating_add(1));
    let window = || format!("--mem-min={first:#x} --mem-max={last:#x} ({amount})");
    let path = load.file.as_deref().context("No kernel specified")?;
    let files = Files::read(load, path, || Ok(machine::kernel::command_line(Path::new("/"))?))?;
    let (start, size) = pages(first, last);
    let name = name()?;
    let request = Request {
        name: &name,
        kernel: &files.kernel,
        initrds: files.all_initrds()?,
        command_line: files.command_line.clone(),
        window: Window::At(PhysRange::from_bytes(start, size).with_context(window)?),
        guarded: false,
        vmcore: true,
        mailbox: 0,
        purgatory: purgatory::of(load),
    };
    kept::forget(&device::open()?, &name)?;
    Planned::new(&request).and_then(Planned::load).with_context(window)?;
    Ok(())
}

/// The whole pages from 1 MiB on: where they start, and how many bytes.
const fn pages(first: u64, last: u64) -> (u64, u64) {
    let first = if first < LOW_END { LOW_END } else { first };
    let start = first.div_ceil(PAGE_SIZE).saturating_mul(PAGE_SIZE);
    let end = last.saturating_add(1) / PAGE_SIZE * PAGE_SIZE;
    (start, end.saturating_sub(start))
}

/// Prepares to return to the kernel that booted this one; `kexec --exec` does it.
pub(super) fn load_jump_back(entry: Option<u64>) -> Result<(), Trouble> {
    let Some(entry) = entry else {
        let text = "--load-jump-back-helper needs --entry: the address in /proc/cmdline after \
                    kexec_jump_back_entry=";
        return Err(Trouble::Usage(text.into()));
    };
    if !jump_back::is_entry(entry) {
        return Err(Trouble::Usage(format!("--entry={entry:#x} cannot be a kernel's entry point")));
    }
    let line = machine::kernel::command_line(Path::new("/")).map_err(anyhow::Error::from)?;
    let device = device::open()?;
    kept::forget(&device, &name()?)?;
    jump_back::load(&device, entry, guard_of(&line).is_some())?;
    device.keep(&name()?).map_err(anyhow::Error::from)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_of_whole_pages_above_1_mib() {
        assert_eq!(pages(0x100_0000, 0x10ff_ffff), (0x100_0000, 0x1000_0000));
        assert_eq!(pages(0, 0xff_ffff), (0x10_0000, 0xf0_0000));
        assert_eq!(pages(0x10_0001, 0x10_2ffe), (0x10_1000, 0x1000));
        assert_eq!(pages(0x20_0000, 0x1000), (0x20_0000, 0));
        assert_eq!(pages(u64::MAX, u64::MAX).1, 0);
    }
}
