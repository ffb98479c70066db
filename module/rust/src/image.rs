// SPDX-License-Identifier: GPL-2.0-only
//! A loaded image: built from a request, entered, read and written.

use abi::device::{
    Call, Diagnosis, ImageInfo, List, Load, Notes, Range, SlotRun, Ticks, Transfer, load_flag, mode, quiesce, reason, status,
};
use core::mem::{offset_of, size_of_val};
use kimage::paging::{Levels, Tables};
use kimage::{Image, Rules, SealedImage, Segment, Zone};
use phys::{PAGE_SIZE, Pfn, PhysRange, RangeSet};
use relocator::{ControlPage, GuardPages, GuardSetup, Setup, entry_offset, gate};

use crate::cpu;
use crate::failure::Failure;
use crate::frames::KernelFrames;
use crate::kernel::{self, Array, CallerMemory, GuardFacts};
use crate::ranges::Destinations;
use crate::trial;

/// A loaded image. Fields are dropped in their order: what is borrowed comes last.
pub struct Loaded {
    /// Borrows `_segments`.
    sealed: SealedImage<'static, KernelFrames>,
    _segments: Array<Segment>,
    control: Pfn,
    guard: Option<Guard>,
    /// Ended in a way that leaves nothing to call.
    dead: bool,
    mode: u64,
    entry: u64,
    in_use: u64,
    first_in_use: u64,
    /// Where the image has room for notes about the calling CPU: address and bytes, within a page.
    notes: Option<(u64, u64)>,
    /// Where the CPU's state is kept during a call.
    state: Option<cpu::State>,
}

/// The image's stack, exceptions' included: 2^3 pages.
const STACK_ORDER: u32 = 3;

impl Loaded {
    /// Loads what the request says, and writes into it what it says of the outcome.
    pub fn load(request: &mut Load, memory: CallerMemory) -> Result<Self, Failure> {
        check_fields(request)?;
        let raw = read_segments(request, memory)?;
        let ranges = Destinations::gather(request, memory)?;
        let mut segments = make_segments(&raw)?;
        // Code that is there already, firmware's, need not be in a segment.
        let entry = (!ranges.vouches_for(request.entry)).then_some(request.entry);
        let rules = Rules { allowed: ranges.allowed(), entry, max_pages: kernel::total_pages() };
        let frames = KernelFrames::new(pages_of(&raw), ranges.claims(request, &raw)?);
        // SAFETY: the slice is borrowed by `sealed` alone, and outlives it: see the order of the fields.
        let borrowed: &'static mut [Segment] = unsafe { &mut *core::ptr::from_mut(&mut *segments) };
        let mut image = Image::new(borrowed, &rules, frames)?;
        let control = image.support(0, zone(request))?;
        build(image, segments, control, request, memory, &ranges)
    }

    /// Loads the image that tries the movers, and returns the page list they are tried on.
    pub fn load_trial() -> Result<(Self, u64), Failure> {
        let memory = CallerMemory { user: false };
        let destinations = Destinations::gather(&Load::default(), memory)?;
        let rules = Rules { allowed: destinations.allowed(), entry: None, max_pages: 0 };
        let mut image = Image::new(&mut [], &rules, KernelFrames::new(0, None))?;
        let list = trial::prepare(&mut image)?;
        let control = image.support(0, Zone::Any)?;
        let mut request = trial::request(control);
        let loaded = build(image, Array::from_iterator(0, &mut core::iter::empty())?, control, &mut request, memory, &destinations)?;
        Ok((loaded, list))
    }

    /// The level that a call gets.
    pub fn quiesce(&self, call: &Call) -> Result<u64, Failure> {
        if self.dead {
            return Err(Failure::new(reason::DEAD, [0; 3]));
        }
        let Some(guard) = &self.guard else { return self.quiesce_unguarded(call) };
        if guard.ticks(call.deadline).is_none() {
            return Err(Failure::bad_field(offset_of!(Call, deadline), call.deadline));
        }
        // The CPU that is to run the image must be off.
        match call.quiesce {
            quiesce::SUSPEND | quiesce::AUTO => Ok(quiesce::SUSPEND),
            asked => Err(Failure::bad_field(offset_of!(Call, quiesce), asked)),
        }
    }

    fn quiesce_unguarded(&self, call: &Call) -> Result<u64, Failure> {
        let asked = call.quiesce;
        if call.deadline != 0 {
            return Err(Failure::bad_field(offset_of!(Call, deadline), call.deadline));
        }
        match asked {
            quiesce::SUSPEND => Ok(quiesce::SUSPEND),
            quiesce::AUTO => Ok(self.check_quick().map_or(quiesce::SUSPEND, |()| quiesce::NONE)),
            quiesce::NONE | quiesce::STOP => self.check_quick().map(|()| asked),
            _ => Err(Failure::bad_field(offset_of!(Call, quiesce), asked)),
        }
    }

    /// Whether the image may be called while the kernel is up. Suspending ends virtualization.
    fn check_quick(&self) -> Result<(), Failure> {
        if self.in_use != 0 {
            let numbers = [self.first_in_use, self.in_use, self.sealed.pages()];
            return Err(Failure::new(reason::PAGE_IN_USE, numbers));
        }
        if self.mode == mode::PROTECTED && cpu::runs_virtual_machines() {
            return Err(Failure::new(reason::VIRTUALIZATION_ON, [0; 3]));
        }
        Ok(())
    }

    /// Calls the image.
    ///
    /// # Safety
    /// Interrupts are off, the FPU is the caller's to use, the GDT is the writable one, and nobody but the image uses
    /// its destinations until this returns.
    pub unsafe fn enter(&mut self, call: &mut Call) {
        let page: *mut ControlPage = kernel::virtual_address(self.control).cast();
        // SAFETY: the control page is the image's own.
        unsafe { (*page).prepare(call.arguments) };
        if let Some(guard) = &self.guard {
            guard.prepare(call.deadline);
        }
        let before = now();
        let state = self.state.insert(cpu::State::save());
        // SAFETY: `build` installed the page with an identity map; the rest is the caller's promise. The state is put
        // back before anything else.
        unsafe {
            gate::enter(page, self.control.address().get());
            state.restore();
        }
        // SAFETY: the control page is the image's own again.
        let table = unsafe { &(*page).table };
        call.value = table.value;
        call.value_high = table.value_high;
        call.status = table.status;
        call.fault = table.fault;
        call.ticks = ticks(before, table.stamps, now());
        self.dead = self.guard.is_some() && matches!(table.status, status::FAULT | status::DEADLINE);
        if table.status == status::RETURNED && self.mode == mode::LONG {
            self.entry = table.next_entry;
            // SAFETY: as above.
            unsafe { (*page).table.entry = self.entry };
        }
    }

    /// Moves bytes between the caller and the image, and stops at the first bad address.
    pub fn transfer(&mut self, request: &Transfer, write: bool, memory: CallerMemory) -> Result<(), Failure> {
        self.check_inside(request)?;
        let mut done = 0;
        while done < request.length {
            let address = request.address + done;
            let within = address % PAGE_SIZE;
            let length = (PAGE_SIZE - within).min(request.length - done);
            let bytes = self.bytes_at(address, within, length).ok_or_else(|| not_inside(request))?;
            let theirs = request.buffer.wrapping_add(done);
            let good = if write { memory.read(theirs, bytes) } else { memory.write(theirs, bytes) };
            if !good {
                return Err(Failure::bad_pointer(theirs));
            }
            done += length;
            if !self.sealed.frames_mut().pause_now_and_then() {
                self.sealed.frames_mut().interrupted = false;
                let numbers = [done / PAGE_SIZE, request.length / PAGE_SIZE, 0];
                return Err(Failure::new(reason::INTERRUPTED, numbers));
            }
        }
        Ok(())
    }

    /// Lists the slots as runs, as many as the caller has room for, and counts all.
    pub fn slots(&mut self, list: &mut List, memory: CallerMemory) -> Result<(), Failure> {
        let mut runs = Runs { memory, entries: list.entries, capacity: list.capacity, count: 0, last: None };
        let pages = self.sealed.pages();
        let mut done = 0;
        let visited = self.sealed.visit(|frames, slot| {
            done += 1;
            if !frames.pause_now_and_then() {
                frames.interrupted = false;
                return Err(Failure::new(reason::INTERRUPTED, [done, pages, 0]));
            }
            runs.add(slot.destination.address().get(), slot.source.address().get())
        });
        visited.and_then(|()| runs.end())?;
        list.count = runs.count;
        Ok(())
    }

    /// Remembers where there is room for notes.
    pub fn make_room(&mut self, request: &Notes) -> Result<(), Failure> {
        let &Notes { address, length, .. } = request;
        if !address.is_multiple_of(4) {
            return Err(Failure::bad_field(offset_of!(Notes, address), address));
        }
        if length < Notes::ROOM || length > PAGE_SIZE - address % PAGE_SIZE {
            return Err(Failure::bad_field(offset_of!(Notes, length), length));
        }
        let within = address % PAGE_SIZE;
        self.bytes_at(address, within, length).ok_or(Failure::new(reason::NOT_IN_IMAGE, [address, length, 0]))?;
        self.notes = Some((address, length));
        Ok(())
    }

    /// Writes a note where there is room for it, and zeroes behind.
    pub fn leave_note(&mut self, note: &[u8]) {
        if let Some((address, length)) = self.notes
            && let Some(room) = self.bytes_at(address, address % PAGE_SIZE, length)
            && let Some((place, rest)) = room.split_at_mut_checked(note.len())
        {
            place.copy_from_slice(note);
            rest.fill(0);
        }
    }

    /// What there is to say about the image.
    pub fn describe(&self, info: &mut ImageInfo) {
        info.mode = self.mode;
        info.entry = self.entry;
        info.ranges = self.sealed.segments().len() as u64;
        info.pages = self.sealed.pages();
        info.claimed = self.sealed.claimed();
        info.in_use = self.in_use;
        info.support_frames = self.sealed.support_frames();
    }

    /// Whether another CPU runs it.
    pub const fn is_guarded(&self) -> bool {
        self.guard.is_some()
    }

    /// A destination range, by its place in rising order.
    pub fn range(&self, number: u64) -> Option<Range> {
        let segment = self.sealed.segments().get(usize::try_from(number).ok()?)?;
        Some(Range { start: segment.mem, end: segment.mem + segment.memsz })
    }

    /// All bytes, before any is moved.
    fn check_inside(&mut self, request: &Transfer) -> Result<(), Failure> {
        let end = request.address.checked_add(request.length).ok_or_else(|| not_inside(request))?;
        let mut page = request.address & !(PAGE_SIZE - 1);
        while page < end && request.length != 0 {
            let found = Pfn::starting_at(page).and_then(|frame| self.sealed.source_of(frame));
            found.ok_or_else(|| not_inside(request))?;
            page += PAGE_SIZE;
        }
        Ok(())
    }

    fn bytes_at(&mut self, address: u64, within: u64, length: u64) -> Option<&mut [u8]> {
        let source = self.sealed.source_of(Pfn::starting_at(address - within)?)?;
        let bytes = self.sealed.frames_mut().bytes(source);
        bytes.get_mut(usize::try_from(within).ok()?..usize::try_from(within + length).ok()?)
    }
}

/// Runs of slots on their way to the caller.
struct Runs {
    memory: CallerMemory,
    entries: u64,
    capacity: u64,
    count: u64,
    last: Option<SlotRun>,
}

impl Runs {
    fn add(&mut self, destination: u64, source: u64) -> Result<(), Failure> {
        if let Some(run) = &mut self.last {
            let behind = run.pages * PAGE_SIZE;
            if run.destination + behind == destination && run.source + behind == source {
                run.pages += 1;
                return Ok(());
            }
        }
        self.end()?;
        self.last = Some(SlotRun { destination, source, pages: 1 });
        Ok(())
    }

    /// Gives the caller the run at hand.
    fn end(&mut self) -> Result<(), Failure> {
        let Some(run) = self.last.take() else { return Ok(()) };
        let place = self.entries.wrapping_add(self.count.wrapping_mul(size_of::<SlotRun>() as u64));
        let words = [run.destination, run.source, run.pages].map(u64::to_ne_bytes);
        if self.count < self.capacity && !self.memory.write(place, words.as_flattened()) {
            return Err(Failure::bad_pointer(place));
        }
        self.count += 1;
        Ok(())
    }
}

fn check_fields(request: &Load) -> Result<(), Failure> {
    const KNOWN: u64 =
        load_flag::CLAIM | load_flag::CALL_ON_PANIC | load_flag::GUARD | load_flag::GUARDED_FROM_THERE;
    let way_back = request.flags & (load_flag::CALL_ON_PANIC | load_flag::GUARDED_FROM_THERE);
    if request.flags & !KNOWN != 0 || way_back == load_flag::GUARDED_FROM_THERE {
        return Err(Failure::bad_field(offset_of!(Load, flags), request.flags));
    }
    match request.mode {
        mode::PROTECTED if is_guarded(request) => Err(Failure::bad_field(offset_of!(Load, mode), request.mode)),
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

fn not_inside(request: &Transfer) -> Failure {
    Failure::new(reason::NOT_IN_IMAGE, [request.address, request.length, 0])
}

/// More segments than pages of memory cannot all own pages.
fn read_segments(request: &Load, memory: CallerMemory) -> Result<Array<abi::device::Segment>, Failure> {
    let count = request.segment_count;
    if count > kernel::total_pages() {
        return Err(Failure::bad_field(offset_of!(Load, segment_count), count));
    }
    memory.read_array(request.segments, count)
}

/// The pages of segments that are not checked yet; more than there are do no harm.
fn pages_of(raw: &[abi::device::Segment]) -> u64 {
    raw.iter().fold(0, |sum: u64, segment| sum.saturating_add(segment.memsz / PAGE_SIZE))
}

fn make_segments(raw: &[abi::device::Segment]) -> Result<Array<Segment>, Failure> {
    let no_memory = Failure::no_memory(size_of_val(raw) as u64);
    Array::from_each(raw, no_memory, |index, segment| {
        // There are fewer segments than pages of memory, which are fewer than 2^32 up to 16 TiB.
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        Ok(Segment::new(index, segment.buf, segment.bufsz, segment.mem, segment.memsz))
    })
}

/// Everything that is not a destination, then the sources, then their contents.
fn build(
    mut image: Image<'static, KernelFrames>,
    segments: Array<Segment>,
    control: Pfn,
    request: &mut Load,
    memory: CallerMemory,
    ranges: &Destinations,
) -> Result<Loaded, Failure> {
    let support = Support::take(&mut image, control, request, ranges)?;
    let mut sealed = image.seal()?;
    sealed.frames_mut().end_taking();
    fill(&mut sealed, memory)?;
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
        _segments: segments,
        control: support.control,
        guard: support.guard,
        dead: false,
        mode: request.mode,
        entry: request.entry,
        in_use,
        first_in_use,
        notes: None,
        state: None,
    })
}

/// Without paging, and from real mode, what the relocator needs must be in reach of 32 bits.
fn zone(request: &Load) -> Zone {
    if request.mode == mode::PROTECTED || is_guarded(request) { Zone::Below4GiB } else { Zone::Any }
}

/// What the relocator needs besides the page list.
struct Support {
    control: Pfn,
    stack: Pfn,
    tables: Tables,
    guard: Option<Guard>,
}

impl Support {
    fn take(
        image: &mut Image<'static, KernelFrames>,
        control: Pfn,
        request: &Load,
        ranges: &Destinations,
    ) -> Result<Self, Failure> {
        let zone = zone(request);
        let stack = image.support(STACK_ORDER, zone)?;
        let guard = if is_guarded(request) { Some(Guard::take(image, ranges)?) } else { None };
        let tables = Tables::new(image, levels(), kernel::gigabyte_pages(), zone)?;
        for range in ranges.allowed().ranges() {
            tables.map_identity(image, *range)?;
        }
        if let Ok(low) = PhysRange::from_bytes(0, LOW_MEMORY) {
            tables.map_identity(image, low)?;
        }
        if let Ok(entry) = PhysRange::around_bytes(request.entry, 1) {
            tables.map_identity(image, entry)?;
        }
        if let Some(registers) = guard.as_ref().and_then(Guard::registers) {
            tables.map_identity(image, registers)?;
        }
        let gate = gate::address() & !(PAGE_SIZE - 1);
        if let Some(frame) = kernel::text_frame(gate) {
            tables.map_page(image, gate, frame)?;
        }
        Ok(Self { control, stack, tables, guard })
    }

    fn install(&self, sealed: &mut SealedImage<'static, KernelFrames>, request: &Load) {
        let setup = Setup {
            control_page: self.control.address().get(),
            identity_cr3: self.tables.root().address().get(),
            page_list: sealed.head(),
            stack_end: self.stack.address().get() + (PAGE_SIZE << STACK_ORDER),
            entry: request.entry,
            mode: request.mode,
            mover: trial::best(),
            guard: self.guard.as_ref().map_or(0, |guard| guard.pages.address().get()),
        };
        let page: *mut ControlPage = kernel::virtual_address(self.control).cast();
        // SAFETY: the frame is the image's own, and any bytes are a control page.
        unsafe { (*page).install(&setup) };
        if let Some(guard) = &self.guard {
            guard.install(setup.control_page);
        }
    }
}

/// What the CPU that guards an image needs.
struct Guard {
    pages: Pfn,
    facts: GuardFacts,
    low_page: u64,
}

/// The guard's pages: 2^1.
const GUARD_ORDER: u32 = 1;
/// Behind is what firmware uses, and then adapters' memory.
const REAL_MODE_END: u64 = 0xa0000;

impl Guard {
    fn take(image: &mut Image<'static, KernelFrames>, ranges: &Destinations) -> Result<Self, Failure> {
        let none = || Failure::new(reason::NO_GUARD, [0; 3]);
        let facts = kernel::guard_facts().ok_or_else(none)?;
        let low = ranges.ram().ranges().iter().take_while(|range| range.end() <= REAL_MODE_END).last();
        let low_page = low.ok_or_else(none)?.end() - PAGE_SIZE;
        Ok(Self { pages: image.support(GUARD_ORDER, Zone::Below4GiB)?, facts, low_page })
    }

    /// The page of the local APIC's registers, if they are in memory.
    fn registers(&self) -> Option<PhysRange> {
        PhysRange::around_bytes(Some(self.facts.apic).filter(|&address| address != 0)?, 1).ok()
    }

    fn page(&self) -> *mut GuardPages {
        kernel::virtual_address(self.pages).cast()
    }

    fn install(&self, control_page: u64) {
        let setup = GuardSetup {
            pages: self.pages.address().get(),
            control_page,
            apic: self.facts.apic,
            cpu: self.facts.cpu,
            low_page: self.low_page,
            microsecond: self.facts.tsc_khz / 1000,
        };
        // SAFETY: the frames are the image's own, and any bytes are the guard's pages.
        unsafe { (*self.page()).install(&setup) };
    }

    fn prepare(&self, deadline: u64) {
        // SAFETY: as above; `quiesce` refused what are too many ticks.
        unsafe { (*self.page()).prepare(self.ticks(deadline).unwrap_or(0)) };
    }

    /// Ticks in so many milliseconds.
    fn ticks(&self, milliseconds: u64) -> Option<u64> {
        milliseconds.checked_mul(self.facts.tsc_khz)
    }
}

/// Firmware's data and code: mapped though it is not all RAM.
const LOW_MEMORY: u64 = 1 << 20;

const CR4_LA57: u64 = 1 << 12;

/// How many levels of page tables the kernel runs with.
pub fn levels() -> Levels {
    if cpu::read_cr4() & CR4_LA57 != 0 { Levels::Five } else { Levels::Four }
}

/// The segments' bytes, then zeroes, into the source pages.
fn fill(sealed: &mut SealedImage<'static, KernelFrames>, memory: CallerMemory) -> Result<(), Failure> {
    let pages = sealed.pages();
    let mut done = 0;
    sealed.visit(|frames, slot| {
        if !frames.pause_now_and_then() {
            return Err(Failure::new(reason::INTERRUPTED, [done, pages, 0]));
        }
        done += 1;
        let from = slot.segment.buf.wrapping_add(slot.offset);
        let length = usize::try_from(slot.bytes_from_buffer()).unwrap_or(0);
        let (data, zeroes) = frames.bytes(slot.source).split_at_mut(length);
        zeroes.fill(0);
        if data.is_empty() || memory.read(from, data) { Ok(()) } else { Err(Failure::bad_pointer(from)) }
    })
}

/// Destination pages that the kernel uses: how many, and the first one's address, or all ones.
fn count_in_use(sealed: &mut SealedImage<'static, KernelFrames>, vouched: RangeSet<'_>) -> (u64, u64) {
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

/// The time stamp counter.
fn now() -> u64 {
    // SAFETY: reads a counter that every 64-bit CPU has.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// The phases that are known here; the caller knows the others.
fn ticks(before: u64, stamps: [u64; 4], after: u64) -> Ticks {
    let [exchange, call, returned, exchanged] = stamps;
    Ticks {
        quiesce: 0,
        enter: call.wrapping_sub(before),
        run: returned.wrapping_sub(call),
        leave: after.wrapping_sub(returned),
        resume: 0,
        exchange: call.wrapping_sub(exchange).wrapping_add(exchanged.wrapping_sub(returned)),
    }
}

/// The outcome as an errno, with the diagnosis written down.
pub fn report(result: Result<(), Failure>, diagnosis: &mut Diagnosis) -> i32 {
    match result {
        Ok(()) => 0,
        Err(failure) => failure.report(diagnosis),
    }
}
