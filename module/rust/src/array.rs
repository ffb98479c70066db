// SPDX-License-Identifier: GPL-2.0-only
//! Arrays and single values in the kernel's memory.

use core::mem::{ManuallyDrop, size_of};
use core::ops::{Deref, DerefMut};
use core::ptr::NonNull;

use abi::device::Range;

use crate::failure::Failure;
use crate::kernel;

/// Types for which every bit pattern is a value.
///
/// # Safety
/// All-zero memory is a value, and so is whatever a caller writes.
pub unsafe trait Plain: Copy {}

// SAFETY: made of `u64`s.
unsafe impl Plain for Range {}
// SAFETY: made of `u64`s.
unsafe impl Plain for abi::device::Segment {}
// SAFETY: made of `u64`s.
unsafe impl Plain for abi::device::Piece {}
// SAFETY: every bit pattern is a number.
unsafe impl Plain for u64 {}

/// An array of fixed size.
pub struct Array<T> {
    start: NonNull<T>,
    length: usize,
}

impl<T: Plain> Array<T> {
    /// `count` zeroed elements.
    pub fn new(count: u64) -> Result<Self, Failure> {
        let no_memory = Failure::no_memory(count.saturating_mul(size_of::<T>() as u64));
        // SAFETY: zeros are a value of `T`.
        unsafe { Self::zeroed(count) }.ok_or(no_memory)
    }

    /// The array's bytes.
    pub fn as_bytes_mut(&mut self) -> &mut [u8] {
        let bytes = self.length * size_of::<T>();
        // SAFETY: the array's own bytes; any bytes are a value of `T`.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr().cast(), bytes) }
    }
}

impl<T: Copy> Array<T> {
    /// Makes an array from another, element by element; `make` may refuse.
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

    /// Collects the first `count` elements of an iterator, or all if it has fewer.
    pub fn from_iterator(count: usize, elements: &mut dyn Iterator<Item = T>) -> Result<Self, Failure> {
        let no_memory = Failure::no_memory((count as u64).saturating_mul(size_of::<T>() as u64));
        // SAFETY: the array ends after the elements that were written.
        let mut array = unsafe { Self::zeroed(count as u64) }.ok_or(no_memory)?;
        let mut written = 0;
        for element in elements.take(count) {
            // SAFETY: fewer than `count` elements were written.
            unsafe { array.start.as_ptr().add(written).write(element) };
            written += 1;
        }
        array.length = written;
        Ok(array)
    }

    /// # Safety
    /// Elements are not read before they are written, unless zeros are a value of `T`.
    unsafe fn zeroed(count: u64) -> Option<Self> {
        let bytes = count.checked_mul(size_of::<T>() as u64)?;
        let length = usize::try_from(count).ok()?;
        if bytes == 0 {
            return Some(Self { start: NonNull::dangling(), length });
        }
        // The allocator aligns to at least 8 bytes, enough for every `T` here.
        let start = kernel::allocate(bytes)?.cast::<T>();
        Some(Self { start, length })
    }

    /// Drops the elements from number `length` on.
    pub fn truncate(&mut self, length: u64) {
        self.length = usize::try_from(length).unwrap_or(self.length).min(self.length);
    }
}

impl<T> Deref for Array<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `length` elements were written.
        unsafe { core::slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl<T> DerefMut for Array<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: `length` elements were written.
        unsafe { core::slice::from_raw_parts_mut(self.start.as_ptr(), self.length) }
    }
}

impl<T> AsRef<[T]> for Array<T> {
    fn as_ref(&self) -> &[T] {
        self
    }
}

impl<T> AsMut<[T]> for Array<T> {
    fn as_mut(&mut self) -> &mut [T] {
        self
    }
}

impl<T> Drop for Array<T> {
    fn drop(&mut self) {
        if self.start != NonNull::dangling() {
            // SAFETY: allocated by `zeroed`.
            unsafe { kernel::release(self.start.cast()) };
        }
    }
}

/// One value.
pub struct Boxed<T>(NonNull<T>);

impl<T> Boxed<T> {
    /// Returns the value if there is no memory for it.
    pub fn new(value: T) -> Result<Self, T> {
        // The allocator aligns to at least 8 bytes.
        match kernel::allocate(size_of::<T>() as u64) {
            Some(place) => {
                let place = place.cast::<T>();
                // SAFETY: fresh memory of the right size.
                unsafe { place.write(value) };
                Ok(Self(place))
            }
            None => Err(value),
        }
    }

    /// For the C half, which returns it to [`Self::from_pointer`].
    pub fn into_pointer(self) -> NonNull<T> {
        ManuallyDrop::new(self).0
    }

    /// Takes back a pointer from [`Self::into_pointer`].
    ///
    /// # Safety
    /// It is taken back once and not used otherwise.
    pub unsafe fn from_pointer(place: NonNull<T>) -> Self {
        Self(place)
    }
}

impl<T> Deref for Boxed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: `new` wrote a value.
        unsafe { self.0.as_ref() }
    }
}

impl<T> DerefMut for Boxed<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above, and this is the only reference.
        unsafe { self.0.as_mut() }
    }
}

impl<T> Drop for Boxed<T> {
    fn drop(&mut self) {
        // SAFETY: the value is not used after this.
        unsafe {
            self.0.drop_in_place();
            kernel::release(self.0.cast());
        }
    }
}
