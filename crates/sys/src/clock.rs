//! The clock that images are stamped with.

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds since the machine booted, time spent suspended included (`CLOCK_BOOTTIME`): the
/// clock of [`abi::device::ImageInfo::loaded_at`].
#[must_use]
pub fn nanoseconds_since_boot() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    let part = |number: i64| u64::try_from(number).unwrap_or(0);
    part(now.tv_sec).saturating_mul(1_000_000_000).saturating_add(part(now.tv_nsec))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_clock_does_not_go_back() {
        let earlier = super::nanoseconds_since_boot();
        assert!(earlier > 0);
        assert!(super::nanoseconds_since_boot() >= earlier);
    }
}
