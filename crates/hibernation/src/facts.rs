//! What the resumed kernel knows of its machine, and where another machine differs.

use serde::{Deserialize, Serialize};

/// Facts about a kernel at rest and its machine, in the header.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// The kernel's release.
    pub release: String,
    /// The machine's name.
    #[serde(default)]
    pub host: String,
    /// Physical address at which the kernel is resumed.
    pub entry: u64,
    /// When it was put to rest, in seconds since 1970.
    pub seconds: u64,
    /// Ranges of System RAM, `[start, end)`.
    pub ram: Vec<[u64; 2]>,
    /// Levels of page tables.
    pub paging_levels: u64,
    /// The CPU's vendor.
    pub cpu_vendor: String,
    /// The CPU's features, as in /proc/cpuinfo.
    pub cpu_flags: Vec<String>,
    /// A digest of the firmware's tables.
    #[serde(default)]
    pub firmware: String,
    /// File systems that the kernel may have mounted.
    #[serde(default)]
    pub file_systems: Vec<FileSystem>,
}

/// The superblock of a file system while the kernel was at rest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSystem {
    /// Type and UUID.
    pub name: String,
    /// Digest of the superblock.
    pub digest: String,
}

/// Why a machine cannot resume a kernel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the fields are the values in the messages")]
pub enum Mismatch {
    #[error(
        "this machine has other memory than the hibernated kernel: here {here}, then {then} \
         (a change of memory, firmware settings or virtual machine options)"
    )]
    Ram { here: String, then: String },
    #[error(
        "this kernel uses {here} levels of page tables, the hibernated one {then}: boot this one {advice}"
    )]
    Paging { here: u64, then: u64, advice: &'static str },
    #[error("this machine has a CPU of {here}, the hibernated kernel had one of {then}")]
    Vendor { here: String, then: String },
    #[error("this machine's CPU lacks features that the hibernated kernel uses: {missing}")]
    Flags { missing: String },
    #[error("the firmware's tables are others than when the kernel was hibernated (a firmware update?)")]
    Firmware,
    #[error("the file system {name}, which the hibernated kernel has mounted, is not on any disk here")]
    Gone { name: String },
    #[error(
        "the file system {name} was mounted or changed since: resuming the kernel that still has it \
         mounted would damage it"
    )]
    Changed { name: String },
}

impl Facts {
    /// Every way in which this machine, with the facts `here`, is not the one that the kernel was
    /// hibernated on.
    #[must_use]
    pub fn mismatches(&self, here: &Self) -> Vec<Mismatch> {
        let mut found = Vec::new();
        if self.ram != here.ram {
            found.push(Mismatch::Ram { here: ranges(&here.ram), then: ranges(&self.ram) });
        }
        let (then, now) = (self.paging_levels, here.paging_levels);
        if then != now {
            let advice = if then == 4 { "with no5lvl" } else { "without no5lvl" };
            found.push(Mismatch::Paging { here: now, then, advice });
        }
        if self.cpu_vendor != here.cpu_vendor {
            let (here, then) = (here.cpu_vendor.clone(), self.cpu_vendor.clone());
            found.push(Mismatch::Vendor { here, then });
        }
        let missing: Vec<_> =
            self.cpu_flags.iter().filter(|flag| !here.cpu_flags.contains(flag)).cloned().collect();
        if !missing.is_empty() {
            found.push(Mismatch::Flags { missing: missing.join(", ") });
        }
        if self.firmware != here.firmware {
            found.push(Mismatch::Firmware);
        }
        for then in &self.file_systems {
            let name = then.name.clone();
            match here.file_systems.iter().find(|here| here.name == then.name) {
                None => found.push(Mismatch::Gone { name }),
                Some(here) if here.digest != then.digest => found.push(Mismatch::Changed { name }),
                Some(_) => {}
            }
        }
        found
    }
}

fn ranges(ram: &[[u64; 2]]) -> String {
    let bytes: u64 = ram.iter().map(|[start, end]| end.saturating_sub(*start)).sum();
    format!("{} MiB in {} ranges up to {:#x}", bytes >> 20, ram.len(), ram.last().map_or(0, |last| last[1]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            release: "6.1".into(),
            ram: vec![[0x1000, 0x9_f000], [0x10_0000, 0x4000_0000]],
            paging_levels: 4,
            cpu_vendor: "GenuineIntel".into(),
            cpu_flags: vec!["fpu".into(), "avx".into()],
            file_systems: vec![FileSystem { name: "ext4 1".into(), digest: "a".into() }],
            ..Facts::default()
        }
    }

    #[test]
    fn the_same_machine_matches_whatever_kernel_it_runs() {
        let here = Facts {
            release: "6.12".into(),
            cpu_flags: vec!["avx".into(), "fpu".into(), "more".into()],
            ..facts()
        };
        assert_eq!(facts().mismatches(&here), []);
    }

    #[test]
    fn every_difference_is_named() {
        let here = Facts {
            ram: vec![[0x1000, 0x9_f000]],
            paging_levels: 5,
            cpu_vendor: "AuthenticAMD".into(),
            cpu_flags: vec!["fpu".into()],
            firmware: "other".into(),
            file_systems: vec![FileSystem { name: "ext4 1".into(), digest: "b".into() }],
            ..facts()
        };
        let texts: Vec<_> = facts().mismatches(&here).iter().map(ToString::to_string).collect();
        let parts =
            ["1023 MiB in 2 ranges", "no5lvl", "AuthenticAMD", "avx", "firmware", "mounted or changed"];
        assert_eq!(texts.len(), parts.len());
        for (text, part) in texts.iter().zip(parts) {
            assert!(text.contains(part), "{text}");
        }
        let gone = Facts { file_systems: Vec::new(), ..facts() };
        assert_eq!(facts().mismatches(&gone), [Mismatch::Gone { name: "ext4 1".into() }]);
    }
}
