//! Fills memory with marked pages, and finds them in a memory image that another kernel reads.
// UNSAFETY: the pages come from mmap(2), and vmsplice(2) pins them in a pipe.
#![allow(unsafe_code)]

use std::fs::File;
use std::io::Write as _;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};
use rustix::pipe::{IoSliceRaw, SpliceFlags, fcntl_setpipe_size, pipe, vmsplice};

use crate::numbers::{Numbers, argument};

const PAGE: usize = 4096;
const WORDS: usize = PAGE / 8;
/// The mark at the start of a page.
const MAGIC: u64 = 0x1f83_d9ab_fb41_bd6b;

type Page = [u64; WORDS];

/// The content of page `index` of a fill, which lies in frame `frame`.
fn page(index: u64, frame: u64, seed: u64) -> Page {
    let mut numbers = Numbers(seed.rotate_left(32) ^ index);
    let mut page = [0; WORDS];
    page.fill_with(|| numbers.next());
    page[..4].copy_from_slice(&[MAGIC, index, frame, seed]);
    page
}

/// `fill PAGES FILE`: fills memory with pages that contain their number and frame, creates the
/// file, and fills the memory with other pages whenever the file is removed, until `FILE.end`
/// exists.
pub(crate) fn fill(arguments: &[String]) -> Result<()> {
    let count = argument(arguments, 0, "PAGES")?;
    let ready = Path::new(arguments.get(1).context("FILE is missing")?);
    let pinned = Pinned::new(usize::try_from(count)?)?;
    for seed in 1.. {
        let frames = frames(pinned.pages)?;
        for (index, (place, frame)) in (0..).zip(pinned.pages.iter_mut().zip(frames)) {
            *place = page(index, frame, seed);
        }
        File::create(ready)?;
        while ready.exists() {
            if ready.with_extension("end").exists() {
                return Ok(());
            }
            sleep(Duration::from_millis(20));
        }
    }
    Ok(())
}

/// Pages that the kernel cannot move.
struct Pinned {
    pages: &'static mut [Page],
    /// The pipes that contain the pages and pin them.
    _pipes: Vec<(OwnedFd, OwnedFd)>,
}

impl Pinned {
    fn new(count: usize) -> Result<Self> {
        let (bytes, access) = (count * PAGE, ProtFlags::READ | ProtFlags::WRITE);
        // SAFETY: new memory, to which there is no other reference, never unmapped.
        let pages = unsafe {
            let start = mmap_anonymous(std::ptr::null_mut(), bytes, access, MapFlags::PRIVATE)?;
            std::slice::from_raw_parts_mut(start.cast::<Page>(), count)
        };
        pages.iter_mut().for_each(|page| page[0] = 1);
        let pipes = pages.chunks(PIPE).map(pinned_by).collect::<Result<_>>()?;
        Ok(Self { pages, _pipes: pipes })
    }
}

/// The capacity of a pipe in pages.
const PIPE: usize = 256;

fn pinned_by(pages: &[Page]) -> Result<(OwnedFd, OwnedFd)> {
    let (read, write) = pipe()?;
    fcntl_setpipe_size(&write, PIPE * PAGE)?;
    // SAFETY: the bytes of the pages.
    let bytes = unsafe { std::slice::from_raw_parts(pages.as_ptr().cast::<u8>(), size_of_val(pages)) };
    let slice = IoSliceRaw::from_slice(bytes);
    // SAFETY: the pipe is never read, and the pages outlive it.
    let taken = unsafe { vmsplice(&write, &[slice], SpliceFlags::NONBLOCK) }?;
    ensure!(taken == size_of_val(pages), "the pipe took only {taken} bytes");
    Ok((read, write))
}

/// The frames of pages (`Documentation/admin-guide/mm/pagemap.rst`).
fn frames(pages: &[Page]) -> Result<Vec<u64>> {
    let mut bytes = vec![0; pages.len() * 8];
    let first = pages.as_ptr().addr() / PAGE;
    File::open("/proc/self/pagemap")?.read_exact_at(&mut bytes, first as u64 * 8)?;
    let frames: Vec<u64> =
        bytes.as_chunks().0.iter().map(|word| u64::from_le_bytes(*word) & ((1 << 55) - 1)).collect();
    ensure!(frames.iter().all(|&frame| frame != 0), "the kernel hides frame numbers");
    Ok(frames)
}

/// `find VMCORE`: prints the number of pages of the newest fill that are in the frames they name,
/// and shifted left by 32 bits the number of those in other frames, which are waiting in source
/// pages. No page may be damaged.
pub(crate) fn find(arguments: &[String]) -> Result<()> {
    let file = File::open(arguments.first().context("VMCORE is missing")?)?;
    let mut found: Vec<(u64, u64, bool)> = Vec::new();
    let mut buffer = vec![0; 256 * PAGE];
    let loads = loads(&file)?;
    for &(physical, offset, size) in &loads {
        for start in (0..size).step_by(buffer.len()) {
            let length = buffer.len().min(usize::try_from(size - start)?);
            file.read_exact_at(&mut buffer[..length], offset + start)?;
            for (number, bytes) in (0..).zip(buffer[..length].as_chunks::<PAGE>().0) {
                found.extend(look(bytes, physical + start + number * PAGE as u64)?);
            }
        }
    }
    eprintln!("{} load headers", loads.len());
    let newest = found.iter().map(|(seed, _, _)| *seed).max().unwrap_or(0);
    found.retain(|(seed, _, _)| *seed == newest);
    let waiting = found.iter().filter(|(_, _, in_place)| !in_place).count();
    found.retain(|(_, _, in_place)| *in_place);
    found.sort_unstable();
    ensure!(found.windows(2).all(|pair| pair[0].1 != pair[1].1), "a page was found twice");
    writeln!(std::io::stdout(), "{:#x}", (waiting as u64) << 32 | found.len() as u64)?;
    Ok(())
}

/// Seed and number of a page of a fill, and whether it is in the frame it names.
fn look(bytes: &[u8; PAGE], address: u64) -> Result<Option<(u64, u64, bool)>> {
    let word = |number: usize| {
        let bytes = bytes[number * 8..].first_chunk();
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    };
    if word(0) != MAGIC {
        return Ok(None);
    }
    let (index, frame, seed) = (word(1), word(2), word(3));
    let wanted = page(index, frame, seed);
    let good = (0..WORDS).all(|number| word(number) == wanted[number]);
    ensure!(good, "page {index} of fill {seed} is damaged at {address:#x}");
    Ok(Some((seed, index, frame * PAGE as u64 == address)))
}

/// The address at which Linux maps its image (`__START_KERNEL_map`).
const IMAGE_MAP: u64 = 0xffff_ffff_8000_0000;

/// Physical address, offset and size of the memory in an ELF core file. The kernel's image appears
/// a second time, by its virtual addresses, together with its initialisation memory, which has been
/// freed and reused: it is left out.
fn loads(file: &File) -> Result<Vec<(u64, u64, u64)>> {
    let mut header = [0; 64];
    file.read_exact_at(&mut header, 0)?;
    ensure!(header.starts_with(b"\x7fELF\x02"), "not a 64-bit ELF file");
    let count = usize::from(u16::from_le_bytes([header[56], header[57]]));
    let mut headers = vec![0; count * 56];
    file.read_exact_at(&mut headers, 64)?;
    let word =
        |bytes: &[u8], at: usize| bytes[at..].first_chunk().map_or(0, |word| u64::from_le_bytes(*word));
    let loads =
        headers.as_chunks::<56>().0.iter().filter(|bytes| bytes[0] == 1 && word(*bytes, 16) < IMAGE_MAP);
    Ok(loads.map(|bytes| (word(bytes, 24), word(bytes, 8), word(bytes, 32))).collect())
}
