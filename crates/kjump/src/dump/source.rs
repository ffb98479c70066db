//! Files that images are read from.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::ops;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use abi::device::Range;
use anyhow::Context;
use phys::PhysRange;
use sys::window::{self, Window};
use sys::{descriptor, holes};
use vmcore::{MemoryImage, ReadAt, Vmcoreinfo};

use super::args::RawArgs;
use crate::terminal::report;

/// A file to read from many threads.
pub(crate) struct SourceFile {
    file: File,
    length: u64,
    mode: ReadMode,
    /// Bytes that are not in holes, once they are counted.
    stored: OnceLock<u64>,
}

/// The best way to read a file.
enum ReadMode {
    Plainly,
    /// Reading /proc/vmcore maps and unmaps each page in the kernel; large mappings are thirty
    /// times as fast. The windows that were used last, in order of use.
    ByWindows(Mutex<Vec<(u64, Arc<Window>)>>),
    /// The kernel copies what is read from /proc/kcore through one page for each open file: threads
    /// that share a file may get each other's bytes.
    ByThread(Files),
    /// The last hole that was found.
    AroundHoles(Mutex<ops::Range<u64>>),
}

/// More openings of a file, so that no two threads use the same one at the same time.
#[derive(Default)]
struct Files {
    /// Those that no thread is using.
    idle: Mutex<Vec<File>>,
    /// Held while the first opening is used.
    first: Mutex<()>,
}

impl Files {
    fn read(&self, first: &File, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let file = idle().pop();
        let Ok(file) = file.map_or_else(|| descriptor::open_again(first), Ok) else {
            // There may be a limit on open files.
            let _alone = self.first.lock().unwrap_or_else(PoisonError::into_inner);
            return first.read_at(buffer, offset);
        };
        let result = file.read_at(buffer, offset);
        idle().push(file);
        result
    }
}

/// Bytes of a page.
const PAGE: usize = 1 << phys::PAGE_SHIFT;
/// Size of a window in bytes.
const WINDOW: u64 = 16 << 20;
/// Windows to keep: one for each of a few threads, and the same number for page tables and page
/// structures.
const WINDOWS: usize = 12;

impl SourceFile {
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        // The metadata of a disk has no length; its end has.
        let length = match metadata.len() {
            0 => file.seek(SeekFrom::End(0)).map_err(|error| match error.kind() {
                io::ErrorKind::NotSeekable => io::Error::other(
                    "a pipe or the like can only be read in order: save it to a file first; \
                     `makedumpfile -R` does that with a flattened stream",
                ),
                _ => error,
            })?,
            length => length,
        };
        let mode = if window::is_of_the_kernel(&file) {
            // /proc/vmcore can be mapped, /proc/kcore cannot.
            match Window::map(&file, 0, PAGE) {
                Ok(_) => ReadMode::ByWindows(Mutex::default()),
                Err(_) => ReadMode::ByThread(Files::default()),
            }
        } else if metadata.is_file() && metadata.blocks() < length / 512 {
            ReadMode::AroundHoles(Mutex::new(0..0))
        } else {
            ReadMode::Plainly
        };
        Ok(Self { file, length, mode, stored: OnceLock::new() })
    }

    /// The window with this number, mapped if necessary; `None` if it cannot be mapped.
    fn window(&self, windows: &Mutex<Vec<(u64, Arc<Window>)>>, number: u64) -> Option<Arc<Window>> {
        let mut windows = windows.lock().unwrap_or_else(PoisonError::into_inner);
        let found = match windows.iter().position(|(known, _)| *known == number) {
            Some(place) => windows.remove(place).1,
            None => {
                let length = WINDOW.min(self.length - number * WINDOW);
                Arc::new(Window::map(&self.file, number * WINDOW, usize::try_from(length).ok()?).ok()?)
            }
        };
        if windows.len() == WINDOWS {
            windows.remove(0);
        }
        windows.push((number, Arc::clone(&found)));
        Some(found)
    }

    /// Whether `count` bytes at `offset` are in a hole of the file.
    fn is_hole(&self, hole: &Mutex<ops::Range<u64>>, offset: u64, count: usize) -> bool {
        let mut hole = hole.lock().unwrap_or_else(PoisonError::into_inner);
        let end = offset.saturating_add(count as u64);
        if hole.start <= offset && end <= hole.end {
            return true;
        }
        if end > self.length {
            return false;
        }
        // A hole that ends before the read does is not remembered: small holes would cost a system
        // call for each read.
        match holes::hole_at(&self.file, offset, self.length) {
            Ok(found) if end <= found.end => {
                *hole = found;
                true
            }
            _ => false,
        }
    }
}

impl ReadAt for SourceFile {
    fn length(&self) -> u64 {
        self.length
    }

    /// Of a sparse file, the bytes outside of holes. What a file system allocates is another
    /// number: it may compress, or keep a small file with its metadata.
    fn stored(&self) -> u64 {
        match self.mode {
            ReadMode::AroundHoles(_) => {
                *self.stored.get_or_init(|| holes::stored(&self.file, self.length).unwrap_or(self.length))
            }
            ReadMode::Plainly | ReadMode::ByWindows(_) | ReadMode::ByThread(_) => self.length,
        }
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        match &self.mode {
            ReadMode::ByWindows(windows) if offset < self.length => {
                if let Some(window) = self.window(windows, offset / WINDOW) {
                    let inside = usize::try_from(offset % WINDOW).unwrap_or(usize::MAX);
                    return Ok(window.copy(inside, buffer));
                }
            }
            ReadMode::ByThread(files) => return files.read(&self.file, buffer, offset),
            ReadMode::AroundHoles(hole) if self.is_hole(hole, offset, buffer.len()) => {
                buffer.fill(0);
                return Ok(buffer.len());
            }
            _ => {}
        }
        self.file.read_at(buffer, offset)
    }
}

/// Whether this is the memory of the running machine, by any name.
pub(super) fn is_live(path: &Path) -> bool {
    let name = path.canonicalize().ok();
    name.as_deref().and_then(Path::file_name).is_some_and(|name| name == "kcore")
        && File::open(path).is_ok_and(window::is_of_the_kernel)
}

/// Opens a file.
pub(super) fn open(path: &Path) -> anyhow::Result<SourceFile> {
    SourceFile::open(path).with_context(|| path.display().to_string())
}

/// Opens a memory image.
pub(crate) fn image(path: &Path) -> anyhow::Result<MemoryImage<'static>> {
    MemoryImage::open(open(path)?).with_context(|| path.display().to_string())
}

/// Opens a memory image, or raw memory with these ranges.
pub(super) fn image_or_raw(path: &Path, args: &RawArgs) -> anyhow::Result<MemoryImage<'static>> {
    if !args.raw {
        return image(path);
    }
    MemoryImage::open_raw(open(path)?, &ranges(args)?).with_context(|| path.display().to_string())
}

/// The ranges of raw memory, in the order of the file.
fn ranges(args: &RawArgs) -> anyhow::Result<Vec<PhysRange>> {
    let range = |range: &Range| {
        PhysRange::from_bytes(range.start, range.end - range.start)
            .with_context(|| format!("--ram {:#x}-{:#x}", range.start, range.end))
    };
    args.ram.iter().map(range).collect()
}

/// Facts about a kernel, and the file that they are from.
pub(super) struct Facts {
    pub(super) path: PathBuf,
    pub(super) vmcoreinfo: Vmcoreinfo,
}

/// The image with these facts about its kernel, if there are any.
pub(super) fn with_facts<'a>(
    image: MemoryImage<'a>,
    facts: Option<&Facts>,
) -> anyhow::Result<MemoryImage<'a>> {
    let Some(facts) = facts else { return Ok(image) };
    image.with_vmcoreinfo(facts.vmcoreinfo.clone()).with_context(|| facts.path.display().to_string())
}

/// The image with the VMCOREINFO that is found in its memory, if it has none itself.
pub(super) fn informed(image: MemoryImage<'_>) -> anyhow::Result<MemoryImage<'_>> {
    if image.vmcoreinfo().is_ok() {
        return Ok(image);
    }
    match image.search_vmcoreinfo() {
        Some(found) => {
            report::inform("VMCOREINFO is not in the notes of the image: found in its memory\n");
            Ok(image.with_vmcoreinfo(found)?)
        }
        None => Ok(image),
    }
}

/// Opens a memory image, which may be raw memory, or the files of a split set as one.
pub(super) fn set(paths: &[PathBuf], raw: &RawArgs) -> anyhow::Result<MemoryImage<'static>> {
    match paths {
        [path] => image_or_raw(path, raw),
        _ => {
            let files = paths.iter().map(|path| open(path)).collect::<anyhow::Result<Vec<_>>>()?;
            Ok(MemoryImage::open_set(files)?)
        }
    }
}
