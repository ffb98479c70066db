//! The end of the running kernel: disks written out, interfaces down, and the jump.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use super::errno;
use super::kept::{self, NAME};
use super::request::{Reservation, Then};
use super::trouble::Trouble;
use crate::terminal::report;

/// What follows unloading and loading; the exit status.
pub(super) fn follow(then: Then, debug: bool) -> Result<u8, Trouble> {
    match then {
        Then::Nothing => Ok(0),
        Then::Start { sync, ifdown } => start(sync, ifdown, debug),
        Then::Shutdown => shut_down(),
    }
}

fn start(sync: bool, ifdown: bool, debug: bool) -> Result<u8, Trouble> {
    if let Some(status) = kept::call()? {
        return Ok(status);
    }
    refuse_nothing()?;
    if sync {
        sys::system::sync();
    }
    if ifdown {
        take_interfaces_down(debug);
    }
    match sys::kexec::start() {
        // What was started has returned: an image of a kernel with CONFIG_KEXEC_JUMP.
        Ok(()) => {
            report::complain(NAME, "what was started has returned");
            Ok(0)
        }
        Err(error) => Err(Trouble::Failed(errno::explained(errno::Call::Reboot, &error, "", None))),
    }
}

fn refuse_nothing() -> Result<(), Trouble> {
    // Where /sys is not mounted, the kernel says itself that nothing is loaded.
    match Reservation::Normal.has_kernel() {
        Ok(false) => Err(Trouble::nothing_loaded()),
        _ => Ok(()),
    }
}

/// All but the loopback, shapers first: an interface may go away with the one it shapes. What does
/// not go down is told, and does not stay in the way.
fn take_interfaces_down(debug: bool) {
    let mut names = match machine::network::interfaces(Path::new("/")) {
        Ok(names) => names,
        Err(error) => return report::complain(NAME, &format!("network interfaces stay up: {error}")),
    };
    names.retain(|name| name != "lo");
    names.sort_by_key(|name| (!name.starts_with("shaper"), name.clone()));
    for name in names {
        match sys::interface::take_down(&name) {
            Ok(()) if debug => report::complain(NAME, &format!("{name} is down")),
            Ok(()) => {}
            Err(error) => report::complain(NAME, &format!("{name} stays up: {error}")),
        }
    }
}

/// Has the system shut down orderly; it starts what is loaded when it would reboot.
fn shut_down() -> Result<u8, Trouble> {
    refuse_nothing()?;
    let mut last = None;
    for program in ["/sbin/shutdown", "/etc/shutdown", "/bin/shutdown"] {
        last = Some(Command::new(program).args(["-r", "now"]).exec());
    }
    let error = last.context("no shutdown is known").map_err(Trouble::Failed)?;
    let shutdown = || -> anyhow::Result<u8> {
        bail!("shutdown: {error}; what is loaded stays so, and `kexec -e` starts it")
    };
    Ok(shutdown()?)
}
