//! The image or kernel that the module keeps for `kexec --exec`, under one name: in place of
//! kexec-tools' one image.

use abi::device::{Call, mode, quiesce, status};
use anyhow::bail;
use sys::{Device, ImageName};

use super::trouble::Trouble;
use crate::call::FaultReport;
use crate::call::kept;
use crate::device;
use crate::device::suspend_failure;
use crate::peer::record::PeerRecord;
use crate::peer::visit::Visit;
use crate::terminal::report;

/// The name that it is kept under, and the program's.
pub(super) const NAME: &str = "kexec";
/// The exit status after an exception.
const FAULT: u8 = 3;

pub(super) fn name() -> anyhow::Result<ImageName> {
    Ok(NAME.parse()?)
}

/// The device, if the module can be used. What the kernel's own kexec does needs no module: a
/// device that cannot be opened, or is of another version, is as good as none.
fn usable_device(debug: bool) -> Option<Device> {
    without_module(device::open_if_loaded(), debug)
}

fn without_module<T>(device: Result<Option<T>, sys::Error>, debug: bool) -> Option<T> {
    device.unwrap_or_else(|error| {
        if debug {
            report::complain(NAME, &format!("continuing without kjump's module: {error}"));
        }
        None
    })
}

/// Whether an image is kept.
pub(super) fn is_kept() -> anyhow::Result<bool> {
    let Some(device) = usable_device(false) else { return Ok(false) };
    Ok(device.image_named(&name()?).is_ok_and(|image| image.is_some()))
}

/// Unloads the image, if one is kept; whether one was.
pub(super) fn forget(debug: bool) -> anyhow::Result<bool> {
    match usable_device(debug) {
        Some(device) => kept::forget(&device, &name()?),
        None => Ok(false),
    }
}

/// Calls the kept image; the exit status, or `None` if none is kept.
pub(super) fn call(debug: bool) -> Result<Option<u8>, Trouble> {
    let Some(device) = usable_device(debug) else { return Ok(None) };
    match device.attach(&name()?) {
        Err(refusal) if kept::is_missing(&refusal) => return Ok(None),
        other => other.map_err(anyhow::Error::from)?,
    }
    if let Some(status) = call_kernel(&device, &name()?)? {
        return Ok(Some(status));
    }
    let call = suspend_failure::explained(|| device.call([0; 6], quiesce::AUTO))?;
    Ok(Some(ending(&device, &call)?))
}

/// Calls the image of the open file if it is a kernel or the jump-back entry of one. Returns the
/// exit status.
fn call_kernel(device: &Device, name: &ImageName) -> anyhow::Result<Option<u8>> {
    let Some(image) = device.image_named(name)? else { return Ok(None) };
    if image.pages == 0 {
        let call = suspend_failure::explained(|| device.call([0; 6], quiesce::SUSPEND))?;
        if call.status != status::RETURNED {
            bail!("returning failed with an exception; the kernel that booted this one did not run");
        }
        return Ok(Some(0));
    }
    let Some(record) = PeerRecord::of(&image) else { return Ok(None) };
    record.refuse_dead(name)?;
    let visit = Visit::make(device, name, [0; 6], 0)?;
    if let Some((calls, value)) = visit.returned() {
        report_return(calls, value);
        return Ok(Some(0));
    }
    report::complain(NAME, visit.text().trim_end());
    Ok(Some(FAULT))
}

/// What `kexec --exec` says where kexec-tools takes a return for a failure.
pub(super) fn report_return(calls: u64, value: u64) {
    report::complain(NAME, &format!("call {calls} returned {value:#x}"));
}

/// The exit status of a call; what it returned is printed, or the exception.
fn ending(device: &Device, call: &Call) -> anyhow::Result<u8> {
    if call.status == status::RETURNED {
        report_return(call.calls, call.value);
        return Ok(0);
    }
    let image_mode = device.image_named(&name()?)?.map_or(mode::LONG, |image| image.mode);
    report::complain(NAME, FaultReport::new(&call.fault, image_mode).text().trim_end());
    Ok(FAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_kexec_needs_no_usable_module() {
        let path = || std::path::PathBuf::from("/dev/kjump");
        let denied = sys::Error::Open { path: path(), error: std::io::ErrorKind::PermissionDenied.into() };
        assert_eq!(without_module::<()>(Err(denied), true), None);
        assert_eq!(without_module::<()>(Err(sys::Error::Absent { path: path() }), false), None);
        assert_eq!(without_module(Ok(Some(1)), false), Some(1));
    }
}
