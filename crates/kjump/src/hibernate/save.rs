//! `kjump image save`: writes the memory of the kernel at rest, in the kernel that it booted for
//! that.

use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, bail};
use hibernation::{BLOCK_PAGES, Disk, Facts, Id, PAGE, Plan, Saved, Saving, State, StateKind};
use phys::PAGE_SHIFT;
use vmcore::select::{Level, WriteOrder};
use vmcore::{MemoryImage, PhysRead, select};

use super::config::{Config, Job};
use super::rest::OURS;
use super::target::Target;
use super::{snapshot, superblock, waiting};
use crate::dump::source;
use crate::peer::jump_back;
use crate::terminal::quantity;
use crate::terminal::report::{self, Outcome};

pub(super) const VMCORE: &str = "/proc/vmcore";
/// How long a disk may take to appear.
const PATIENCE: Duration = Duration::from_secs(30);
/// The dump level without free pages.
const USED_PAGES: u8 = 16;

/// Prints what init does next: `poweroff`, `reboot` or `return`.
pub(super) fn run() -> anyhow::Result<Outcome> {
    let line = machine::kernel::command_line(Path::new("/"))?;
    let Some((config, secret)) = Config::read(&line)? else {
        // Work comes later.
        report::print("return\n")?;
        return Ok(Outcome::Done);
    };
    let Config { id, disk_bytes, job } = config;
    let then = job.then();
    let result = find(&id, disk_bytes).and_then(|(path, target, state)| match job {
        Job::Hibernate { codec, cipher, slots, facts, .. } => {
            hibernate(&target, &state, Plan { codec, cipher, secret, slots }, *facts, &line)
        }
        Job::Snapshot { level } => {
            drop(target);
            snapshot::write(&path, level)
        }
    });
    match result {
        Ok(text) => {
            say(&text);
            report::print(&format!("{then}\n"))?;
            Ok(Outcome::Done)
        }
        Err(error) => {
            let _ = log(&format!("{error:#}"));
            Err(error)
        }
    }
}

/// Writes a hibernation file; returns what there is to say about it.
fn hibernate(
    target: &Target,
    state: &State,
    plan: Plan,
    mut facts: Facts,
    line: &[u8],
) -> anyhow::Result<String> {
    facts.entry = jump_back::entry(line)?;
    facts.file_systems = superblock::file_systems();
    let start = Instant::now();
    let written =
        Saving::start(target, state.clone(), plan).map_err(anyhow::Error::from).and_then(|saving| {
            pages(&saving, line)?;
            Ok(saving.finish(facts)?)
        });
    match written {
        Ok(saved) => Ok(text(&saved, start.elapsed())),
        Err(error) => {
            // If the disk has failed, the kernel at rest reads the reason in the log.
            let _ = state.change(target, StateKind::Failed, &format!("{error:#}"));
            Err(error)
        }
    }
}

/// Waits for the disk whose file this image goes to, and which has as many bytes for the kernel at
/// rest.
fn find(id: &Id, bytes: u64) -> anyhow::Result<(PathBuf, Target, State)> {
    let end = Instant::now() + PATIENCE;
    loop {
        for name in machine::disk::names() {
            // Disks in use, and those that hold something else, are not ours.
            let path = Path::new("/dev").join(name);
            let Ok(target) = Target::open(&path) else { continue };
            match State::read(&target) {
                Ok(state) if state.id == *id && state.kind == StateKind::Writing => {
                    let length = target.length();
                    if length != bytes {
                        bail!(
                            "{} has {length} bytes here, but {bytes} for the kernel at rest: one of the two \
                             has not read the partition table since it was changed",
                            path.display()
                        );
                    }
                    return Ok((path, target, state));
                }
                _ => {}
            }
        }
        if Instant::now() > end {
            bail!(
                "no disk with the prepared hibernation file appeared within {} s; its driver may be missing \
                 in the initramfs",
                PATIENCE.as_secs()
            );
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Writes all pages that are in use.
fn pages(saving: &Saving<'_, Target>, line: &[u8]) -> anyhow::Result<()> {
    let image = source::image(Path::new(VMCORE))?;
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let level = Level::new(USED_PAGES).context("a dump level")?;
    let selection =
        select(&image, image.present(), image.vmcoreinfo(), level, WriteOrder::ByAddress, threads);
    if let Some(trouble) = &selection.trouble {
        say(&format!("free pages are saved too: {trouble}"));
    }
    let kept = selection.kept.without(&waiting::find(line)?);
    let frames: Vec<u64> = kept.iter().map(phys::Pfn::number).collect();
    let blocks: Vec<&[u64]> = frames.chunks(BLOCK_PAGES).collect();
    say(&format!("saving {} of memory", quantity::bytes(frames.len() as u64 * PAGE as u64)));
    let crew = Crew {
        saving,
        image: &image,
        blocks: &blocks,
        next: AtomicUsize::new(0),
        stop: AtomicBool::new(false),
    };
    let shown = AtomicU64::new(0);
    thread::scope(|scope| {
        // This thread is one of them, in case there are no others.
        let helpers = (1..threads).map(|_| thread::Builder::new().spawn_scoped(scope, || crew.work(&shown)));
        let helpers: Vec<_> = helpers.map_while(Result::ok).collect();
        let own = crew.work(&shown);
        let join = |helper: thread::ScopedJoinHandle<'_, _>| {
            helper.join().unwrap_or_else(|_| Err(anyhow!("a thread panicked")))
        };
        helpers.into_iter().map(join).fold(own, anyhow::Result::and)
    })
}

/// What the threads share.
struct Crew<'a> {
    saving: &'a Saving<'a, Target>,
    image: &'a MemoryImage<'static>,
    blocks: &'a [&'a [u64]],
    next: AtomicUsize,
    stop: AtomicBool,
}

impl Crew<'_> {
    fn work(&self, shown: &AtomicU64) -> anyhow::Result<()> {
        let mut writer = self.saving.writer();
        while !self.stop.load(Ordering::Relaxed)
            && let Some(frames) = self.blocks.get(self.next.fetch_add(1, Ordering::Relaxed))
        {
            let read = |first: u64, buffer: &mut [u8]| -> anyhow::Result<()> {
                Ok(self.image.read_phys(first << PAGE_SHIFT, buffer)?)
            };
            if let Err(error) = writer.put(frames, read) {
                self.stop.store(true, Ordering::Relaxed);
                return Err(error);
            }
            self.show(shown);
        }
        Ok(())
    }

    /// Prints each tenth of the work.
    fn show(&self, shown: &AtomicU64) {
        let done = self.next.load(Ordering::Relaxed).min(self.blocks.len());
        let tenth = (done * 10 / self.blocks.len().max(1)) as u64;
        if shown.fetch_max(tenth, Ordering::Relaxed) < tenth {
            say(&format!("saved {} %", tenth * 10));
        }
    }
}

fn text(saved: &Saved, time: Duration) -> String {
    format!(
        "saved {} pages ({} of zeros) as {} in {:.1} s",
        saved.pages,
        saved.zero_pages,
        quantity::bytes(saved.stored),
        time.as_secs_f64()
    )
}

/// Prints to the console, and to the kernel's log. A quiet kernel does not print its log.
fn say(text: &str) {
    let _ = log(text);
    report::inform(&format!("{OURS}{text}\n"));
}

/// The kernel at rest reads the log when it goes on.
fn log(text: &str) -> std::io::Result<()> {
    std::fs::write("/dev/kmsg", format!("<5>{OURS}{text}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_has_numbers() {
        let saved = Saved { blocks: 3, pages: 700, zero_pages: 100, stored: 1 << 20, end: 3 << 20 };
        assert_eq!(
            text(&saved, Duration::from_millis(1500)),
            "saved 700 pages (100 of zeros) as 1 MiB in 1.5 s"
        );
    }
}
