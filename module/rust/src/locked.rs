// SPDX-License-Identifier: GPL-2.0-only
//! Values shared by all tasks.

use core::cell::UnsafeCell;
use core::ops::{Deref, DerefMut};

use crate::kernel;

/// A value for one task at a time. There is one lock for all of them, so a task holds at most one.
pub struct Locked<T>(UnsafeCell<T>);

// SAFETY: `lock` is the only way to the value.
unsafe impl<T> Sync for Locked<T> {}

impl<T> Locked<T> {
    /// Not held by a task.
    pub const fn new(value: T) -> Self {
        Self(UnsafeCell::new(value))
    }

    /// Waits for other tasks to release it. May sleep.
    pub fn lock(&'static self) -> Held<T> {
        kernel::lock();
        Held(self)
    }
}

/// Exclusive access to a locked value, released on drop.
pub struct Held<T: 'static>(&'static Locked<T>);

impl<T> Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the lock is held.
        unsafe { &*self.0.0.get() }
    }
}

impl<T> DerefMut for Held<T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: the lock is held, and the borrow of `self` is the only one.
        unsafe { &mut *self.0.0.get() }
    }
}

impl<T> Drop for Held<T> {
    fn drop(&mut self) {
        // SAFETY: `lock` took it, and this access ends here.
        unsafe { kernel::unlock() };
    }
}
