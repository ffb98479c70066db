//! `kjump return`: returns to the kernel that booted this one, by its jump-back entry.

use std::path::Path;

use abi::device::{Range, load_flag, mode, quiesce, status};
use abi::page_list::PAGE_SIZE;
use anyhow::{Context, bail};
use plan::linux::parameters::{self, Parameter};
use serde::Serialize;
use sys::device::LoadRequest;
use sys::{Device, ImageName};

use crate::call::kept;
use crate::device;
use crate::device::call_phases::Phases;
use crate::device::suspend_failure;
use crate::peer::args::ReturnArgs;
use crate::peer::guard::guard_of;
use crate::terminal::report::{self, Outcome};

/// The name that the jump-back entry is kept under.
const NAME: &str = "return";
/// The parameter in the command line of a kernel that can return.
const JUMP_BACK: &str = "kexec_jump_back_entry";

pub(crate) fn run(args: ReturnArgs) -> anyhow::Result<Outcome> {
    let device = device::open()?;
    prepare(&device)?;
    if args.prepare {
        return Ok(Outcome::Done);
    }
    let call = suspend_failure::explained(|| device.call([args.value, 0, 0, 0, 0, 0], quiesce::SUSPEND))?;
    if call.status != status::RETURNED {
        bail!("returning failed with an exception; the kernel that booted this one did not run");
    }
    let phases_microseconds = Phases::of(&call.ticks, device.info()?.tsc_khz);
    let back = Back { value: call.value, returns: call.calls, phases_microseconds };
    if args.json {
        report::print_json(&back)?;
    } else {
        report::print(&format!("back with {:#x}\n", back.value))?;
    }
    Ok(Outcome::Done)
}

/// This kernel was switched to again.
#[derive(Serialize)]
struct Back {
    value: u64,
    /// The number of times this kernel has returned.
    returns: u64,
    phases_microseconds: Option<Phases>,
}

/// Makes the jump-back entry the image of the open file, and loads it the first time.
fn prepare(device: &Device) -> anyhow::Result<()> {
    let name: ImageName = NAME.parse()?;
    match device.attach(&name) {
        Err(refusal) if kept::is_missing(&refusal) => {
            let line = machine::kernel::command_line(Path::new("/"))?;
            load(device, entry(&line)?, guard_of(&line).is_some())?;
            Ok(device.keep(&name)?)
        }
        other => Ok(other?),
    }
}

/// Loads a jump-back entry. No bytes are loaded: the code to call is in the memory of the other
/// kernel, which this one does not use.
pub(crate) fn load(device: &Device, entry: u64, is_guarded: bool) -> anyhow::Result<()> {
    let start = entry - entry % PAGE_SIZE;
    let vouched = [Range { start, end: start + PAGE_SIZE }];
    let request = LoadRequest {
        segments: &[],
        vouched: &vouched,
        entry,
        mode: mode::LONG,
        flags: load_flag::CALL_ON_PANIC | if is_guarded { load_flag::GUARDED_FROM_THERE } else { 0 },
    };
    device.load(&request).map_err(|refusal| device::refused(refusal, &[]))?;
    Ok(())
}

/// Whether an address can be an entry point: its page can be called.
pub(crate) fn is_entry(address: u64) -> bool {
    (PAGE_SIZE..u64::MAX - 2 * PAGE_SIZE).contains(&address)
}

/// The entry point of the kernel that booted this one. The last parameter counts: the loader
/// appended it.
pub(crate) fn entry(line: &[u8]) -> anyhow::Result<u64> {
    let entries = parameters::of_kernel(line).filter(|parameter| parameter.is_named(JUMP_BACK.as_bytes()));
    let value = entries.last().and_then(Parameter::value).map(String::from_utf8_lossy);
    let value =
        value.context("this kernel was not booted to return: no kexec_jump_back_entry= in /proc/cmdline")?;
    let entry = value.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
    match entry {
        Some(entry) if is_entry(entry) => Ok(entry),
        _ => bail!("{JUMP_BACK}={value} in /proc/cmdline is not an entry point"),
    }
}

#[cfg(test)]
mod tests {
    use super::entry as parse;

    #[test]
    fn the_last_jump_back_entry_of_a_command_line_counts() {
        let entry = |line: &str| parse(line.as_bytes()).map_err(|error| error.to_string());
        assert_eq!(
            entry("quiet kexec_jump_back_entry=0x1000 kexec_jump_back_entry=0x00000000417813f0\n"),
            Ok(0x4178_13f0)
        );
        assert!(entry("quiet").unwrap_err().contains("not booted to return"));
        for line in ["kexec_jump_back_entry=0x0000000000000000", "kexec_jump_back_entry=0xg"] {
            assert!(entry(line).unwrap_err().ends_with("is not an entry point"));
        }
    }
}
