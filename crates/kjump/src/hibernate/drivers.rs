//! The drivers that the kernel which writes the image needs.

use std::fs;
use std::os::linux::fs::MetadataExt;
use std::path::Path;

use anyhow::Context;
use machine::disk;

/// The modules that drive the disk of this path and the disks of mounted file systems.
pub(super) fn of(target: &Path) -> anyhow::Result<Vec<String>> {
    let named = || target.display().to_string();
    let number = fs::metadata(target).with_context(named)?.st_rdev();
    let (major, minor) = (number >> 8 & 0xfff, number & 0xff | number >> 12 & 0xf_ff00);
    let mut modules = disk::modules(&format!("{major}:{minor}")).with_context(named)?;
    for number in disk::mounted() {
        // Only for the superblock's sake: a disk that cannot be found is not looked at.
        modules.extend(disk::modules(&number).unwrap_or_default());
    }
    Ok(modules.into_iter().collect())
}
