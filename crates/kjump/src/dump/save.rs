//! One image in, one out: open, select, write.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use vmcore::codec::Effort;
use vmcore::select::{Level, Selection};
use vmcore::write::{Progress, Settings, Written, write_elf, write_kdump};
use vmcore::{Error, Image, select};

use super::Levels;
use super::goal::Goal;
use super::source;
use super::summary::Saved;

/// What is to be saved, and how.
pub(super) struct Request {
    pub(super) source: PathBuf,
    /// `-` is standard output.
    pub(super) goal: PathBuf,
    pub(super) form: Form,
    pub(super) flattened: bool,
    /// To be tried one after the other, when there is no room. Never empty.
    pub(super) levels: Levels,
    pub(super) effort: Effort,
    pub(super) threads: usize,
    /// Whether a file of that name may be there already.
    pub(super) replace: bool,
}

/// The format to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Kdump,
    Elf,
}

/// Saves an image; of the dump levels, the first that there is room for.
pub(super) fn save(request: &Request) -> anyhow::Result<Saved> {
    let image = source::image(&request.source)?;
    let (last, others) = request.levels.split_last().context("no dump level")?;
    for level in others {
        match save_at(&image, request, *level) {
            Err(error) if is_no_room(&error) => {}
            answer => return answer,
        }
    }
    save_at(&image, request, *last)
}

fn save_at(image: &Image<'_>, request: &Request, level: Level) -> anyhow::Result<Saved> {
    let start = Instant::now();
    let goal = goal(request)?;
    let selection = select(image, image.present(), image.vmcoreinfo(), level, request.threads);
    let selecting = start.elapsed();
    let settings = Settings { effort: request.effort, level, threads: request.threads };
    let written = write(image, &selection, request.form, &settings, &goal)?;
    goal.finish(written.length).with_context(|| request.goal.display().to_string())?;
    let times = (selecting, start.elapsed());
    Ok(saved(image, level, selection, written, times))
}

fn goal(request: &Request) -> anyhow::Result<Goal> {
    match (request.goal.as_os_str() == "-", request.flattened) {
        (true, true) => Goal::output(),
        (true, false) => anyhow::bail!("a dump can go to standard output only as a flattened stream"),
        (false, flattened) => Goal::file(&request.goal, flattened, request.replace),
    }
}

fn write(
    image: &Image<'_>,
    selection: &Selection,
    form: Form,
    settings: &Settings,
    goal: &Goal,
) -> anyhow::Result<Written> {
    let pages = selection.kept.count();
    let progress = Progress::default();
    let shown = crate::progress::Progress::start("saving pages".to_owned(), pages);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = || {
            let mut seen = 0;
            while !done.load(Ordering::Relaxed) {
                let now = progress.pages();
                shown.steps(now - seen);
                seen = now;
                std::thread::park_timeout(Duration::from_millis(250));
            }
        };
        let watcher = scope.spawn(watch);
        let written = match form {
            Form::Kdump => write_kdump(image, &selection.kept, settings, goal, &progress),
            Form::Elf => write_elf(image, &selection.kept, settings, goal, &progress),
        };
        done.store(true, Ordering::Relaxed);
        watcher.thread().unpark();
        Ok(written?)
    })
}

fn is_no_room(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(Error::Write { source, .. }) if source.kind() == std::io::ErrorKind::StorageFull)
}

fn saved(
    image: &Image<'_>,
    level: Level,
    selection: Selection,
    written: Written,
    (selecting, all): (Duration, Duration),
) -> Saved {
    Saved {
        level: level.number(),
        memory_pages: image.ram().count(),
        source_pages: image.present().count(),
        zero_pages: written.zero_pages,
        excluded: selection
            .excluded
            .into_iter()
            .map(|(kind, pages)| (super::summary::name(kind), pages))
            .collect(),
        kept_pages: selection.kept.count() - written.zero_pages,
        stored: written.stored.into_iter().map(|(codec, pages)| (codec.name(), pages)).collect(),
        unknown_pages: selection.unknown,
        missing_pages: written.missing,
        why_unknown: selection.trouble.map(|error| error.to_string()),
        why_missing: written.trouble,
        bytes: written.length,
        selecting_seconds: selecting.as_secs_f64(),
        seconds: all.as_secs_f64(),
    }
}
