//! The device of the module: opening it, loading the module if needed, and explaining the module's
//! refusals.

pub(crate) mod call_phases;
pub(crate) mod suspend_failure;

use std::process::Command;

use anyhow::{Context, anyhow, bail};
use sys::{Device, Error, Refusal};

/// Opens the device; loads the module first if it is not loaded.
pub(crate) fn open() -> anyhow::Result<Device> {
    match Device::open() {
        Err(Error::Absent { .. }) => {
            load_module()?;
            Ok(Device::open().context("the module was loaded")?)
        }
        other => Ok(other?),
    }
}

/// Opens the device; `None` if the module is not loaded.
pub(crate) fn open_if_loaded() -> Result<Option<Device>, Error> {
    match Device::open() {
        Ok(device) => Ok(Some(device)),
        Err(Error::Absent { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn load_module() -> anyhow::Result<()> {
    const ADVICE: &str = "`kjump check` shows why; `insmod kjump.ko` loads a module that is not installed";
    // modprobe is in /sbin, which is not in every user's search path.
    let search = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin";
    let output = match Command::new("modprobe").arg("kjump").env("PATH", search).output() {
        Ok(output) => output,
        Err(error) => bail!("the module is not loaded, and modprobe cannot be run: {error}; {ADVICE}"),
    };
    if output.status.success() {
        return Ok(());
    }
    let errors = String::from_utf8_lossy(&output.stderr);
    let reason = errors.lines().last().unwrap_or("no reason given").trim();
    bail!("the module is not loaded, and `modprobe kjump` fails: {reason}; {ADVICE}")
}

/// A refusal as an error. `segments` are the names of the segments to load, if there are any.
pub(crate) fn refused(refusal: Refusal, segments: &[String]) -> anyhow::Error {
    match image_error(&refusal) {
        Some(error) => {
            let parts = segments_of(&error).into_iter().filter_map(|index| segments.get(index as usize));
            let names: Vec<&str> = parts.map(String::as_str).collect();
            let names = if names.is_empty() { String::new() } else { format!(" ({})", names.join("; ")) };
            match image_advice(&error) {
                Some(advice) => anyhow!("{error}{names}; {advice}"),
                None => anyhow!("{error}{names}"),
            }
        }
        None => refusal.into(),
    }
}

/// The image builder's error that the module passed on, if this program knows it.
fn image_error(refusal: &Refusal) -> Option<kimage::Error> {
    let [a, b, c, d, 0] = refusal.diagnosis.numbers else { return None };
    let reason = Some(refusal.diagnosis.reason).filter(|_| refusal.is_of_image());
    kimage::Error::from_numbers(u32::try_from(reason?).ok()?, [a, b, c, d])
}

/// The numbers of the segments that an error is about.
fn segments_of(error: &kimage::Error) -> Vec<u32> {
    use kimage::Error::{BufferTooLong, NotAllowed, Overlap, TooHigh, Unaligned};
    match *error {
        Unaligned { segment, .. }
        | BufferTooLong { segment, .. }
        | TooHigh { segment, .. }
        | NotAllowed { segment, .. } => vec![segment],
        Overlap { segments, .. } => segments.to_vec(),
        _ => Vec::new(),
    }
}

fn image_advice(error: &kimage::Error) -> Option<&'static str> {
    use kimage::Error::{BadFrame, EntryOutside, List, NoMemory, NotAllowed, TooManyPages};
    match error {
        NotAllowed { .. } => {
            Some("`kjump map` shows the machine's System RAM; --vouch allows unused memory outside it")
        }
        EntryOutside { .. } => Some("choose another address with --entry"),
        TooManyPages { .. } | NoMemory { .. } => {
            Some("free memory, add swap space, or load a smaller image or into a smaller window")
        }
        List { .. } | BadFrame { .. } => {
            Some("this is a bug in the module; please report it with these numbers")
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::device::Diagnosis;
    use sys::Request;

    fn text(reason: u64, numbers: [u64; 5]) -> String {
        let refusal = Refusal { request: Request::Load, errno: 22, diagnosis: Diagnosis { reason, numbers } };
        refused(refusal, &["load header 0".into(), "load header 1".into()]).to_string()
    }

    #[test]
    fn an_error_of_the_image_names_its_segment_and_a_remedy() {
        let error = kimage::Error::NotAllowed { segment: 1, mem: 0x1000, memsz: 0x2000, address: 0x2000 };
        let [a, b, c, d] = error.numbers();
        assert_eq!(
            text(error.reason().into(), [a, b, c, d, 0]),
            "segment 1: 0x2000 bytes at 0x1000 are not all in allowed memory: 0x2000 is not (load header 1); \
             `kjump map` shows the machine's System RAM; --vouch allows unused memory outside it"
        );
        let error = kimage::Error::Overlap { segments: [1, 0], start: 0x1000, end: 0x2000 };
        let [a, b, c, d] = error.numbers();
        assert_eq!(
            text(error.reason().into(), [a, b, c, d, 0]),
            "segments 1 and 0 overlap in 0x1000-0x1fff (load header 1; load header 0)"
        );
    }

    #[test]
    fn unknown_numbers_of_a_later_module_are_shown_unchanged() {
        assert!(text(98, [1, 2, 3, 4, 5]).starts_with("reason 98 [1, 2, 3, 4, 5]"));
        assert!(text(1, [1, 2, 3, 4, 5]).starts_with("reason 1 [1, 2, 3, 4, 5]"));
    }

    #[test]
    fn other_refusals_are_shown_unchanged() {
        assert_eq!(text(abi::device::reason::NOT_LOADED, [0; 5]), "no image is loaded; load an image first");
    }
}
