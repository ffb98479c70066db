//! This kernel rests, while a small one works on its memory: one that is booted for that, or one
//! that was prepared and is resident.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use machine::Machine;
use plan::linux::Initrd;
use sys::{Device, ImageName};
use zeroize::Zeroizing;

use super::args::PeerArgs;
use super::config::MAILBOX;
use super::{RESUMED, drivers};
use crate::device;
use crate::initramfs::args::InitramfsArgs;
use crate::initramfs::{self, Job};
use crate::kernel::digest::QUIET;
use crate::kernel::file::KernelFile;
use crate::peer::load::{self, Planned, Request, Window};
use crate::peer::record::PeerRecord;
use crate::peer::visit::Visit;
use crate::peer::{last_words, parameters};

/// The name that the small kernel has.
const NAME: &str = "hibernate";
/// Bytes of its window.
const WINDOW: u64 = 192 << 20;
/// What its messages start with.
pub(super) const OURS: &str = "kjump hibernate: ";

/// The small kernel.
pub(super) struct Rest<'a> {
    args: &'a PeerArgs,
    name: ImageName,
    peer: Peer,
}

enum Peer {
    /// It waits for work.
    Resident(PeerRecord),
    /// It is to be booted from these files.
    Files { kernel: Box<KernelFile>, initramfs: Vec<u8> },
}

/// How the small kernel ended its work.
pub(super) struct Ending {
    /// The value with which this kernel was resumed.
    pub(super) value: Option<u64>,
    /// The last that it said.
    pub(super) said: String,
}

impl<'a> Rest<'a> {
    /// Reads the files of a small kernel that can write to the disk `to`, unless there is one
    /// already.
    pub(super) fn new(args: &'a PeerArgs, release: &str, to: &Path) -> anyhow::Result<Self> {
        let name: ImageName = NAME.parse()?;
        let peer = match resident(&name)? {
            Some(record) => {
                record.refuse_dead(&name)?;
                refuse_unfit(args, &record)?;
                Peer::Resident(record)
            }
            None => files(args, release, to)?,
        };
        Ok(Self { args, name, peer })
    }

    pub(super) const fn is_resident(&self) -> bool {
        matches!(self.peer, Peer::Resident(_))
    }

    /// Checks that the small kernel can be loaded.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        match &self.peer {
            Peer::Resident(_) => Ok(()),
            Peer::Files { kernel, initramfs } => self.plan(kernel, initramfs).map(drop),
        }
    }

    /// Boots the small kernel, which returns at once and waits. If that fails, nothing of it is
    /// left.
    pub(super) fn prepare(&self) -> anyhow::Result<()> {
        let (device, _) = self.open()?;
        let ending = self.visit(&device);
        if ending.as_ref().is_ok_and(|ending| ending.value == Some(0)) {
            return Ok(());
        }
        self.forget(&device)?;
        bail!("the small kernel does not wait for work: {}", ending?.said.trim_end());
    }

    /// Goes to the small kernel with a message. Afterwards nothing of it is left, unless it was
    /// prepared and can do more work.
    pub(super) fn begin(self, message: Zeroizing<Vec<u8>>) -> anyhow::Result<Ending> {
        let (device, mailbox) = self.open()?;
        let written = device.write(mailbox, &message).context("the message to the small kernel");
        let length = message.len();
        drop(message);
        let ending = written.and_then(|()| self.visit(&device));
        // After an error the small kernel may have died. In a resumed kernel there is only its
        // place, since it was not saved.
        let is_alive = ending.as_ref().is_ok_and(|ending| ending.value.is_some_and(|value| value != RESUMED));
        if self.is_resident() && is_alive {
            device.write(mailbox, &vec![0; length]).context("wiping the message to the small kernel")?;
        } else {
            self.forget(&device)?;
        }
        ending
    }

    /// The device, whose image is the small kernel, and the address of its mailbox.
    fn open(&self) -> anyhow::Result<(Device, u64)> {
        const MISSING: &str = "the small kernel has no mailbox";
        match &self.peer {
            Peer::Resident(record) => {
                let device = device::open()?;
                device.attach(&self.name).with_context(|| self.name.to_string())?;
                Ok((device, record.mailbox.context(MISSING)?))
            }
            Peer::Files { kernel, initramfs } => {
                let planned = self.plan(kernel, initramfs)?;
                let mailbox = planned.plan().view().and_then(|place| place.mailbox()).context(MISSING)?;
                Ok((planned.load()?, mailbox))
            }
        }
    }

    /// Plans everything that is loaded.
    fn plan<'f>(&'f self, kernel: &'f KernelFile, initramfs: &'f [u8]) -> anyhow::Result<Planned<'f>> {
        let running = machine::kernel::command_line(Path::new("/"))?;
        Planned::new(&Request {
            name: &self.name,
            kernel,
            initrds: vec![Initrd { name: "the initramfs", bytes: initramfs }],
            command_line: parameters::command_line(&running, self.args.append.as_deref().unwrap_or_default()),
            window: Window::Anywhere { size: self.args.memory.unwrap_or(WINDOW) },
            guarded: self.args.deadline.is_some(),
            vmcore: true,
            mailbox: MAILBOX,
            purgatory: QUIET,
        })
    }

    fn visit(&self, device: &Device) -> anyhow::Result<Ending> {
        let visit = Visit::make(device, &self.name, [0; 6], self.args.deadline.unwrap_or(0))?;
        Ok(Ending { value: visit.returned().map(|(_, value)| value), said: said(device, &self.name, &visit) })
    }

    fn forget(&self, device: &Device) -> anyhow::Result<()> {
        PeerRecord::forget(device, &self.name);
        device.unload().with_context(|| format!("unloading {}", self.name))
    }
}

/// The record of the small kernel if it is resident.
fn resident(name: &ImageName) -> anyhow::Result<Option<PeerRecord>> {
    let Some(device) = device::open_if_loaded()? else { return Ok(None) };
    let Some(image) = device.image_named(name)? else { return Ok(None) };
    match PeerRecord::of(&image).filter(|record| record.mailbox.is_some()) {
        Some(record) => Ok(Some(record)),
        None => bail!(
            "the name {name} is taken by a loaded image that does not write images of memory; \
             `kjump drop {name}` or `kjump unload {name}` frees it"
        ),
    }
}

/// Refuses to use a resident small kernel that is not what was asked for.
fn refuse_unfit(args: &PeerArgs, record: &PeerRecord) -> anyhow::Result<()> {
    const ADVICE: &str = "free it with `kjump drop hibernate` first";
    if let Some(option) = args.option_for_booting() {
        bail!("{option} is for booting the small kernel, but it is resident already; {ADVICE}");
    }
    if args.deadline.is_some() && !record.guarded {
        bail!("the small kernel was prepared without --deadline and cannot be given one; {ADVICE}");
    }
    let machine = Machine::probe(Path::new("/")).for_plan().map_err(|unknown| anyhow!("{unknown}"))?;
    if load::memory(&machine) != record.memory {
        bail!("memory was added or removed since the small kernel was prepared; {ADVICE}");
    }
    Ok(())
}

fn files(args: &PeerArgs, release: &str, to: &Path) -> anyhow::Result<Peer> {
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
    Ok(Peer::Files { kernel: Box::new(kernel), initramfs })
}

/// The last message of the small kernel, or else what is known of its end.
fn said(device: &Device, name: &ImageName, visit: &Visit) -> String {
    let log = visit.returned().and_then(|_| last_words::of_resident(device, name)).unwrap_or_default();
    let said = log.lines().rev().find_map(|line| Some(line.split_once(OURS)?.1.to_owned()));
    said.unwrap_or_else(|| visit.text())
}
