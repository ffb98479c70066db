//! How far the system is quiesced for a call, and whether the call can be made at all.

/// The part of the system that is stopped around a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// None of it; interrupts are off on this CPU.
    None,
    /// The other CPUs: they wait.
    Stop,
    /// All of it: devices are suspended and the other CPUs are off.
    Suspend,
}

/// The caller's choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// The lowest level that works.
    Auto,
    /// This level.
    Exactly(Level),
}

/// The facts that the decision depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its last call ended so that it cannot be called again.
    pub dead: bool,
    /// A guard runs it on another CPU; the rate of the time stamp counter in kHz.
    pub guard_khz: Option<u64>,
    /// Its destinations hold pages that the kernel uses.
    pub in_use: bool,
    /// It needs the CPU out of 64-bit mode, which virtual machines on this CPU prevent. Suspending
    /// ends them.
    pub virtualization_in_the_way: bool,
    /// Another CPU can stop it at a deadline, except while the system is suspended; the rate of the
    /// time stamp counter in kHz.
    pub watch_khz: Option<u64>,
    /// A timer can stop it at a deadline of at most this number of milliseconds; 0 if none can.
    pub timer_limit: u64,
}

/// Why a call cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The image is dead.
    Dead,
    /// The deadline is too late to be counted by the guard.
    Deadline,
    /// Nothing can stop the image at this deadline; the longest possible one in milliseconds, 0 if
    /// none is.
    NoDeadline(u64),
    /// The level does not exist, or it is too low for a guarded image.
    Level,
    /// Its pages are in use.
    InUse,
    /// Virtual machines keep the CPU in 64-bit mode.
    Virtualization,
}

/// The level for a call with a deadline in milliseconds (0: none). `wish` is `None` if the caller
/// asks for a level that does not exist.
///
/// # Errors
/// Why the call cannot be made.
pub fn decide(facts: &Facts, wish: Option<Wish>, deadline: u64) -> Result<Level, Refusal> {
    if facts.dead {
        return Err(Refusal::Dead);
    }
    if facts.guard_khz.is_some_and(|khz| ticks(deadline, khz).is_none()) {
        return Err(Refusal::Deadline);
    }
    let level = level(facts, wish)?;
    match longest_deadline(facts, level) {
        longest if deadline > longest => Err(Refusal::NoDeadline(longest)),
        _ => Ok(level),
    }
}

fn level(facts: &Facts, wish: Option<Wish>) -> Result<Level, Refusal> {
    let quick = check_quick(facts);
    match wish {
        Some(Wish::Exactly(Level::Suspend)) => Ok(Level::Suspend),
        // The CPU that is to run the image must be off.
        Some(Wish::Auto) if facts.guard_khz.is_some() => Ok(Level::Suspend),
        Some(Wish::Exactly(_)) if facts.guard_khz.is_some() => Err(Refusal::Level),
        Some(Wish::Auto) => Ok(quick.map_or(Level::Suspend, |()| Level::None)),
        Some(Wish::Exactly(level)) => quick.map(|()| level),
        None => Err(Refusal::Level),
    }
}

/// Ticks of the time stamp counter in a number of milliseconds.
#[must_use]
pub const fn ticks(milliseconds: u64, khz: u64) -> Option<u64> {
    milliseconds.checked_mul(khz)
}

/// In milliseconds.
fn longest_deadline(facts: &Facts, level: Level) -> u64 {
    match (level, facts.guard_khz, facts.watch_khz) {
        (Level::None | Level::Stop, _, Some(khz)) | (_, Some(khz), _) => {
            u64::MAX.checked_div(khz).unwrap_or(0) / 2
        }
        _ => facts.timer_limit,
    }
}

/// Whether the image may be called while the kernel is up.
const fn check_quick(facts: &Facts) -> Result<(), Refusal> {
    if facts.in_use {
        Err(Refusal::InUse)
    } else if facts.virtualization_in_the_way {
        Err(Refusal::Virtualization)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: Facts = Facts {
        dead: false,
        guard_khz: None,
        in_use: false,
        virtualization_in_the_way: false,
        watch_khz: None,
        timer_limit: 0,
    };
    const IN_USE: Facts = Facts { in_use: true, ..FREE };
    const VIRTUAL: Facts = Facts { virtualization_in_the_way: true, ..FREE };
    const BOTH: Facts = Facts { in_use: true, ..VIRTUAL };
    const KHZ: u64 = 2_000_000;
    const GUARDED: Facts = Facts { guard_khz: Some(KHZ), ..FREE };
    const WISHES: [Option<Wish>; 5] = [
        Some(Wish::Auto),
        Some(Wish::Exactly(Level::None)),
        Some(Wish::Exactly(Level::Stop)),
        Some(Wish::Exactly(Level::Suspend)),
        None,
    ];

    #[test]
    fn the_table_of_levels_is_complete() {
        use Level::{None as Quick, Stop, Suspend};
        use Refusal::{InUse, Level as BadLevel, Virtualization};
        // Columns: auto, none, stop, suspend, a level that does not exist.
        let table = [
            (FREE, [Ok(Quick), Ok(Quick), Ok(Stop), Ok(Suspend), Err(BadLevel)]),
            (IN_USE, [Ok(Suspend), Err(InUse), Err(InUse), Ok(Suspend), Err(BadLevel)]),
            (VIRTUAL, [Ok(Suspend), Err(Virtualization), Err(Virtualization), Ok(Suspend), Err(BadLevel)]),
            (BOTH, [Ok(Suspend), Err(InUse), Err(InUse), Ok(Suspend), Err(BadLevel)]),
        ];
        for (facts, expected) in table {
            assert_eq!(WISHES.map(|wish| decide(&facts, wish, 0)), expected, "{facts:?}");
            let guarded = Facts { guard_khz: Some(KHZ), ..facts };
            let suspends = [Ok(Suspend), Err(BadLevel), Err(BadLevel), Ok(Suspend), Err(BadLevel)];
            assert_eq!(WISHES.map(|wish| decide(&guarded, wish, 1000)), suspends, "{guarded:?}");
            let dead = Facts { dead: true, ..facts };
            assert_eq!(WISHES.map(|wish| decide(&dead, wish, 0)), [Err(Refusal::Dead); 5], "{dead:?}");
        }
    }

    #[test]
    fn a_deadline_must_fit_the_counter_of_a_guard() {
        for wish in WISHES {
            assert_eq!(decide(&GUARDED, wish, u64::MAX / KHZ + 1), Err(Refusal::Deadline));
        }
        assert_eq!(decide(&GUARDED, Some(Wish::Auto), u64::MAX / KHZ / 2), Ok(Level::Suspend));
        assert_eq!(decide(&GUARDED, Some(Wish::Auto), 0), Ok(Level::Suspend));
    }

    #[test]
    fn a_deadline_needs_something_that_stops_the_image_at_that_level() {
        use Level::{None as Quick, Stop, Suspend};
        let at = |facts: &Facts, level, deadline| decide(facts, Some(Wish::Exactly(level)), deadline);
        let watched = Facts { watch_khz: Some(KHZ), ..FREE };
        let timed = Facts { timer_limit: 5000, ..FREE };
        let both = Facts { timer_limit: 5000, ..watched };
        for level in [Quick, Stop, Suspend] {
            assert_eq!(at(&FREE, level, 1), Err(Refusal::NoDeadline(0)));
            assert_eq!(at(&FREE, level, 0), Ok(level));
            assert_eq!(at(&timed, level, 5000), Ok(level));
            assert_eq!(at(&timed, level, 5001), Err(Refusal::NoDeadline(5000)));
        }
        for level in [Quick, Stop] {
            assert_eq!(at(&watched, level, 1 << 40), Ok(level));
            assert_eq!(at(&both, level, 1 << 40), Ok(level));
            assert!(matches!(at(&watched, level, u64::MAX), Err(Refusal::NoDeadline(1..))));
        }
        assert_eq!(at(&watched, Suspend, 1), Err(Refusal::NoDeadline(0)));
        assert_eq!(at(&both, Suspend, 5001), Err(Refusal::NoDeadline(5000)));
        // The level is decided first.
        assert_eq!(at(&Facts { in_use: true, ..FREE }, Quick, 1), Err(Refusal::InUse));
        let free = Facts { in_use: true, ..watched };
        assert_eq!(decide(&free, Some(Wish::Auto), 1), Err(Refusal::NoDeadline(0)));
    }
}
