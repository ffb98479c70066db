// SPDX-License-Identifier: GPL-2.0-only
//! From a request to a loaded image.

use abi::device::{Load, load_flag, mode, reason};
use core::mem::{offset_of, size_of_val};
use kimage::paging::Tables;
use kimage::{Rules, Segment, Zone};
use phys::{PAGE_SIZE, Pfn, PhysRange, RangeSet};
use relocator::{ControlPage, Setup, entry_offset, gate};

use crate::array::Array;
use crate::caller::CallerMemory;
use crate::failure::Failure;
use crate::frames::KernelFrames;
use crate::kernel;
use crate::ranges::Destinations;
use crate::trial;

use super::guard::Guard;
use super::unwritten::Unwritten;
use super::{Image, Loaded, Sealed, levels};

/// The image's stack and the exception stacks: 2^3 pages.
const STACK_ORDER: u32 = 3;
/// Firmware's data and code: mapped though it is not all RAM.
const LOW_MEMORY: u64 = 1 << 20;

impl Loaded {
    /// Loads an image, and fills in the request's results.
    pub fn load(request: &mut Load, memory: CallerMemory) -> Result<Self, Failure> {
        check_fields(request)?;
        let raw = read_segments(request, memory)?;
        let ranges = Destinations::gather(request, memory)?;
        let segments = make_segments(&raw)?;
        // Existing code, such as firmware, need not be in a segment.
        let entry = (!ranges.vouches_for(request.entry)).then_some(request.entry);
        let rules = Rules { allowed: ranges.allowed(), entry, max_pages: kernel::available_pages() };
        let frames = KernelFrames::new(pages_of(&raw), ranges.claims(request, &raw)?);
        let mut image = Image::new(segments, &rules, frames)?;
        let control = low_support(&mut image, 0, zone(request))?;
        build(image, control, request, memory, &ranges)
    }

    /// Loads the image that tries the movers, and returns the page list they are tried with.
    pub fn load_trial() -> Result<(Self, u64), Failure> {
        Self::load_without_segments(trial::prepare, |control, _| trial::request(control))
    }

    /// Loads the image that tries the timer.
    pub fn load_timer_trial() -> Result<Self, Failure> {
        Self::load_without_segments(trial::prepare_timer, |_, code| trial::timer_request(code))
            .map(|(loaded, _)| loaded)
    }

    /// Loads an image that consists of what `prepare` takes.
    fn load_without_segments(
        prepare: fn(&mut Image) -> Result<u64, kimage::Error>,
        request: fn(Pfn, u64) -> Load,
    ) -> Result<(Self, u64), Failure> {
        let memory = CallerMemory { user: false };
        let destinations = Destinations::gather(&Load::default(), memory)?;
        let rules = Rules { allowed: destinations.allowed(), entry: None, max_pages: 0 };
        let segments = Array::from_iterator(0, &mut core::iter::empty())?;
        let mut image = Image::new(segments, &rules, KernelFrames::new(0, None))?;
        let prepared = prepare(&mut image)?;
        let control = image.support(0, Zone::Any)?;
        let mut request = request(control, prepared);
        let loaded = build(image, control, &mut request, memory, &destinations)?;
        Ok((loaded, prepared))
    }
}

fn check_fields(request: &Load) -> Result<(), Failure> {
    const KNOWN: u64 = load_flag::CLAIM
        | load_flag::CALL_ON_PANIC
        | load_flag::GUARD
        | load_flag::GUARDED_FROM_THERE
        | load_flag::UNFILLED;
    let return_flags = request.flags & (load_flag::CALL_ON_PANIC | load_flag::GUARDED_FROM_THERE);
    if request.flags & !KNOWN != 0 || return_flags == load_flag::GUARDED_FROM_THERE {
        return Err(Failure::bad_field(offset_of!(Load, flags), request.flags));
    }
    match request.mode {
        mode::PROTECTED if is_guarded(request) => {
            Err(Failure::bad_field(offset_of!(Load, mode), request.mode))
        }
        mode::LONG => Ok(()),
        mode::PROTECTED if request.entry >> 32 == 0 => Ok(()),
        mode::PROTECTED => Err(Failure::new(reason::ENTRY_TOO_HIGH, [request.entry, 0, 0])),
        other => Err(Failure::bad_field(offset_of!(Load, mode), other)),
    }
}

/// Whether the image runs on another CPU.
const fn is_guarded(request: &Load) -> bool {
    request.flags & load_flag::GUARD != 0
}

/// More segments than pages of memory cannot all own pages.
fn read_segments(request: &Load, memory: CallerMemory) -> Result<Array<abi::device::Segment>, Failure> {
    let count = request.segment_count;
    if count > kernel::total_pages() {
        return Err(Failure::bad_field(offset_of!(Load, segment_count), count));
    }
    memory.read_array(request.segments, count)
}

/// The number of pages of segments that are not checked yet; an excess is harmless.
fn pages_of(raw: &[abi::device::Segment]) -> u64 {
    raw.iter().fold(0, |sum: u64, segment| sum.saturating_add(segment.memsz / PAGE_SIZE))
}

fn make_segments(raw: &[abi::device::Segment]) -> Result<Array<Segment>, Failure> {
    let no_memory = Failure::no_memory(size_of_val(raw) as u64);
    Array::from_each(raw, no_memory, |index, segment| {
        // There are fewer segments than pages of memory: fewer than 2^32 up to 16 TiB.
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        Ok(Segment::new(index, segment.buf, segment.bufsz, segment.mem, segment.memsz))
    })
}

/// Takes support frames, then the sources, then fills in their contents.
fn build(
    mut image: Image,
    control: Pfn,
    request: &mut Load,
    memory: CallerMemory,
    ranges: &Destinations,
) -> Result<Loaded, Failure> {
    let support = Support::take(&mut image, control, request, ranges)?;
    let mut sealed = image.seal()?;
    sealed.frames_mut().end_supply();
    let unwritten = if request.flags & load_flag::UNFILLED == 0 {
        fill(&mut sealed, memory)?;
        None
    } else {
        Some(unfilled(&sealed)?)
    };
    let (in_use, first_in_use) = count_in_use(&mut sealed, ranges.vouched());
    support.install(&mut sealed, request);
    request.pages = sealed.pages();
    request.claimed = sealed.claimed();
    request.in_use = in_use;
    request.first_in_use = first_in_use;
    request.support_frames = sealed.support_frames();
    request.control_page = support.control.address().get();
    request.jump_back = request.control_page + entry_offset::jump_back() as u64;
    Ok(Loaded {
        sealed,
        control: support.control,
        guard: support.guard,
        dead: false,
        unwritten,
        mode: request.mode,
        entry: request.entry,
        in_use,
        first_in_use,
        state: None,
    })
}

/// Without paging, and from real mode, the relocator's memory must be within reach of 32 bits.
fn zone(request: &Load) -> Zone {
    if request.mode == mode::PROTECTED || is_guarded(request) { Zone::Below4GiB } else { Zone::Any }
}

/// Takes frames below 4 GiB if there are any, so that a peer kernel with another number of levels
/// of page tables can return: to change that number, the relocator leaves 64-bit mode.
fn low_support(image: &mut Image, order: u32, zone: Zone) -> Result<Pfn, kimage::Error> {
    image.support(order, Zone::Below4GiB).or_else(|error| match zone {
        Zone::Below4GiB => Err(error),
        Zone::Any => image.support(order, zone),
    })
}

/// Empty page tables, with their root below 4 GiB as above.
fn tables(image: &mut Image, zone: Zone) -> Result<Tables, kimage::Error> {
    let mut take = |zone| Tables::new(image, levels(), kernel::gigabyte_pages(), zone);
    let tables = take(Zone::Below4GiB).or_else(|error| match zone {
        Zone::Below4GiB => Err(error),
        Zone::Any => take(zone),
    })?;
    Ok(tables.then_from(zone))
}

/// The relocator's memory, apart from the page list.
struct Support {
    control: Pfn,
    stack: Pfn,
    tables: Tables,
    guard: Option<Guard>,
}

impl Support {
    fn take(image: &mut Image, control: Pfn, request: &Load, ranges: &Destinations) -> Result<Self, Failure> {
        let zone = zone(request);
        let stack = low_support(image, STACK_ORDER, zone)?;
        let guard = if is_guarded(request) { Some(Guard::take(image, ranges)?) } else { None };
        let tables = tables(image, zone)?;
        for range in ranges.allowed().ranges() {
            tables.map_identity(image, *range)?;
        }
        if let Ok(low) = PhysRange::from_bytes(0, LOW_MEMORY) {
            tables.map_identity(image, low)?;
        }
        if let Ok(entry) = PhysRange::around_bytes(request.entry, 1) {
            tables.map_identity(image, entry)?;
        }
        if let Some(registers) = kernel::timer_registers() {
            tables.map_identity(image, registers)?;
        }
        if let Some(registers) = guard.as_ref().and_then(Guard::registers) {
            tables.map_identity(image, registers)?;
        }
        let gate = gate::address() & !(PAGE_SIZE - 1);
        if let Some(frame) = kernel::text_frame(gate) {
            tables.map_page(image, gate, frame)?;
        }
        for frame in [control, last_frame(stack)] {
            tables.map_page(image, kernel::virtual_address(frame).addr() as u64, frame)?;
        }
        Ok(Self { control, stack, tables, guard })
    }

    fn install(&self, sealed: &mut Sealed, request: &Load) {
        let setup = Setup {
            control_page: self.control.address().get(),
            control_page_virtual: kernel::virtual_address(self.control).addr() as u64,
            crossing_nmi: gate::crossing_nmi(),
            identity_cr3: self.tables.root().address().get(),
            page_list: sealed.head(),
            stack_end: last_frame(self.stack).address().get() + PAGE_SIZE,
            stack_end_virtual: kernel::virtual_address(last_frame(self.stack)).addr() as u64 + PAGE_SIZE,
            entry: request.entry,
            mode: request.mode,
            mover: trial::best(),
            guard: self.guard.as_ref().map_or(0, Guard::address),
        };
        let page: *mut ControlPage = kernel::virtual_address(self.control).cast();
        // SAFETY: the frame is the image's own, and any bytes are a control page.
        unsafe { (*page).install(&setup) };
        if let Some(guard) = &self.guard {
            guard.install(setup.control_page);
        }
    }
}

/// The page in which the stack ends.
fn last_frame(stack: Pfn) -> Pfn {
    // Frames that were allocated together do not end before the last one.
    stack.checked_add((1 << STACK_ORDER) - 1).unwrap_or(stack)
}

/// An image whose pages are written later. Segments with bytes are refused.
fn unfilled(sealed: &Sealed) -> Result<Unwritten, Failure> {
    let mut end = 0;
    for segment in sealed.segments() {
        if segment.bufsz != 0 {
            return Err(Failure::bad_field(offset_of!(Load, flags), load_flag::UNFILLED));
        }
        end = end.max(segment.mem.saturating_add(segment.memsz));
    }
    Unwritten::new(sealed.pages(), end)
}

/// Writes the segments' bytes, then zeros, into the source pages.
fn fill(sealed: &mut Sealed, memory: CallerMemory) -> Result<(), Failure> {
    let pages = sealed.pages();
    let mut done = 0;
    sealed.visit(|frames, slot| {
        if !frames.pause_now_and_then() {
            return Err(Failure::new(reason::INTERRUPTED, [done, pages, 0]));
        }
        done += 1;
        let from = slot.segment.buf.wrapping_add(slot.offset);
        let length = usize::try_from(slot.bytes_from_buffer()).unwrap_or(0);
        let (data, zeros) = frames.bytes(slot.source).split_at_mut(length);
        zeros.fill(0);
        if data.is_empty() || memory.read(from, data) { Ok(()) } else { Err(Failure::bad_pointer(from)) }
    })
}

/// Destination pages that the kernel uses: their number, and the address of the first, or all ones.
fn count_in_use(sealed: &mut Sealed, vouched: RangeSet<'_>) -> (u64, u64) {
    let (mut count, mut first) = (0, u64::MAX);
    let _: Result<(), ()> = sealed.visit(|_, slot| {
        if slot.source != slot.destination && !vouched.contains(slot.destination) {
            count += 1;
            first = first.min(slot.destination.address().get());
        }
        Ok(())
    });
    (count, first)
}
