//! Ends the running kernel: syncs file systems, takes network interfaces down, and starts what is
//! loaded.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};
use sys::routes::Saved;

use super::errno;
use super::kept::{self, NAME};
use super::request::{Reservation, Then};
use super::trouble::Trouble;
use crate::terminal::report;

/// What is done after unloading and loading; the exit status. `loaded` is whether a kernel was
/// loaded just now.
pub(super) fn follow(then: Then, loaded: bool, debug: bool) -> Result<u8, Trouble> {
    match then {
        Then::Nothing => Ok(0),
        Then::Start { sync, ifdown } => start(sync, ifdown, loaded, debug),
        Then::Shutdown => shut_down(loaded),
    }
}

fn start(sync: bool, ifdown: bool, loaded: bool, debug: bool) -> Result<u8, Trouble> {
    if let Some(status) = kept::call(debug)? {
        return Ok(status);
    }
    if !loaded {
        require_loaded(Reservation::Normal.has_kernel())?;
    }
    if sync {
        sys::system::sync();
    }
    // What cannot be saved can only be missing after a failure.
    let routes = if ifdown { sys::routes::save().unwrap_or_default() } else { Saved::default() };
    let down = if ifdown { take_interfaces_down(debug) } else { Vec::new() };
    match sys::kexec::start() {
        // Something that returns was started, on a kernel with CONFIG_KEXEC_JUMP.
        Ok(()) => {
            report::complain(NAME, "the started kernel or image returned");
            Ok(0)
        }
        Err(error) => {
            bring_interfaces_up(&down, &routes);
            Err(Trouble::Failed(errno::explained(errno::Call::Reboot, &error, "", None)))
        }
    }
}

/// Refuses to start where nothing is loaded, or where that is not known: interfaces go down before
/// the kernel could refuse.
fn require_loaded(loaded: anyhow::Result<bool>) -> Result<(), Trouble> {
    match loaded {
        Ok(true) => Ok(()),
        Ok(false) => Err(Trouble::nothing_loaded()),
        Err(error) => Err(Trouble::Failed(error)),
    }
}

/// Takes all interfaces down but the loopback, shapers first: an interface may go away with the one
/// it shapes. Failures are reported, and the next kernel is started anyway. Returns those that were
/// up.
fn take_interfaces_down(debug: bool) -> Vec<String> {
    let mut names = match machine::network::interfaces(Path::new("/")) {
        Ok(names) => names,
        Err(error) => {
            report::complain(NAME, &format!("network interfaces stay up: {error}"));
            return Vec::new();
        }
    };
    names.retain(|name| name != "lo");
    names.sort_by_key(|name| (!name.starts_with("shaper"), name.clone()));
    let mut down = Vec::new();
    for name in names {
        match sys::interface::take_down(&name) {
            Ok(was_up) => {
                if debug {
                    report::complain(NAME, &format!("{name} is down"));
                }
                down.extend(was_up.then_some(name));
            }
            Err(error) => report::complain(NAME, &format!("{name} stays up: {error}")),
        }
    }
    down
}

/// Brings interfaces up again, in the opposite order, with the routes and addresses they had.
fn bring_interfaces_up(names: &[String], routes: &Saved) {
    for name in names.iter().rev() {
        match sys::interface::bring_up(name) {
            Ok(()) => report::complain(NAME, &format!("{name} is up again")),
            Err(error) => report::complain(NAME, &format!("{name} stays down: {error}")),
        }
    }
    if names.is_empty() {
        return;
    }
    let text = match routes.restore() {
        Ok(0) => return,
        Ok(missing) => format!("{missing} of the addresses and routes cannot be restored"),
        Err(error) => format!("addresses and routes are not restored: {error}"),
    };
    report::complain(NAME, &format!("{text}; see `ip address` and `ip route`"));
}

/// Shuts the system down so that it starts what was loaded just now: by systemd, whose `reboot`
/// need not do that, or else by `shutdown`.
pub(super) fn hand_over() -> Result<u8, Trouble> {
    if Path::new("/run/systemd/system").exists() {
        let error = Command::new("systemctl").arg("kexec").exec();
        report::complain(NAME, &format!("systemctl kexec: {error}"));
    }
    shut_down(true)
}

/// Runs `shutdown`, which starts what is loaded instead of rebooting.
fn shut_down(loaded: bool) -> Result<u8, Trouble> {
    if !loaded {
        require_loaded(Reservation::Normal.has_kernel())?;
    }
    let mut last = None;
    for program in ["/sbin/shutdown", "/etc/shutdown", "/bin/shutdown"] {
        last = Some(Command::new(program).args(["-r", "now"]).exec());
    }
    let error = last.context("no program for a shutdown is known").map_err(Trouble::Failed)?;
    let shutdown = || -> anyhow::Result<u8> {
        bail!("shutdown: {error}; the loaded kernel is kept, and `kexec -e` starts it")
    };
    Ok(shutdown()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_touched_unless_something_is_known_to_be_loaded() {
        assert!(require_loaded(Ok(true)).is_ok());
        assert_eq!(require_loaded(Ok(false)).unwrap_err().status(), 1);
        let unknown = require_loaded(Err(anyhow::anyhow!("there is no /sys/kernel/kexec_loaded")));
        assert_eq!(unknown.unwrap_err().status(), 255);
    }
}
