//! This kernel rests, while a small one that it boots works on its memory.

use std::path::{Path, PathBuf};

use anyhow::Context;
use plan::linux::Initrd;
use sys::{Device, ImageName};
use zeroize::Zeroizing;

use super::args::PeerArgs;
use super::drivers;
use crate::initramfs::args::InitramfsArgs;
use crate::initramfs::{self, Job};
use crate::kernel::digest::QUIET;
use crate::kernel::file::KernelFile;
use crate::peer::last_words;
use crate::peer::load::{Planned, Request, Window};
use crate::peer::parameters;
use crate::peer::record::PeerRecord;
use crate::peer::visit::Visit;

/// The name that the small kernel has in the meantime.
const NAME: &str = "hibernate";
/// What its messages start with.
pub(super) const OURS: &str = "kjump hibernate: ";

/// The files of the small kernel, and what it is for.
pub(super) struct Rest<'a> {
    args: &'a PeerArgs,
    name: ImageName,
    kernel: KernelFile,
    initramfs: Vec<u8>,
    /// Files for its initramfs. They hold the secret, and are wiped as soon as they are loaded.
    private: Zeroizing<Vec<u8>>,
}

/// How the small kernel ended its work.
pub(super) struct Ending {
    /// The value with which this kernel was resumed.
    pub(super) value: Option<u64>,
    /// The last that it said.
    pub(super) said: String,
}

impl<'a> Rest<'a> {
    pub(super) fn new(
        args: &'a PeerArgs,
        release: &str,
        to: &Path,
        private: Zeroizing<Vec<u8>>,
    ) -> anyhow::Result<Self> {
        let usual = || PathBuf::from(format!("/boot/vmlinuz-{release}"));
        let path = args.kernel.clone().unwrap_or_else(usual);
        let kernel = KernelFile::read(&path).context("the kernel to write the image")?;
        let initramfs = match &args.initrd {
            Some(path) => std::fs::read(path).with_context(|| path.display().to_string())?,
            None => {
                let drivers = drivers::of(to)?;
                initramfs::build_for(&InitramfsArgs::of_host(release, drivers, Vec::new()), Job::Hibernate)
                    .context("making an initramfs for the kernel that writes the image")?
            }
        };
        Ok(Self { args, name: NAME.parse()?, kernel, initramfs, private })
    }

    /// Plans everything that is loaded.
    pub(super) fn plan(&self) -> anyhow::Result<Planned<'_>> {
        let running = machine::kernel::command_line(Path::new("/"))?;
        Planned::new(&Request {
            name: &self.name,
            kernel: &self.kernel,
            initrds: vec![
                Initrd { name: "the initramfs", bytes: &self.initramfs },
                Initrd { name: "the settings of the hibernation", bytes: &self.private },
            ],
            command_line: parameters::command_line(&running, &self.args.append),
            window: Window::Anywhere { size: self.args.memory },
            guarded: self.args.deadline.is_some(),
            vmcore: true,
            purgatory: QUIET,
        })
    }

    /// Loads the small kernel and goes to it. Nothing of it is left afterwards.
    pub(super) fn begin(mut self) -> anyhow::Result<Ending> {
        let device = self.plan()?.load()?;
        self.private = Zeroizing::default();
        let deadline = self.args.deadline.unwrap_or(0);
        let visit = Visit::make(&device, &self.name, [0; 6], deadline);
        let ending = visit.map(|visit| Ending {
            value: visit.returned().map(|(_, value)| value),
            said: said(&device, &self.name, &visit),
        });
        PeerRecord::forget(&device, &self.name);
        device.unload().with_context(|| format!("unloading {}", self.name))?;
        ending
    }
}

/// The last message of the small kernel, or else what is known of its end.
fn said(device: &Device, name: &ImageName, visit: &Visit) -> String {
    let log = visit.returned().and_then(|_| last_words::of_resident(device, name)).unwrap_or_default();
    let said = log.lines().rev().find_map(|line| Some(line.split_once(OURS)?.1.to_owned()));
    said.unwrap_or_else(|| visit.text())
}
