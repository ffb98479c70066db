//! One image in, one out, or a split set of them: open, select, write.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use vmcore::select::{Level, Selection};
use vmcore::write::{
    Compression, Pages, Progress, Settings, Written, parts, write_elf, write_flat, write_kdump,
};
use vmcore::{Error, FrameSet, MemoryImage, select};

use super::level::Levels;
use super::sink::chunks;
use super::sink::{self, Goal, Way};
use super::source;
use super::summary::Saved;
use crate::terminal::progress::Progress as Shown;
use crate::terminal::quantity::{self, page_bytes};

/// What is to be saved, and how.
pub(super) struct Request {
    /// The image, or the files of a split set.
    pub(super) sources: Vec<PathBuf>,
    /// What is told of the kernel in place of what it says itself.
    pub(super) vmcoreinfo: Option<Vec<u8>>,
    /// `-` is standard output. Several are a split set.
    pub(super) goals: Vec<PathBuf>,
    pub(super) form: Form,
    pub(super) flattened: bool,
    /// To be tried one after the other, when there is no room. Never empty.
    pub(super) levels: Levels,
    pub(super) compression: Compression,
    pub(super) threads: usize,
    /// Most bytes of memory to use.
    pub(super) memory_limit: Option<u64>,
    /// Most bytes of the dump.
    pub(super) limit: Option<u64>,
    /// Whether a file of that name may be there already.
    pub(super) replace: bool,
    /// Whether to show how far it is.
    pub(super) progress: bool,
    /// Whether a dump that there was no room for gets the name it was to have; else one that says so.
    pub(super) incomplete_by_its_name: bool,
}

/// The format to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Kdump,
    Elf,
    /// Each page at its physical address.
    Flat,
}

/// Saves an image; of the dump levels, the first that there is room for.
pub(super) fn save(request: &Request) -> anyhow::Result<Saved> {
    let image = source::told(source::set(&request.sources)?, request.vmcoreinfo.as_deref());
    let means = affordable(&image, request)?;
    let (last, others) = request.levels.split_last().context("no dump level")?;
    for (level, next) in others.iter().zip(request.levels.iter().skip(1)) {
        match save_at(&image, request, *level, means, false) {
            Err(error) if is_no_room(&error) => {
                eprintln!("no room for dump level {}: trying {}", level.number(), next.number());
            }
            answer => return answer,
        }
    }
    save_at(&image, request, *last, means, true)
}

/// What the program needs without pages and threads, in bytes: itself, and what it knows of a file.
const BASE: u64 = 10 << 20;
/// What a thread needs: pages, what becomes of them, and the codec's tables.
const EACH_THREAD: u64 = 4 << 20;
/// Sets of frames at a time, one bit a page each: memory, what is there, what is kept and in which order.
const SETS: u64 = 10;

/// What an image is saved with.
#[derive(Clone, Copy)]
struct Means {
    threads: usize,
    way: Way,
}

/// As many threads as asked for, or as there is memory for; files are written past the page cache if there is memory for that
/// beside all threads.
fn affordable(image: &MemoryImage<'_>, request: &Request) -> anyhow::Result<Means> {
    let way = match (request.flattened, request.form) {
        (true, _) => Way::Flattened,
        (_, Form::Kdump) => Way::Direct,
        // These have holes.
        (_, Form::Elf | Form::Flat) => Way::Cached,
    };
    let Some(limit) = request.memory_limit else { return Ok(Means { threads: request.threads, way }) };
    let disks = request.goals.iter().filter(|path| sink::is_disk(path)).count() as u64;
    let fixed = BASE + disks * chunks::MEMORY + image.ram().count().div_ceil(8) * SETS;
    let least = fixed + EACH_THREAD;
    if limit < least {
        let [limit, least] = [limit, least].map(quantity::bytes);
        bail!("--memory-limit {limit}: this image takes at least {least}");
    }
    let affordable = usize::try_from((limit - fixed) / EACH_THREAD).unwrap_or(usize::MAX);
    let threads = request.threads.min(affordable);
    let left = limit - fixed - threads as u64 * EACH_THREAD;
    let way = if way == Way::Direct && left < chunks::MEMORY { Way::Cached } else { way };
    Ok(Means { threads, way })
}

fn save_at(
    image: &MemoryImage<'_>,
    request: &Request,
    level: Level,
    means: Means,
    is_last: bool,
) -> anyhow::Result<Saved> {
    let start = Instant::now();
    let selection = select(image, image.present(), image.vmcoreinfo(), level, means.threads);
    let selecting = start.elapsed();
    let is_live = request.sources.iter().any(|path| source::is_live(path));
    let lacking = lacking(image, is_live);
    let incomplete = lacking > 0 || !is_live && image.is_incomplete();
    let settings = Settings { compression: request.compression, level, threads: means.threads, incomplete };
    let statistics = statistics(image, &selection, is_live, lacking);
    let mut written = Written::default();
    for Share { path, kept, part } in shares(image, request, &selection.kept) {
        let goal = goal(request, path, means.way)?.limited(request.limit);
        let part = part.map(|(from, to)| (from, to, &selection.kept));
        let pages = Pages { kept: &kept, first: &selection.vital.in_order(), part, statistics: &statistics };
        match write(image, &pages, request, &settings, &goal) {
            Ok(share) => {
                goal.finish(share.length).with_context(|| path.display().to_string())?;
                written.add(share);
            }
            Err(error) if is_last && is_no_room(&error) => return Err(keep(request, goal, path, error)),
            Err(error) => return Err(error),
        }
    }
    let times = (selecting, start.elapsed());
    let saved = Saved { is_live, incomplete, ..saved(image, level, selection, written, times) };
    Ok(saved.without(lacking))
}

/// The statistic that tells how many pages were behind the end of the source, or of its own source.
pub(super) const CUT_OFF: &str = "cut_off_pages";

/// How many pages are known to be missing in the source. Of a running machine, what is behind the end is no memory.
fn lacking(image: &MemoryImage<'_>, is_live: bool) -> u64 {
    let before = image.manifest().and_then(|manifest| manifest.statistics.get(CUT_OFF).copied());
    if is_live { 0 } else { image.cut_off().saturating_add(before.unwrap_or(0)) }
}

/// What goes into a file, and its frames if it is one of a split set.
struct Share<'r> {
    path: &'r Path,
    kept: FrameSet,
    part: Option<(u64, u64)>,
}

/// All of it into the only file, or each part of a split set into its own.
fn shares<'r>(image: &MemoryImage<'_>, request: &'r Request, kept: &FrameSet) -> Vec<Share<'r>> {
    if let [path] = request.goals.as_slice() {
        return vec![Share { path, kept: kept.clone(), part: None }];
    }
    let end = image.ram().end().max(kept.end());
    let parts = parts(kept, end, request.goals.len() as u64);
    let share = |(path, (from, to)): (&'r PathBuf, (u64, u64))| {
        let mut part = FrameSet::new();
        part.insert(from, to);
        Share { path, kept: kept.within(&part), part: Some((from, to)) }
    };
    request.goals.iter().zip(parts).map(share).collect()
}

fn goal(request: &Request, path: &Path, way: Way) -> anyhow::Result<Goal> {
    match path.as_os_str() == "-" {
        true => Goal::output(),
        false => Goal::file(path, way, request.replace),
    }
}

/// Keeps a dump that there was no room for. What is most needed was written first, so it may do.
fn keep(request: &Request, goal: Goal, path: &Path, error: anyhow::Error) -> anyhow::Error {
    let name = if request.incomplete_by_its_name || sink::is_disk(path) {
        path.to_owned()
    } else {
        let mut name = path.as_os_str().to_owned();
        name.push(".incomplete");
        name.into()
    };
    match goal.keep(&name) {
        Ok(true) => error.context(format!("{} is an incomplete dump", name.display())),
        Ok(false) => error,
        Err(other) => other.context(error),
    }
}

fn write(
    image: &MemoryImage<'_>,
    pages: &Pages<'_>,
    request: &Request,
    settings: &Settings,
    goal: &Goal,
) -> anyhow::Result<Written> {
    let progress = Progress::default();
    let count = pages.kept.count();
    let shown = request.progress.then(|| Shown::start_bytes("saving pages".to_owned(), count, page_bytes(1)));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = || {
            let mut seen = 0;
            while !done.load(Ordering::Relaxed) {
                let now = progress.pages();
                if let Some(shown) = &shown {
                    shown.steps(now - seen);
                }
                seen = now;
                std::thread::park_timeout(Duration::from_millis(250));
            }
        };
        let watcher = scope.spawn(watch);
        let written = match request.form {
            Form::Kdump => write_kdump(image, pages, settings, goal, &progress),
            Form::Elf => write_elf(image, pages.kept, settings, goal, &progress),
            Form::Flat => write_flat(image, pages.kept, settings, goal, &progress),
        };
        done.store(true, Ordering::Relaxed);
        watcher.thread().unpark();
        Ok(written?)
    })
}

/// Whether the disk is full, or the user's share of it, or the file is as long as its file system takes.
fn is_no_room(error: &anyhow::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let Some(Error::Write { source, .. }) = error.downcast_ref() else { return false };
    matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

/// What is told in the dump itself.
fn statistics(
    image: &MemoryImage<'_>,
    selection: &Selection,
    is_live: bool,
    lacking: u64,
) -> BTreeMap<String, u64> {
    let excluded = selection
        .excluded
        .iter()
        .map(|(kind, pages)| (format!("excluded_{}", super::summary::name(*kind).replace(' ', "_")), *pages));
    let counts = [
        ("memory_pages", image.ram().count()),
        ("source_pages", image.present().count()),
        ("unknown_pages", selection.unknown),
    ];
    // Only where there are some: of a machine that stood still and was saved as a whole they would say nothing.
    let live = is_live.then(|| ("live_pages", image.present().count()));
    let cut_off = (lacking > 0).then_some((CUT_OFF, lacking));
    excluded
        .chain(counts.into_iter().chain(live).chain(cut_off).map(|(name, pages)| (name.to_owned(), pages)))
        .collect()
}

fn saved(
    image: &MemoryImage<'_>,
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
        is_live: false,
        incomplete: false,
        why_unknown: selection.trouble.map(|error| error.to_string()),
        why_missing: written.trouble,
        learned: selection.learned,
        highest_frame: image.ram().end(),
        bytes: written.length,
        selecting_seconds: selecting.as_secs_f64(),
        seconds: all.as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::errno;
    use vmcore::codec::{Codec, Effort};

    /// An ELF vmcore of so many pages, none of zeros.
    fn image(pages: u8) -> Vec<u8> {
        let mut file = vec![0; 4096];
        file[..20].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0\x3e\0");
        file[32] = 64;
        file[54..58].copy_from_slice(&[56, 0, 1, 0]);
        file[64] = 1;
        for (at, value) in [(72, 4096), (96, page_bytes(pages.into())), (104, page_bytes(pages.into()))] {
            file[at..at + 8].copy_from_slice(&value.to_le_bytes());
        }
        file.extend((0..pages).flat_map(|page| [page | 1; 4096]));
        file
    }

    #[test]
    fn what_there_was_room_for_is_a_dump_that_says_it_is_not_whole() {
        let folder = std::env::temp_dir().join(format!("kjump-no-room-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let [source, goal] = ["vmcore", "dump"].map(|name| folder.join(name));
        std::fs::write(&source, image(200)).unwrap();
        let request = Request {
            sources: vec![source],
            vmcoreinfo: None,
            goals: vec![goal],
            form: Form::Kdump,
            flattened: false,
            levels: vec![Level::default()],
            compression: Compression::Alike(Effort::usual(Codec::Raw)),
            threads: 1,
            memory_limit: None,
            limit: Some(600_000),
            replace: true,
            progress: false,
            incomplete_by_its_name: false,
        };
        let error = format!("{:#}", save(&request).unwrap_err());
        assert!(error.contains("dump.incomplete is an incomplete dump"), "{error}");
        let mut names: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["dump.incomplete", "vmcore"]);
        let image = source::image(&folder.join("dump.incomplete")).unwrap();
        assert!(image.header().unwrap().is_incomplete());
        let mut page = [0; 4096];
        vmcore::PhysRead::read_phys(&image, 5 * 4096, &mut page).unwrap();
        assert_eq!(page, [5; 4096]);
        assert!(vmcore::PhysRead::read_phys(&image, 199 * 4096, &mut page).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn there_is_no_room_where_disk_share_or_file_is_full() {
        let error = |source: std::io::Error| anyhow::Error::from(Error::Write { offset: 0, size: 1, source });
        for (number, no_room) in
            [(errno::ENOSPC, true), (errno::EDQUOT, true), (errno::EFBIG, true), (errno::EIO, false)]
        {
            assert_eq!(is_no_room(&error(std::io::Error::from_raw_os_error(number))), no_room, "{number}");
        }
    }
}
