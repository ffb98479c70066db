//! What a panicking kernel does to return to the kernel that started it.

/// The steps, in this order. Without `hand_over` the CPU that panicked returns itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Steps {
    /// Keep devices from writing to memory and from interrupting.
    pub silence_devices: bool,
    /// Send the other CPUs an INIT: they were stopped in this kernel's text, which is about to be
    /// exchanged.
    pub park_cpus: bool,
    /// Have the first CPU return.
    pub hand_over: bool,
}

/// The steps of a panic on this CPU. The other kernel was left on its first CPU, so only that one
/// can return. If the other kernel guards this one, it does all of this itself.
#[must_use]
pub const fn steps(guarded: bool, cpu: u32) -> Steps {
    let first = cpu == 0;
    Steps { silence_devices: !guarded, park_cpus: !guarded && first, hand_over: !guarded && !first }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cpu_parks_the_others_and_returns() {
        assert_eq!(steps(false, 0), Steps { silence_devices: true, park_cpus: true, hand_over: false });
    }

    #[test]
    fn another_cpu_hands_over_to_the_first() {
        assert_eq!(steps(false, 3), Steps { silence_devices: true, park_cpus: false, hand_over: true });
    }

    #[test]
    fn a_guarded_kernel_returns_at_once_from_any_cpu() {
        let at_once = Steps { silence_devices: false, park_cpus: false, hand_over: false };
        assert_eq!([steps(true, 0), steps(true, 3)], [at_once; 2]);
    }
}
