//! The drivers that the kernel which writes the image needs.

use std::collections::BTreeSet;
use std::fs;
use std::os::linux::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// The modules that drive the disk of this path and the disks of mounted file systems.
pub(super) fn of(target: &Path) -> anyhow::Result<Vec<String>> {
    let mut modules = BTreeSet::new();
    let number = fs::metadata(target).with_context(|| target.display().to_string())?.st_rdev();
    let (major, minor) = (number >> 8 & 0xfff, number & 0xff | number >> 12 & 0xf_ff00);
    add(&format!("{major}:{minor}"), &mut modules).with_context(|| target.display().to_string())?;
    for number in mounted(&fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()) {
        // Only for the superblock's sake: a disk that cannot be found is not looked at.
        let _ = add(number, &mut modules);
    }
    Ok(modules.into_iter().collect())
}

/// The devices of mounted file systems.
fn mounted(mountinfo: &str) -> BTreeSet<&str> {
    let numbers = mountinfo.lines().filter_map(|line| line.split(' ').nth(2));
    numbers.filter(|number| !number.starts_with("0:")).collect()
}

/// Adds the modules of all drivers from a block device up to the root of all devices.
fn add(number: &str, modules: &mut BTreeSet<String>) -> anyhow::Result<()> {
    let device = fs::canonicalize(format!("/sys/dev/block/{number}"))?;
    if device.starts_with("/sys/devices/virtual") {
        bail!("it is made by the kernel (LVM, RAID, dm-crypt or a loop device), not a disk or a partition");
    }
    for above in device.ancestors().take_while(|path| *path != Path::new("/sys/devices")) {
        for link in ["driver/module", "subsystem/module"] {
            modules.extend(module(&above.join(link)));
        }
    }
    Ok(())
}

fn module(link: &Path) -> Option<String> {
    let target: PathBuf = fs::canonicalize(link).ok()?;
    Some(target.file_name()?.to_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_file_systems_on_disks_have_disks() {
        let text = "22 1 254:1 / / rw - ext4 /dev/vda1 rw\n23 22 0:5 / /proc rw - proc proc rw\n";
        assert_eq!(mounted(text).into_iter().collect::<Vec<_>>(), ["254:1"]);
    }
}
