//! The parts of a guest other than the kernel.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// The parts that the lab itself needs, the same for every kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kit {
    /// The guest's first process: this package's `lab-agent`, linked statically.
    pub agent: PathBuf,
    /// A static busybox.
    pub busybox: PathBuf,
    /// UEFI firmware, for machines that boot by UEFI.
    pub uefi: PathBuf,
    /// The directory in which every run creates a directory with its serial log.
    pub runs: PathBuf,
}

/// The parts of kjump that have been built, which are under test.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// The program, linked statically.
    pub kjump: Option<PathBuf>,
    /// The module, built for the guest's kernel.
    pub module: Option<PathBuf>,
    /// A sample module that uses the module's functions.
    pub sample: Option<PathBuf>,
    /// A directory with `kjump_hang.ko`, which hangs its kernel, `kjump_nmi.ko`, which sends NMIs,
    /// and `kjump_refuse.ko`, which refuses to suspend.
    #[serde(default)]
    pub test_modules: Option<PathBuf>,
    /// A directory of images to call.
    pub payloads: Option<PathBuf>,
    /// Programs that check and measure in a guest, linked statically.
    pub instruments: Vec<PathBuf>,
}
