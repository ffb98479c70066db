//! Interrupts that an image met, which belong to the kernel.

/// General protection, the exception of an interrupt whose gate is beyond the end of the interrupt
/// descriptor table.
const GENERAL_PROTECTION: u64 = 13;
/// The error code: the event was external, not an instruction, and its index is one of the
/// interrupt descriptor table. Intel SDM volume 3, 6.13.
const EXTERNAL: u64 = 1 << 0;
const IN_IDT: u64 = 1 << 1;
const INDEX_SHIFT: u32 = 3;
/// Vectors below are exceptions.
const FIRST_INTERRUPT: u64 = 32;

/// The local APIC's in-service register: a bit for each vector.
pub type InService = [u32; 8];

/// The vector of the interrupt that ended an image, if its exception was caused by one: if the
/// interrupt descriptor table has gates for exceptions only, the CPU raises a general protection
/// fault instead.
#[must_use]
pub fn behind_fault(vector: u64, error_code: u64, in_service: &InService) -> Option<u64> {
    let index = (error_code & 0xffff) >> INDEX_SHIFT;
    if vector != GENERAL_PROTECTION || error_code & IN_IDT == 0 || index < FIRST_INTERRUPT {
        return None;
    }
    // QEMU leaves `EXTERNAL` out, and counts 64-bit gates twice.
    let half = index.is_multiple_of(2).then_some(index / 2);
    let is_in_service = |vector: &u64| {
        let word = usize::try_from(vector / 32).ok().and_then(|word| in_service.get(word));
        word.is_some_and(|word| word >> (vector % 32) & 1 == 1)
    };
    let in_service = [Some(index), half].into_iter().flatten().find(is_in_service);
    in_service.or((error_code & EXTERNAL != 0).then_some(index))
}

/// Whether an image took the interrupt of the kernel's timer as its own. The timer ran out, its
/// register in the local vector table is `timer`, and its interrupt may still be `pending`. Intel
/// SDM volume 3, figure 11-8.
#[must_use]
pub const fn was_taken(timer: u32, pending: bool) -> bool {
    const MASKED: u32 = 1 << 16;
    const MODE: u32 = 3 << 17;
    const PERIODIC: u32 = 1 << 17;
    timer & MASKED == 0 && timer & MODE != PERIODIC && !pending
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: InService = [0; 8];

    #[test]
    fn an_interrupt_without_a_gate_is_recognised() {
        assert_eq!(behind_fault(13, 0xec << 3 | 3, &NONE), Some(0xec));
        assert_eq!(behind_fault(13, 32 << 3 | 3, &NONE), Some(32));
        assert_eq!(behind_fault(13, 255 << 3 | 3, &NONE), Some(255));
    }

    #[test]
    fn an_interrupt_in_service_is_recognised_without_the_external_bit() {
        let mut in_service = NONE;
        in_service[7] = 1 << 12;
        assert_eq!(behind_fault(13, 0xec << 3 | 2, &in_service), Some(0xec));
        assert_eq!(behind_fault(13, 0xed << 3 | 2, &in_service), None);
        assert_eq!(behind_fault(13, 0x1fff << 3 | 2, &in_service), None);
        assert_eq!(behind_fault(13, 0xec << 4 | 2, &in_service), Some(0xec), "QEMU");
    }

    #[test]
    fn other_faults_are_not_interrupts() {
        assert_eq!(behind_fault(13, 0, &NONE), None);
        assert_eq!(behind_fault(13, 0xec << 3 | 2, &NONE), None, "an INT instruction");
        assert_eq!(behind_fault(13, 0xec << 3 | 1, &NONE), None, "a selector");
        assert_eq!(behind_fault(13, 14 << 3 | 3, &NONE), None, "an exception");
        assert_eq!(behind_fault(11, 0xec << 3 | 3, &NONE), None, "segment not present");
    }

    #[test]
    fn only_a_timer_that_fires_once_can_be_taken() {
        const ONE_SHOT: u32 = 0xec;
        const DEADLINE: u32 = 0xec | 2 << 17;
        assert!(was_taken(ONE_SHOT, false));
        assert!(was_taken(DEADLINE, false));
        assert!(!was_taken(ONE_SHOT, true));
        assert!(!was_taken(0xec | 1 << 17, false), "periodic");
        assert!(!was_taken(ONE_SHOT | 1 << 16, false), "masked");
    }
}
