// SPDX-License-Identifier: GPL-2.0-only
//! The kernel's services, as `seam.h` declares them, made safe to use.

use core::cell::UnsafeCell;
use core::mem::{ManuallyDrop, size_of};
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use abi::device::Range;
use phys::{Pfn, PhysRange};

use crate::failure::Failure;

unsafe extern "C" {
    fn kjg_alloc(order: u32, low: bool) -> u64;
    fn kjg_free(page: u64);
    fn kjg_claim_range(start: u64, end: u64) -> bool;
    fn kjg_claim_low(start: u64, end: u64) -> bool;
    fn kjg_free_block(start: u64);
    fn kjg_lock();
    fn kjg_unlock();
    fn kjg_virtual(physical: u64) -> *mut u8;
    fn kjg_text_physical(address: u64) -> u64;
    fn kjg_array_alloc(bytes: u64) -> *mut u8;
    fn kjg_array_free(array: *mut u8);
    fn kjg_ram_ranges(ranges: *mut Range, capacity: u64) -> u64;
    fn kjg_total_pages() -> u64;
    fn kjg_copy_in(to: *mut u8, from: u64, bytes: u64, user: bool) -> i32;
    fn kjg_copy_out(to: u64, from: *const u8, bytes: u64, user: bool) -> i32;
    fn kjg_pause() -> bool;
    fn kjg_has_register(number: u32) -> bool;
    fn kjg_gigabyte_pages() -> bool;
    fn kjg_guard_facts(facts: *mut GuardFacts) -> bool;
    fn kjg_bug() -> !;
}

/// Takes 2^`order` neighbouring page frames, below 4 GiB if `low`.
pub fn alloc(order: u32, low: bool) -> Option<Pfn> {
    // SAFETY: no preconditions but that the task may sleep, which it may wherever images are built.
    let address = unsafe { kjg_alloc(order, low) };
    if address == 0 { None } else { Pfn::starting_at(address) }
}

/// Gives one page frame back.
///
/// # Safety
/// The frame came from [`alloc`], [`claim_range`] or [`claim_low`], and nobody uses it.
pub unsafe fn free(frame: Pfn) {
    // SAFETY: the caller's promise.
    unsafe { kjg_free(frame.address().get()) };
}

/// Takes these frames, which are System RAM, away from whoever uses them, if the kernel can move those elsewhere.
pub fn claim_range(range: PhysRange) -> bool {
    // SAFETY: the kernel refuses what it cannot give.
    unsafe { kjg_claim_range(range.start().get(), range.end()) }
}

/// Takes these frames, which are in the kernel's zone for ISA DMA, if all of them are free.
pub fn claim_low(range: PhysRange) -> bool {
    // SAFETY: free pages are taken, and those not wanted given back.
    unsafe { kjg_claim_low(range.start().get(), range.end()) }
}

/// Gives a whole block back.
///
/// # Safety
/// One [`claim_range`] took all of its frames, and nobody uses any of them.
pub unsafe fn free_block(start: u64) {
    // SAFETY: the caller's promise.
    unsafe { kjg_free_block(start) };
}

/// A value for one task at a time. There is one lock for all of them, so a task locks one of them at most.
pub struct Locked<T>(UnsafeCell<T>);

// SAFETY: `lock` is the only way to the value.
unsafe impl<T> Sync for Locked<T> {}

impl<T> Locked<T> {
    /// Nobody has locked it.
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Waits until nobody else has it. May sleep.
    pub fn lock(&'static self) -> Guard<T> {
        // SAFETY: tasks only, which may sleep.
        unsafe { kjg_lock() };
        Guard(self)
    }
}

/// The right to a locked value, as long as it lives.
pub struct Guard<T: 'static>(&'static Locked<T>);

impl<T> Deref for Guard<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held.
        unsafe { &*self.0.0.get() }
    }
}

impl<T> DerefMut for Guard<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held, and the borrow of `self` is the only one.
        unsafe { &mut *self.0.0.get() }
    }
}

impl<T> Drop for Guard<T> {
    fn drop(&mut self) {
        // SAFETY: the lock is held.
        unsafe { kjg_unlock() };
    }
}

/// Where the kernel reaches a frame that it gave.
pub fn virtual_address(frame: Pfn) -> *mut u8 {
    // SAFETY: arithmetic.
    unsafe { kjg_virtual(frame.address().get()) }
}

/// The frame that holds a page of the module's text.
pub fn text_frame(address: u64) -> Option<Pfn> {
    // SAFETY: walks the kernel's page tables.
    Pfn::starting_at(unsafe { kjg_text_physical(address) })
}

/// The memory the kernel manages, in pages.
pub fn total_pages() -> u64 {
    // SAFETY: reads a counter.
    unsafe { kjg_total_pages() }
}

/// Lets others run, and freezes while the system does. False if the task is being killed.
pub fn pause() -> bool {
    // SAFETY: no preconditions but that the task may sleep.
    unsafe { kjg_pause() }
}

/// Whether the CPU has a model-specific register.
pub fn has_register(number: u32) -> bool {
    // SAFETY: reads a register, catching the exception.
    unsafe { kjg_has_register(number) }
}

/// Whether the CPU has pages of 1 GiB.
pub fn gigabyte_pages() -> bool {
    // SAFETY: reads a flag.
    unsafe { kjg_gigabyte_pages() }
}

/// What is to be known to guard an image: `struct kjg_guard_facts`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct GuardFacts {
    /// Physical address of the local APIC's registers, 0 if they are model-specific ones.
    pub apic: u64,
    /// APIC identifier of a CPU that can run the image.
    pub cpu: u64,
    /// Ticks of the time stamp counter in a millisecond.
    pub tsc_khz: u64,
}

/// What is to be known to guard an image; `None` if it cannot be done here.
pub fn guard_facts() -> Option<GuardFacts> {
    let mut facts = GuardFacts { apic: 0, cpu: 0, tsc_khz: 0 };
    // SAFETY: writes to `facts`.
    unsafe { kjg_guard_facts(&raw mut facts) }.then_some(facts)
}

/// Ends the task, and with it what went wrong.
pub fn bug() -> ! {
    // SAFETY: does not return.
    unsafe { kjg_bug() }
}

/// Memory of the caller of the module: user space, or the kernel.
#[derive(Clone, Copy)]
pub struct CallerMemory {
    /// Whether addresses are user space's.
    pub user: bool,
}

impl CallerMemory {
    /// Copies from the caller. False if the address is bad.
    pub fn read(self, from: u64, to: &mut [u8]) -> bool {
        // SAFETY: writes the bytes of `to`; a bad user address is an error, a kernel caller vouches for its own.
        unsafe { kjg_copy_in(to.as_mut_ptr(), from, to.len() as u64, self.user) == 0 }
    }

    /// Copies to the caller. False if the address is bad.
    pub fn write(self, to: u64, from: &[u8]) -> bool {
        // SAFETY: reads the bytes of `from`; addresses as above.
        unsafe { kjg_copy_out(to, from.as_ptr(), from.len() as u64, self.user) == 0 }
    }

    /// Copies an array from the caller.
    pub fn read_array<T: Plain>(self, from: u64, count: u64) -> Result<Array<T>, Failure> {
        let mut array = Array::<T>::new(count)?;
        if self.read(from, array.as_bytes_mut()) { Ok(array) } else { Err(Failure::bad_pointer(from)) }
    }
}

/// The ranges of System RAM.
pub fn ram_ranges() -> Result<Array<Range>, Failure> {
    // SAFETY: with capacity 0 the pointer is not used.
    let mut count = unsafe { kjg_ram_ranges(core::ptr::null_mut(), 0) };
    loop {
        let mut ranges = Array::<Range>::new(count)?;
        // SAFETY: there is room for as many as we say.
        let now = unsafe { kjg_ram_ranges(ranges.as_mut_ptr(), count) };
        if now <= count {
            ranges.truncate(now);
            return Ok(ranges);
        }
        count = now;
    }
}

/// Types of which every pattern of bits is a value.
///
/// # Safety
/// All-zero memory is a value, and so is whatever a caller writes.
pub unsafe trait Plain: Copy {}

// SAFETY: made of `u64`s.
unsafe impl Plain for Range {}
// SAFETY: made of `u64`s.
unsafe impl Plain for abi::device::Segment {}

/// An array in the kernel's memory, sized once.
pub struct Array<T> {
    start: NonNull<T>,
    length: usize,
}

impl<T: Plain> Array<T> {
    /// `count` zeroed elements.
    pub fn new(count: u64) -> Result<Self, Failure> {
        let no_memory = Failure::no_memory(count.saturating_mul(size_of::<T>() as u64));
        // SAFETY: zeroes are a value of `T`.
        unsafe { Self::zeroed(count) }.ok_or(no_memory)
    }

    fn as_bytes_mut(&mut self) -> &mut [u8] {
        let bytes = self.length * size_of::<T>();
        // SAFETY: the array's own bytes; any bytes are a value of `T`.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr().cast(), bytes) }
    }
}

impl<T: Copy> Array<T> {
    /// An array made from another, element by element; `make` may refuse.
    pub fn from_each<S: Copy>(
        from: &[S],
        no_memory: Failure,
        mut make: impl FnMut(usize, S) -> Result<T, Failure>,
    ) -> Result<Self, Failure> {
        // SAFETY: every element is written below, or the array is dropped without being read.
        let array = unsafe { Self::zeroed(from.len() as u64) }.ok_or(no_memory)?;
        for (index, element) in from.iter().enumerate() {
            let made = make(index, *element)?;
            // SAFETY: `index` is below the length.
            unsafe { array.start.as_ptr().add(index).write(made) };
        }
        Ok(array)
    }

    /// An array of the first `count` elements of an iterator, or of all if it has fewer.
    pub fn from_iterator(count: usize, elements: &mut dyn Iterator<Item = T>) -> Result<Self, Failure> {
        let no_memory = Failure::no_memory((count as u64).saturating_mul(size_of::<T>() as u64));
        // SAFETY: the array is as long as elements are written.
        let mut array = unsafe { Self::zeroed(count as u64) }.ok_or(no_memory)?;
        let mut written = 0;
        for element in elements.take(count) {
            // SAFETY: fewer than `count` were written before.
            unsafe { array.start.as_ptr().add(written).write(element) };
            written += 1;
        }
        array.length = written;
        Ok(array)
    }

    /// # Safety
    /// Elements are not read before they are written, unless zeroes are a value of `T`.
    unsafe fn zeroed(count: u64) -> Option<Self> {
        let bytes = count.checked_mul(size_of::<T>() as u64)?;
        let length = usize::try_from(count).ok()?;
        if bytes == 0 {
            return Some(Self { start: NonNull::dangling(), length });
        }
        // SAFETY: no preconditions; the allocator aligns to 8 at least, more than any `T` here wants.
        let start = NonNull::new(unsafe { kjg_array_alloc(bytes) }.cast::<T>())?;
        Some(Self { start, length })
    }

    fn truncate(&mut self, length: u64) {
        self.length = usize::try_from(length).unwrap_or(self.length).min(self.length);
    }
}

impl<T> Deref for Array<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `length` elements were made.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl<T> DerefMut for Array<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: `length` elements were made.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl<T> Drop for Array<T> {
    fn drop(&mut self) {
        if self.start != NonNull::dangling() {
            // SAFETY: allocated by `zeroed`.
            unsafe { kjg_array_free(self.start.as_ptr().cast()) };
        }
    }
}

/// One value in the kernel's memory.
pub struct Boxed<T>(NonNull<T>);

impl<T> Boxed<T> {
    /// The value again if there is no memory.
    pub fn new(value: T) -> Result<Self, T> {
        // SAFETY: no preconditions; the allocator aligns to 8 at least.
        match NonNull::new(unsafe { kjg_array_alloc(size_of::<T>() as u64) }.cast::<T>()) {
            Some(place) => {
                // SAFETY: fresh memory of the right size.
                unsafe { place.write(value) };
                Ok(Self(place))
            }
            None => Err(value),
        }
    }

    /// For the C half, which gives it back to [`Self::from_pointer`].
    pub fn into_pointer(self) -> NonNull<T> {
        ManuallyDrop::new(self).0
    }

    /// What [`Self::into_pointer`] gave.
    ///
    /// # Safety
    /// It is given back once, and nobody else uses it.
    pub unsafe fn from_pointer(place: NonNull<T>) -> Self {
        Self(place)
    }
}

impl<T> Deref for Boxed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: a value was written when it was made.
        unsafe { self.0.as_ref() }
    }
}

impl<T> DerefMut for Boxed<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and it is ours alone.
        unsafe { self.0.as_mut() }
    }
}

impl<T> Drop for Boxed<T> {
    fn drop(&mut self) {
        // SAFETY: nobody uses it any more.
        unsafe {
            self.0.drop_in_place();
            kjg_array_free(self.0.as_ptr().cast());
        }
    }
}
