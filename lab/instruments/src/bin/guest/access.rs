//! Permission to load.

use std::fs;

use abi::device::{quiesce, reason};
use anyhow::{Context as _, Result, bail, ensure};
use rustix::io::Errno;
use rustix::mount::{UnmountFlags, mount_bind, unmount};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use sys::{Device, Error};

use crate::image::{Image, Plan, refused};

/// `without-capability`: root without CAP_SYS_BOOT cannot open the device; through an open file it
/// can call and read a loaded image, but neither load nor write.
pub(crate) fn without_capability(_: &[String]) -> Result<()> {
    let image = Plan::payload("sum64")?.load()?;
    let empty = Device::open()?;
    drop_sys_boot()?;
    match Device::open() {
        Err(Error::Open { error, .. }) if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => {}
        other => bail!("opened, or refused in another way: {other:?}"),
    }
    loads_are_refused(&image, &empty, reason::NOT_PERMITTED)?;
    println!("refused without CAP_SYS_BOOT");
    Ok(())
}

fn drop_sys_boot() -> Result<()> {
    let mut sets = capabilities(None)?;
    ensure!(sets.effective.contains(CapabilitySet::SYS_BOOT), "CAP_SYS_BOOT was not there");
    sets.effective.remove(CapabilitySet::SYS_BOOT);
    sets.permitted.remove(CapabilitySet::SYS_BOOT);
    Ok(set_capabilities(None, sets)?)
}

/// A loaded image can be called and read; nothing can be loaded or written.
fn loads_are_refused(image: &Image, empty: &Device, reason: u64) -> Result<()> {
    let calls = image.call(&[1], quiesce::NONE)?.calls;
    let address = Plan::payload("sum64")?.entry;
    let mut code = [0; 16];
    image.device.read(address, &mut code)?;
    refused(image.device.write(address, &[0xcc; 16]), Errno::PERM, reason)?;
    refused(Plan::payload("sum32")?.load_into(empty), Errno::PERM, reason)?;
    image.gives(1 + 1000 * (calls + 1), &[1], quiesce::NONE)
}

/// `refused-by CAUSE...`: loads are refused while another file is mounted over the sysctl, after
/// `kernel.kexec_load_disabled` is set, and after the kernel is locked down. Images loaded earlier
/// can be called.
pub(crate) fn refused_by(arguments: &[String]) -> Result<()> {
    let image = Plan::payload("sum64")?.load()?;
    let empty = Device::open()?;
    for what in arguments {
        let reason = refuse_by(what).with_context(|| what.clone())?;
        loads_are_refused(&image, &empty, reason).with_context(|| what.clone())?;
        println!("refused: {what}");
    }
    Ok(())
}

const SWITCH: &str = "/proc/sys/kernel/kexec_load_disabled";

/// Creates the cause. Returns the reason that the refusal must have.
fn refuse_by(what: &str) -> Result<u64> {
    Ok(match what {
        "hidden" => {
            mount_bind("/etc/passwd", SWITCH)?;
            reason::LOAD_DISABLED_UNKNOWN
        }
        "disabled" => {
            unmount(SWITCH, UnmountFlags::empty())?;
            fs::write(SWITCH, "1")?;
            reason::LOAD_DISABLED
        }
        "lockdown" => {
            fs::write("/sys/kernel/security/lockdown", "integrity")?;
            reason::LOCKED_DOWN
        }
        other => bail!("no cause {other}"),
    })
}
