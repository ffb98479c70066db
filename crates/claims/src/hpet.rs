//! Which timer of the HPET can raise an NMI, and by which pin of the I/O APIC.
//!
//! IA-PC HPET specification 1.0a, 2.3. With legacy replacement, timers 0 and 1 have the interrupts
//! of the first PCs' timer and clock; any other can choose from a set of pins.

/// Bits of a timer's configuration register.
const LEVEL: u64 = 1 << 1;
const ENABLED: u64 = 1 << 2;
const PERIODIC: u64 = 1 << 3;
const NARROW: u64 = 1 << 8;
const ROUTE_SHIFT: u32 = 9;
const ROUTE: u64 = 0x1f << ROUTE_SHIFT;
const MESSAGES: u64 = 1 << 14;
const PINS_SHIFT: u32 = 32;
/// Bits that can be written.
const WRITABLE: u64 = 0xffff;

/// The machine's timers.
#[derive(Clone, Copy, Debug)]
pub struct Timers<'timers> {
    /// Their configuration registers.
    pub configurations: &'timers [u64],
    /// Legacy replacement is on.
    pub legacy: bool,
    /// The pins of the I/O APIC that are masked: a bit for each.
    pub masked: u32,
    /// The pin of ISA interrupt 0.
    pub timer_pin: u32,
}

/// A timer that is not in use.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Its number.
    pub timer: u32,
    /// The pin its interrupts arrive at.
    pub pin: u32,
    /// Its configuration while it counts, once, 32 bits wide.
    pub configuration: u32,
}

/// The timer to use: one with a pin of its own if possible, else the one that replaces the PC's
/// timer, which kernels use at boot only where the local APIC has a timer.
#[must_use]
pub fn choose(timers: &Timers<'_>) -> Option<Choice> {
    let replaced = if timers.legacy { 2 } else { 0 };
    let routed = || free(timers).filter(move |(number, _)| *number >= replaced);
    let own = routed().find_map(|(number, configuration)| {
        let pins = pins(configuration) & timers.masked;
        (pins != 0).then(|| choice(number, configuration, pins.trailing_zeros()))
    });
    let of_timer = || free(timers).find(|(number, _)| timers.legacy && *number == 0);
    let shared = || {
        routed().find(|(_, configuration)| {
            pins(*configuration).checked_shr(timers.timer_pin).unwrap_or(0) & 1 == 1
        })
    };
    own.or_else(|| {
        let (number, configuration) = of_timer().or_else(shared)?;
        Some(choice(number, configuration, timers.timer_pin))
    })
}

/// The timers whose interrupts are off, with their numbers.
fn free<'timers>(timers: &Timers<'timers>) -> impl Iterator<Item = (u32, u64)> + use<'timers> {
    (0..).zip(timers.configurations.iter().copied()).filter(|(_, configuration)| configuration & ENABLED == 0)
}

#[allow(clippy::cast_possible_truncation, reason = "the upper half is wanted")]
const fn pins(configuration: u64) -> u32 {
    (configuration >> PINS_SHIFT) as u32
}

#[allow(clippy::cast_possible_truncation, reason = "16 bits are kept")]
const fn choice(timer: u32, configuration: u64, pin: u32) -> Choice {
    let kept = configuration & WRITABLE & !(LEVEL | PERIODIC | ROUTE | MESSAGES);
    let route = (pin as u64) << ROUTE_SHIFT & ROUTE;
    Choice { timer, pin, configuration: (kept | route | NARROW | ENABLED) as u32 }
}

/// The longest time in milliseconds that a counter of this rate can measure, in a comparator of 32
/// bits, half of which count as past.
#[must_use]
pub const fn longest(khz: u64) -> u64 {
    match (1_u64 << 31).checked_div(khz) {
        Some(milliseconds) => milliseconds,
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn timer(pins: u64) -> u64 {
        pins << PINS_SHIFT | 0x30
    }

    fn chosen(configurations: &[u64], legacy: bool, masked: u32) -> Option<(u32, u32)> {
        let choice = choose(&Timers { configurations, legacy, masked, timer_pin: 2 })?;
        Some((choice.timer, choice.pin))
    }

    #[test]
    fn a_timer_with_a_free_pin_comes_first() {
        let q35 = [timer(0xff_0104); 3];
        assert_eq!(chosen(&q35, true, 0xff_0000), Some((2, 16)));
        assert_eq!(chosen(&q35, false, 0x80_0000), Some((0, 23)));
    }

    #[test]
    fn the_replaced_timer_comes_second() {
        let piix = [timer(4); 3];
        assert_eq!(chosen(&piix, true, 0xff_0000), Some((0, 2)));
        assert_eq!(chosen(&[timer(4) | ENABLED, timer(4), timer(4)], true, 0), Some((2, 2)));
        assert_eq!(chosen(&[timer(4) | ENABLED, timer(4)], true, 0), None);
        assert_eq!(chosen(&[timer(1 << 20)], false, 0), None);
        assert_eq!(chosen(&[], true, !0), None);
    }

    #[test]
    fn a_chosen_timer_counts_once_and_sends_edges() {
        let configurations = [timer(1 << 20) | LEVEL | PERIODIC | MESSAGES | 3 << ROUTE_SHIFT];
        let timers = Timers { configurations: &configurations, legacy: false, masked: !0, timer_pin: 2 };
        let configuration = u64::from(choose(&timers).unwrap().configuration);
        assert_eq!(configuration, 0x30 | ENABLED | NARROW | 20 << ROUTE_SHIFT);
    }

    #[test]
    fn half_of_a_comparator_is_the_future() {
        assert_eq!(longest(100_000), 21_474);
        assert_eq!(longest(0), 0);
    }
}
