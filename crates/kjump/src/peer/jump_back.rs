//! `kjump return`: to the kernel that booted this one.

use std::path::Path;

use abi::device::{Range, load_flag, mode, quiesce, status};
use abi::page_list::PAGE_SIZE;
use anyhow::{Context, bail};
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

/// The name that the way back is kept under.
const NAME: &str = "return";
/// What a kernel that was booted to return finds in its command line.
const JUMP_BACK: &str = "kexec_jump_back_entry=0x";

pub(crate) fn run(args: ReturnArgs) -> anyhow::Result<Outcome> {
    let device = device::open()?;
    prepare(&device)?;
    if args.prepare {
        return Ok(Outcome::Done);
    }
    let call = suspend_failure::explained(|| device.call([args.value, 0, 0, 0, 0, 0], quiesce::SUSPEND))?;
    if call.status != status::RETURNED {
        bail!("an exception ended the way back; the kernel that booted this one did not run");
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
    /// How often this kernel has returned.
    returns: u64,
    phases_microseconds: Option<Phases>,
}

/// Makes the way back the image of the open file; it is loaded the first time.
fn prepare(device: &Device) -> anyhow::Result<()> {
    let name: ImageName = NAME.parse()?;
    match device.attach(&name) {
        Err(refusal) if kept::is_missing(&refusal) => {
            let line = machine::kernel::command_line(Path::new("/"))?;
            load(device, jump_back(&line)?, guard_of(&line).is_some())?;
            Ok(device.keep(&name)?)
        }
        other => Ok(other?),
    }
}

/// Nothing is put anywhere: what is called is in the memory of the other kernel, which this one does not use.
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

/// Whether an address can be an entry point: there is a page with it.
pub(crate) fn is_entry(address: u64) -> bool {
    (PAGE_SIZE..u64::MAX - 2 * PAGE_SIZE).contains(&address)
}

/// The entry point of the kernel that booted this one. The last counts: it is what the loader put there.
fn jump_back(line: &[u8]) -> anyhow::Result<u64> {
    let line = String::from_utf8_lossy(line);
    let digits = line.split_whitespace().filter_map(|word| word.strip_prefix(JUMP_BACK)).next_back();
    let digits = digits.context(
        "this kernel was not booted to return: there is no kexec_jump_back_entry= in /proc/cmdline",
    )?;
    match u64::from_str_radix(digits, 16) {
        Ok(entry) if is_entry(entry) => Ok(entry),
        _ => bail!("{JUMP_BACK}{digits} in /proc/cmdline is no entry point"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_is_the_last_word_of_its_kind() {
        let entry = |line: &str| jump_back(line.as_bytes()).map_err(|error| error.to_string());
        assert_eq!(
            entry("quiet kexec_jump_back_entry=0x1000 kexec_jump_back_entry=0x00000000417813f0\n"),
            Ok(0x4178_13f0)
        );
        assert!(entry("quiet").unwrap_err().contains("not booted to return"));
        for line in ["kexec_jump_back_entry=0x0000000000000000", "kexec_jump_back_entry=0xg"] {
            assert!(entry(line).unwrap_err().ends_with("is no entry point"));
        }
    }
}
