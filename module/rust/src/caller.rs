// SPDX-License-Identifier: GPL-2.0-only
//! Memory of the module's caller.

use crate::array::{Array, Plain};
use crate::failure::Failure;
use crate::kernel;

/// Memory of the module's caller: user space, or the kernel.
#[derive(Clone, Copy)]
pub struct CallerMemory {
    /// Whether addresses are user space's.
    pub user: bool,
}

impl CallerMemory {
    /// Copies from the caller. False if the address is bad.
    pub fn read(self, from: u64, to: &mut [u8]) -> bool {
        kernel::copy_in(to, from, self.user)
    }

    /// Copies to the caller. False if the address is bad.
    pub fn write(self, to: u64, from: &[u8]) -> bool {
        kernel::copy_out(to, from, self.user)
    }

    /// Copies an array from the caller.
    pub fn read_array<T: Plain>(self, from: u64, count: u64) -> Result<Array<T>, Failure> {
        let mut array = Array::<T>::new(count)?;
        if self.read(from, array.as_bytes_mut()) { Ok(array) } else { Err(Failure::bad_pointer(from)) }
    }
}
