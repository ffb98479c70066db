//! What the lab puts into a guest besides the kernel.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What the lab itself needs, the same for every kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kit {
    /// The guest's first process: this package's `lab-agent`, linked statically.
    pub agent: PathBuf,
    /// A static busybox.
    pub busybox: PathBuf,
    /// UEFI firmware for machines that are booted by it.
    pub uefi: PathBuf,
    /// The directory below which every run leaves a directory of its own with the serial log.
    pub runs: PathBuf,
}

/// What is under test, as far as it has been built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// The program, linked statically.
    pub kjump: Option<PathBuf>,
    /// The module, built for the kernel it is to be loaded into.
    pub module: Option<PathBuf>,
    /// A further module that uses the first one's functions.
    pub sample: Option<PathBuf>,
    /// A directory with `kjump_hang.ko`, which hangs its kernel, and `kjump_refuse.ko`, which refuses to suspend.
    #[serde(default)]
    pub test_modules: Option<PathBuf>,
    /// A directory of images to call.
    pub payloads: Option<PathBuf>,
    /// Programs that check and measure in a guest, linked statically.
    pub instruments: Vec<PathBuf>,
}
