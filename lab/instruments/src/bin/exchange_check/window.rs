use std::fmt;

use abi::device::{Range, load_flag, mode, quiesce, status};
use abi::page_list::PAGE_SIZE;
use anyhow::{Context as _, Result, bail, ensure};
use phys::PhysRange;
use relocator::{Direction, entry_offset};
use sys::Device;
use sys::device::{Destination, LoadRequest};

use crate::arena::Arena;

/// A loaded image: the page mover, and an arena in which it moves pages.
pub(crate) struct Window {
    device: Device,
    code: u64,
    arena: PhysRange,
    vouched: bool,
}

impl Window {
    /// A window at the start of a range that the kernel does not use.
    pub(crate) fn vouched(range: Range, arena_pages: u64) -> Result<Self> {
        let size = range.end.saturating_sub(range.start);
        let needed = (1 + arena_pages) * PAGE_SIZE;
        ensure!(size >= needed, "a window needs {needed:#x} bytes, but {size:#x} are vouched for");
        Self::load(range.start, arena_pages, &[range], 0)?.context("the vouched memory is in use")
    }

    /// A window in memory that can be claimed from the kernel.
    pub(crate) fn claimed(arena_pages: u64) -> Result<Self> {
        const STEP: usize = 4 << 20;
        for start in (64 << 20..2 << 30).step_by(STEP) {
            // Addresses outside RAM are refused.
            if let Ok(Some(window)) = Self::load(start, arena_pages, &[], load_flag::CLAIM) {
                return Ok(window);
            }
        }
        bail!("no memory between 64 MiB and 2 GiB can be claimed")
    }

    /// `None` if the kernel uses some of the pages.
    fn load(start: u64, arena_pages: u64, vouched: &[Range], flags: u64) -> Result<Option<Self>> {
        let device = Device::open()?;
        let arena = PhysRange::from_bytes(start + PAGE_SIZE, arena_pages * PAGE_SIZE)?;
        let segment =
            Destination { bytes: relocator::code(), address: start, size: PAGE_SIZE + arena.bytes() };
        let entry = start + entry_offset::move_pages() as u64;
        let request = LoadRequest { segments: &[segment], vouched, entry, mode: mode::LONG, flags };
        let load = device.load(&request)?;
        let window = Self { device, code: start, arena, vouched: !vouched.is_empty() };
        Ok((load.in_use == 0).then_some(window))
    }

    pub(crate) const fn arena(&self) -> PhysRange {
        self.arena
    }

    /// The number of bytes that are compared.
    pub(crate) const fn bytes(&self) -> u64 {
        PAGE_SIZE + self.arena.bytes()
    }

    pub(crate) fn write(&self, arena: &Arena) -> Result<()> {
        Ok(self.device.write(self.arena.start().get(), &arena.bytes())?)
    }

    /// Has the assembly move pages.
    pub(crate) fn call(&self, head: u64, mover: u64, direction: Direction) -> Result<()> {
        let call = self.device.call([head, mover, direction as u64, 0, 0, 0], quiesce::NONE)?;
        ensure!(
            call.status == status::RETURNED,
            "the page mover ends in exception {} at {:#x}",
            call.fault.vector,
            call.fault.rip
        );
        Ok(())
    }

    /// Compares every byte of the window.
    pub(crate) fn compare(&self, expected: &Arena) -> Result<()> {
        let mut code = relocator::code().to_vec();
        code.resize(usize::try_from(PAGE_SIZE)?, 0);
        self.compare_from(self.code, &code)?;
        self.compare_from(self.arena.start().get(), &expected.bytes())
    }

    fn compare_from(&self, start: u64, expected: &[u8]) -> Result<()> {
        let mut found = vec![0; expected.len()];
        self.device.read(start, &mut found)?;
        if found == expected {
            return Ok(());
        }
        let offset = found.iter().zip(expected).take_while(|(found, expected)| found == expected).count();
        let page = start + offset as u64 / PAGE_SIZE * PAGE_SIZE;
        bail!(
            "page {page:#x} differs from the model at offset {:#x}: {:#04x} instead of {:#04x}",
            offset as u64 % PAGE_SIZE,
            found[offset],
            expected[offset]
        )
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.vouched { "reserved from the kernel" } else { "claimed from the kernel" };
        let pages = self.arena.pages() + 1;
        write!(f, "window of {pages} pages at {:#x}, {kind}", self.code)
    }
}
