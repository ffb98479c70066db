// SPDX-License-Identifier: GPL-2.0-only
//! Why a request fails: a reason, and its errno.

use abi::device::{Diagnosis, reason};
use abi::errno::{EADDRNOTAVAIL, EBUSY, EFAULT, EINTR, EINVAL, ENOMEM, EOPNOTSUPP, EOWNERDEAD};
use kimage::Error;

/// A reason and its numbers.
#[derive(Clone, Copy)]
pub struct Failure(Diagnosis);

impl Failure {
    /// A reason with up to three numbers.
    pub const fn new(reason: u64, numbers: [u64; 3]) -> Self {
        let [a, b, c] = numbers;
        Self(Diagnosis { reason, numbers: [a, b, c, 0, 0] })
    }

    /// A field of the request, named by its offset, has an invalid value.
    pub const fn bad_field(offset: usize, value: u64) -> Self {
        Self::new(reason::BAD_FIELD, [offset as u64, value, 0])
    }

    /// No memory for an array or the like.
    pub const fn no_memory(bytes: u64) -> Self {
        Self::new(reason::NO_MEMORY, [bytes, 0, 0])
    }

    /// The caller's memory at this address is bad.
    pub const fn bad_pointer(address: u64) -> Self {
        Self::new(reason::BAD_POINTER, [address, 0, 0])
    }

    /// Stores the reason and returns -errno: that of `kexec_load(2)` for the same mistake, where it
    /// has one.
    pub fn report(self, diagnosis: &mut Diagnosis) -> i32 {
        *diagnosis = self.0;
        -self.errno()
    }

    fn errno(self) -> i32 {
        match self.0.reason {
            reason::NO_MEMORY => ENOMEM,
            reason::BAD_POINTER => EFAULT,
            reason::INTERRUPTED => EINTR,
            reason::PAGE_IN_USE | reason::VIRTUALIZATION_ON => EBUSY,
            reason::NO_GUARD | reason::NO_DEADLINE => EOPNOTSUPP,
            reason::DEAD => EOWNERDEAD,
            reason::ENTRY_TOO_HIGH | reason::VOUCHED_RAM | reason::BAD_VOUCHED | reason::NOT_IN_IMAGE => {
                EADDRNOTAVAIL
            }
            reason::IMAGE_FIRST..=reason::IMAGE_LAST => self.image_errno(),
            _ => EINVAL,
        }
    }

    fn image_errno(self) -> i32 {
        let [a, b, c, d, _] = self.0.numbers;
        match u32::try_from(self.0.reason).ok().and_then(|reason| Error::from_numbers(reason, [a, b, c, d])) {
            Some(Error::NoMemory { .. } | Error::TooManyPages { .. }) => ENOMEM,
            Some(Error::Overlap { .. } | Error::BufferTooLong { .. }) => EINVAL,
            Some(Error::List { .. } | Error::BadFrame { .. }) | None => EINVAL,
            Some(_) => EADDRNOTAVAIL,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let [a, b, c, d] = error.numbers();
        Self(Diagnosis { reason: u64::from(error.reason()), numbers: [a, b, c, d, 0] })
    }
}
