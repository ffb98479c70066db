//! Setting up the machine: file systems, drivers, network, disks.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::mount::{MountFlags, mount};
use rustix::system::finit_module;

/// Mount points, file system types, and whether a guest can do without.
const FILE_SYSTEMS: [(&str, &str, bool); 6] = [
    ("/proc", "proc", false),
    ("/sys", "sysfs", false),
    ("/dev", "devtmpfs", false),
    ("/tmp", "tmpfs", false),
    ("/sys/kernel/debug", "debugfs", true),
    ("/sys/fs/pstore", "pstore", true),
];

/// How long disks may take to appear.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn mount_everything() -> io::Result<()> {
    for (place, kind, optional) in FILE_SYSTEMS {
        let mounted = mount(kind, place, kind, MountFlags::empty(), None::<&CStr>);
        // Lockdown forbids debugfs; no story under lockdown needs it.
        if !optional {
            mounted?;
        }
    }
    Ok(())
}

/// Loads drivers and waits for their devices. Returns the problems, which are reported and
/// otherwise left to the command.
pub(crate) fn prepare() -> Vec<String> {
    let mut troubles = load_modules();
    troubles.extend(network());
    troubles.extend(wait_for_disks());
    troubles
}

fn load_modules() -> Vec<String> {
    let list = fs::read_to_string("/lab/modules").unwrap_or_default();
    list.lines().filter_map(|file| Some(format!("{file} was not loaded: {}", load(file).err()?))).collect()
}

fn load(file: &str) -> io::Result<()> {
    Ok(finit_module(File::open(file)?, c"", 0)?)
}

/// Configures the addresses of QEMU's user network.
fn network() -> Option<String> {
    let mut lines = vec!["ip link set lo up"];
    if Path::new("/sys/class/net/eth0").exists() {
        lines.extend([
            "ip link set eth0 up",
            "ip addr add 10.0.2.15/24 dev eth0",
            "ip route add default via 10.0.2.2",
        ]);
    }
    let output =
        Command::new("/bin/sh").args(["-ec", &lines.join("\n")]).env("PATH", super::command::PATH).output();
    match output {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("no network: {}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => Some(format!("no network: {error}")),
    }
}

fn wait_for_disks() -> Option<String> {
    let wanted = fs::read_to_string("/lab/disks").ok()?.parse::<usize>().ok()?;
    let end = Instant::now() + PATIENCE;
    loop {
        let found = disks();
        if found >= wanted {
            return None;
        }
        if Instant::now() > end {
            return Some(format!("{found} of {wanted} disks appeared"));
        }
        sleep(Duration::from_millis(20));
    }
}

fn disks() -> usize {
    let entries = fs::read_dir("/sys/block").into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("vd")).count()
}
