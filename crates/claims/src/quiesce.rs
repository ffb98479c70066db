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
}

/// Why a call cannot be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The image is dead.
    Dead,
    /// The deadline is too late for the guard, or there is no guard.
    Deadline,
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
    if !deadline_is_possible(facts, deadline) {
        return Err(Refusal::Deadline);
    }
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

const fn deadline_is_possible(facts: &Facts, deadline: u64) -> bool {
    match facts.guard_khz {
        Some(khz) => ticks(deadline, khz).is_some(),
        None => deadline == 0,
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

    const FREE: Facts =
        Facts { dead: false, guard_khz: None, in_use: false, virtualization_in_the_way: false };
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
    fn a_deadline_needs_a_guard_and_must_fit_its_counter() {
        for wish in WISHES {
            assert_eq!(decide(&FREE, wish, 1), Err(Refusal::Deadline));
            assert_eq!(decide(&GUARDED, wish, u64::MAX / KHZ + 1), Err(Refusal::Deadline));
        }
        assert_eq!(decide(&GUARDED, Some(Wish::Auto), u64::MAX / KHZ), Ok(Level::Suspend));
        assert_eq!(decide(&GUARDED, Some(Wish::Auto), 0), Ok(Level::Suspend));
    }
}
