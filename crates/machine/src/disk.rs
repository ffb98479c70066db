//! Disks of the running machine, and the drivers they need.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

/// The names of all disks and partitions that are not made of memory or other files, in order.
#[must_use]
pub fn names() -> Vec<String> {
    let entries = fs::read_dir("/sys/class/block").into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names
        .filter(|name| !["ram", "loop", "zram", "sr", "fd"].iter().any(|kind| name.starts_with(kind)))
        .collect();
    names.sort();
    names
}

/// The numbers, as `MAJOR:MINOR`, of the disks that mounted file systems are on.
#[must_use]
pub fn mounted() -> BTreeSet<String> {
    numbers_in(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default())
}

/// The third field of `/proc/self/mountinfo` (proc(5)); major number 0 is not a disk.
fn numbers_in(mountinfo: &str) -> BTreeSet<String> {
    let numbers = mountinfo.lines().filter_map(|line| line.split(' ').nth(2));
    numbers.filter(|number| !number.starts_with("0:")).map(str::to_owned).collect()
}

/// The modules of all drivers from a block device, `MAJOR:MINOR`, up to the root of all devices.
///
/// # Errors
/// There is no such device, or the kernel makes it from others.
pub fn modules(number: &str) -> io::Result<BTreeSet<String>> {
    let device = fs::canonicalize(format!("/sys/dev/block/{number}"))?;
    if device.starts_with("/sys/devices/virtual") {
        return Err(io::Error::other(
            "it is made by the kernel (LVM, RAID, dm-crypt or a loop device), not a disk or a partition",
        ));
    }
    let above = device.ancestors().take_while(|path| *path != Path::new("/sys/devices"));
    let links = above.flat_map(|path| ["driver/module", "subsystem/module"].map(|link| path.join(link)));
    Ok(links.filter_map(|link| module(&link)).collect())
}

fn module(link: &Path) -> Option<String> {
    Some(fs::canonicalize(link).ok()?.file_name()?.to_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_file_systems_on_disks_have_disks() {
        let text = "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n23 22 0:5 / /proc rw - proc proc rw\n";
        assert_eq!(numbers_in(text).into_iter().collect::<Vec<_>>(), ["254:1"]);
    }
}
