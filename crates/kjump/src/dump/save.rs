//! Saving an image to a file or to a split set: open, select, write.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use vmcore::erase::{Erased, Erasures};
use vmcore::select::Level;
use vmcore::write::{Pages, Progress, Settings, Written, parts, write_elf, write_flat, write_kdump};
use vmcore::{DumpSource, Error, FrameSet, MemoryImage, notes, select};

use super::erase::Config;
use super::means::{Means, affordable};
use super::request::{OutputFormat, Request};
use super::sink::{self, Remote, Sink, WriteMode};
use super::source;
use super::statistics::{self, Completeness};
use super::summary::{Saved, name};
use crate::terminal::progress::Progress as Shown;
use crate::terminal::quantity::page_bytes;
use crate::terminal::report;

/// Saves an image at the first dump level for which there is room.
pub(super) fn save(request: &Request) -> anyhow::Result<Saved> {
    sys::signal::ignore_file_size_limit();
    request.remote.as_ref().map(Remote::check).transpose()?;
    let rules = request.config.as_ref().map(Config::rules).transpose()?;
    let image = source::with_facts(source::set(&request.sources, &request.raw)?, request.facts.as_ref())?;
    let needs_structures = request.levels.iter().any(|level| level.needs_page_structures());
    // Raw memory has no notes: readers need what is found.
    let is_informed = needs_structures || request.raw.raw || rules.is_some();
    let image = if is_informed { source::informed(image)? } else { image };
    if request.details {
        report::inform(&details(&image));
    }
    let erasures = match (&request.config, &rules) {
        (Some(config), Some(rules)) => Some(config.erasures(rules, &image)?),
        _ => None,
    };
    let erasures = erasures.as_ref();
    let means = affordable(&image, request)?;
    let (last, others) = request.levels.split_last().context("no dump level")?;
    for (level, next) in others.iter().zip(request.levels.iter().skip(1)) {
        match save_at(&image, erasures, request, (*level, false), means) {
            Err(error) if is_no_room(&error) => {
                report::inform(&format!(
                    "no room for dump level {}: trying {}\n",
                    level.number(),
                    next.number()
                ));
            }
            result => return result,
        }
    }
    save_at(&image, erasures, request, (*last, true), means)
}

/// VMCOREINFO as makedumpfile prints it; scripts look for OSRELEASE and CRASHTIME in it.
pub(super) fn details(image: &MemoryImage<'_>) -> String {
    let text = notes::vmcoreinfo(image.notes()).map(|note| String::from_utf8_lossy(note.contents));
    let lines = text.iter().flat_map(|text| text.lines());
    let printable = |line: &str| line.chars().filter(|letter| !letter.is_control()).collect::<String>();
    lines.fold("VMCOREINFO   :\n".to_owned(), |all, line| all + "  " + &printable(line) + "\n")
}

fn save_at(
    image: &MemoryImage<'_>,
    erasures: Option<&Erasures>,
    request: &Request,
    (level, is_last): (Level, bool),
    means: Means,
) -> anyhow::Result<Saved> {
    let start = Instant::now();
    let selection = select(image, image.present(), image.vmcoreinfo(), level, means.order, means.threads);
    let selecting = start.elapsed();
    let source = Completeness::of(image, &request.sources);
    let incomplete = source.is_incomplete;
    let settings = Settings { compression: request.compression, level, threads: means.threads, incomplete };
    let statistics = statistics::of(image, &selection, level, source);
    let erased = erasures.map(|erasures| Erased::new(image, erasures));
    let pages_from: &dyn DumpSource = erased.as_ref().map_or(image, |erased| erased);
    let mut written = Written::default();
    // An ELF file may contain excluded pages.
    let pages = if request.format == OutputFormat::Elf { image.present() } else { &selection.kept }.count();
    for Share { path, kept, part } in shares(image, request, &selection.kept) {
        let sink = open(request, path, means.mode, pages)?.limited(request.limit);
        let part = part.map(|(from, to)| (from, to, &selection.kept));
        let pages = Pages { kept: &kept, first: &selection.vital.in_order(), part, statistics: &statistics };
        let progress = Progress::default();
        match write(pages_from, &pages, request, &settings, &sink, &progress) {
            Ok(share) => {
                sink.finish(share.length).with_context(|| path.display().to_string())?;
                written.add(share);
            }
            Err(error) if is_last && is_no_room(&error) => {
                let share = (progress.pages(), kept.count());
                return Err(keep(request, sink, path, share, error));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(Saved {
        level: level.number(),
        memory_pages: image.ram().count(),
        source_pages: image.present().count(),
        zero_pages: written.zero_pages,
        excluded: selection.excluded.into_iter().map(|(kind, pages)| (name(kind), pages)).collect(),
        kept_pages: selection.kept.count() - written.zero_pages - written.missing,
        stored: written.stored.into_iter().map(|(codec, pages)| (codec.name(), pages)).collect(),
        unknown_pages: selection.unknown,
        missing_pages: written.missing + source.cut_off,
        is_live: source.is_live,
        incomplete,
        why_unknown: selection.trouble.map(|error| error.whole()),
        why_missing: written.trouble.or_else(|| source.why_missing()),
        is_part: image.header().is_some_and(|header| header.part.is_some()),
        learned: selection.learned,
        erased: erasures.map(|erasures| erasures.amount().into()),
        unloaded_modules: erasures.map_or(&[][..], Erasures::unloaded_modules).to_vec(),
        highest_frame: image.ram().end(),
        bytes: written.length,
        selecting_seconds: selecting.as_secs_f64(),
        seconds: start.elapsed().as_secs_f64(),
        peak_memory: sys::memory::peak(),
    })
}

/// The pages for one output, and its range of frames if the output is part of a split set.
struct Share<'r> {
    path: &'r Path,
    kept: FrameSet,
    part: Option<(u64, u64)>,
}

/// One share for a single output, or one for each part of a split set.
fn shares<'r>(image: &MemoryImage<'_>, request: &'r Request, kept: &FrameSet) -> Vec<Share<'r>> {
    if let [path] = request.outputs.as_slice() {
        return vec![Share { path, kept: kept.clone(), part: None }];
    }
    let end = image.ram().end().max(kept.end());
    let parts = parts(kept, end, request.outputs.len() as u64);
    let share = |(path, (from, to)): (&'r PathBuf, (u64, u64))| Share {
        path,
        kept: kept.between(from, to),
        part: Some((from, to)),
    };
    request.outputs.iter().zip(parts).map(share).collect()
}

/// Opens an output for at most this number of pages.
fn open(request: &Request, path: &Path, mode: WriteMode, pages: u64) -> anyhow::Result<Sink> {
    match &request.remote {
        Some(remote) => Sink::remote(remote, pages),
        None if path.as_os_str() == "-" => Sink::stdout(),
        None => Sink::file(path, mode, request.replace),
    }
}

/// Keeps a dump for which there was no room. It may be usable, because the most needed pages are
/// written first. `share` is the number of pages that were written, and of all pages.
fn keep(
    request: &Request,
    sink: Sink,
    path: &Path,
    share: (u64, u64),
    error: anyhow::Error,
) -> anyhow::Error {
    let name = if request.keeps_name_if_incomplete || request.remote.is_none() && sink::is_disk(path) {
        path.to_owned()
    } else {
        let mut name = path.as_os_str().to_owned();
        name.push(".incomplete");
        name.into()
    };
    match sink.keep(&name) {
        Ok(true) => {
            let (pages, all) = share;
            let name = name.display();
            error.context(format!("{name} is an incomplete dump with about {pages} of {all} pages"))
        }
        Ok(false) => error,
        Err(other) => other.context(error),
    }
}

fn write(
    image: &dyn DumpSource,
    pages: &Pages<'_>,
    request: &Request,
    settings: &Settings,
    sink: &Sink,
    progress: &Progress,
) -> anyhow::Result<Written> {
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
        // Without a thread for it, no progress is shown.
        let watcher = std::thread::Builder::new().spawn_scoped(scope, watch).ok();
        let written = match request.format {
            OutputFormat::Kdump => write_kdump(image, pages, settings, sink, progress),
            OutputFormat::Elf => write_elf(image, pages.kept, settings, sink, progress),
            OutputFormat::Flat => write_flat(image, pages.kept, settings, sink, progress),
        };
        done.store(true, Ordering::Relaxed);
        if let Some(watcher) = watcher {
            watcher.thread().unpark();
        }
        Ok(written?)
    })
}

/// Whether the disk or the user's quota is full, or the file has reached its maximum size.
fn is_no_room(error: &anyhow::Error) -> bool {
    use std::io::ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let Some(Error::Write { source, .. }) = error.downcast_ref() else { return false };
    matches!(source.kind(), StorageFull | QuotaExceeded | FileTooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::args::RawArgs;
    use abi::errno;
    use vmcore::codec::{Codec, Effort};
    use vmcore::write::Compression;

    /// An ELF vmcore of `pages` nonzero pages.
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
    fn without_room_an_incomplete_dump_is_kept_and_marked() {
        let dir = std::env::temp_dir().join(format!("kjump-no-room-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let [source, output] = ["vmcore", "dump"].map(|name| dir.join(name));
        std::fs::write(&source, image(200)).unwrap();
        let request = Request {
            sources: vec![source],
            raw: RawArgs::default(),
            facts: None,
            config: None,
            details: false,
            outputs: vec![output],
            remote: None,
            format: OutputFormat::Kdump,
            flattened: false,
            levels: vec![Level::default()],
            compression: Compression::Fixed(Effort::usual(Codec::Raw)),
            threads: 1,
            memory_limit: None,
            limit: Some(600_000),
            replace: sink::Replace::Files,
            progress: false,
            keeps_name_if_incomplete: false,
        };
        let error = format!("{:#}", save(&request).unwrap_err());
        assert!(error.contains("dump.incomplete is an incomplete dump"), "{error}");
        let mut names: Vec<_> =
            std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["dump.incomplete", "vmcore"]);
        let image = source::image(&dir.join("dump.incomplete")).unwrap();
        assert!(image.header().unwrap().is_incomplete());
        let mut page = [0; 4096];
        vmcore::PhysRead::read_phys(&image, 5 * 4096, &mut page).unwrap();
        assert_eq!(page, [5; 4096]);
        assert!(vmcore::PhysRead::read_phys(&image, 199 * 4096, &mut page).is_err());
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn there_is_no_room_if_disk_quota_or_file_is_full() {
        let error = |source: std::io::Error| anyhow::Error::from(Error::Write { offset: 0, size: 1, source });
        for (number, no_room) in
            [(errno::ENOSPC, true), (errno::EDQUOT, true), (errno::EFBIG, true), (errno::EIO, false)]
        {
            assert_eq!(is_no_room(&error(std::io::Error::from_raw_os_error(number))), no_room, "{number}");
        }
    }
}
