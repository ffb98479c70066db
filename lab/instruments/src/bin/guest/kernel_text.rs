//! The kernel's text and read-only data, as `/proc/kcore` shows them.

use std::fs::File;
use std::os::unix::fs::FileExt as _;

use abi::device::Range;
use anyhow::{Context as _, Result, ensure};

use crate::busy::system_ram;

/// Their content. Only the kernel itself changes it, where it switches a static branch.
pub(crate) struct KernelText {
    parts: [Part; 2],
}

struct Part {
    range: Range,
    /// Offset in `/proc/kcore`.
    offset: u64,
    bytes: Vec<u8>,
}

impl KernelText {
    pub(crate) fn now() -> Result<Self> {
        let (code, rodata) = (system_ram("Kernel code")?, system_ram("Kernel rodata")?);
        let core = File::open("/proc/kcore")?;
        let offset = kernel_image_offset(&core)?;
        let part = |range: &Range| {
            let offset = offset + range.start - code.start;
            let bytes = read(&core, offset, range.end - range.start)?;
            Ok::<Part, anyhow::Error>(Part {
                range: Range { start: range.start, end: range.end },
                offset,
                bytes,
            })
        };
        Ok(Self { parts: [part(&code)?, part(&rodata)?] })
    }

    /// Checks that they have not changed, except switched branches.
    pub(crate) fn check(&self) -> Result<()> {
        let core = File::open("/proc/kcore")?;
        for part in &self.parts {
            let now = read(&core, part.offset, part.bytes.len() as u64)?;
            let mut from = 0;
            while let Some(at) = first_difference(&part.bytes, &now, from) {
                let address = part.range.start + at as u64;
                let [before, after] = [&part.bytes, &now].map(|bytes| surroundings(bytes, at));
                from = end_of_branch(&part.bytes, &now, at).with_context(|| {
                    format!("the kernel's text changed at {address:#x}: {after:x?}, was {before:x?}")
                })?;
                println!("the kernel switched a static branch at {address:#x}: {after:x?}, was {before:x?}");
            }
        }
        Ok(())
    }
}

fn read(core: &File, offset: u64, length: u64) -> Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length)?];
    core.read_exact_at(&mut bytes, offset).context("/proc/kcore")?;
    ensure!(bytes.iter().any(|byte| *byte != 0), "/proc/kcore shows nothing of the kernel's text");
    Ok(bytes)
}

fn first_difference(before: &[u8], now: &[u8], from: usize) -> Option<usize> {
    let pages = (from / 4096..before.len().div_ceil(4096)).map(|page| page * 4096);
    let mut differing = pages.filter_map(|start| {
        let (start, end) = (start.max(from), before.len().min(start + 4096));
        if before[start..end] == now[start..end] {
            return None;
        }
        (start..end).find(|&at| before[at] != now[at])
    });
    differing.next()
}

fn surroundings(bytes: &[u8], at: usize) -> &[u8] {
    &bytes[at.saturating_sub(4)..bytes.len().min(at + 8)]
}

/// The end of the instruction, if it changed from a jump to a nop or back
/// (`arch/x86/kernel/jump_label.c`).
fn end_of_branch(before: &[u8], now: &[u8], at: usize) -> Option<usize> {
    const LONG: (&[u8], u8) = (&[0x0f, 0x1f, 0x44, 0x00, 0x00], 0xe9);
    const SHORT: (&[u8], u8) = (&[0x66, 0x90], 0xeb);
    [LONG, SHORT].into_iter().find_map(|(nothing, jump)| {
        let end = at + nothing.len();
        let (before, now) = (before.get(at..end)?, now.get(at..end)?);
        let turned = before == nothing && now[0] == jump || now == nothing && before[0] == jump;
        turned.then_some(end)
    })
}

/// The offset of the kernel's image in `/proc/kcore`, by the load header with the highest addresses
/// below the modules.
fn kernel_image_offset(core: &File) -> Result<u64> {
    let mut header = [0; 4096];
    core.read_exact_at(&mut header, 0)?;
    let word = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&header[at..at + 8]);
        u64::from_le_bytes(word)
    };
    let count = usize::from(u16::from_le_bytes([header[56], header[57]]));
    let headers = (0..count).map(|index| 64 + 56 * index).filter(|at| *at + 56 <= header.len());
    // Virtual address at 16, offset at 8. The image is mapped between -2 GiB and -1 GiB.
    let image = headers.filter(|&at| (0xffff_ffff_8000_0000..0xffff_ffff_c000_0000).contains(&word(at + 16)));
    image.map(|at| word(at + 8)).next().context("/proc/kcore does not show the kernel's image")
}
