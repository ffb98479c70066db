//! What the command line of a kernel says about its future, before it is booted.

use anyhow::bail;
use phys::PhysRange;
use plan::linux::parameters;

use crate::terminal::number;

/// Refuses a command line with which the kernel cannot run in its window.
pub(super) fn check(line: &[u8], window: PhysRange) -> anyhow::Result<()> {
    let limits = parameters::of_kernel(line).filter(|parameter| parameter.is_named(b"mem"));
    for limit in limits.filter_map(|parameter| std::str::from_utf8(parameter.value()?).ok()) {
        if number::size(limit).is_ok_and(|limit| limit < window.end()) {
            let (start, end) = (window.start().get(), window.end());
            bail!(
                "mem={limit} on its command line hides memory of its window, {start:#x}-{:#x}, from the \
                 kernel; leave it out, as --memory limits its memory, or use at least mem={end:#x}",
                end - 1
            );
        }
    }
    Ok(())
}

/// What may keep the kernel from returning, a line each. `can_guard` is whether a guard is possible
/// and there is none.
pub(crate) fn advice(line: &[u8], can_guard: bool) -> Vec<String> {
    let mut advice = Vec::new();
    let locked = parameters::of_kernel(line).filter(|parameter| parameter.is_named(b"lockdown")).last();
    if let Some(level) = locked.and_then(|parameter| std::str::from_utf8(parameter.value()?).ok()) {
        advice.push(format!(
            "with lockdown={level} the kernel loads signed modules only: it can return only if kjump.ko is \
             signed for it"
        ));
    }
    if can_guard {
        const HANGS: &str = "without --deadline, this machine has to be reset if the kernel hangs; \
            use it at least the first time a kernel is booted";
        advice.push(HANGS.into());
    }
    advice
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_limits_below_the_windows_end_are_refused() {
        let window = PhysRange::from_bytes(0x1000_0000, 0x800_0000).unwrap();
        for line in ["", "mem=512M", "mem=0x18000000", "mem=384M quiet", "a=mem=1M", "mem", "mem=nopentium"] {
            check(line.as_bytes(), window).unwrap();
        }
        for line in ["mem=64M", "quiet mem=300M", "mem=0x17fff000", "mem=4G mem=1M"] {
            let error = check(line.as_bytes(), window).unwrap_err().to_string();
            assert!(error.contains("0x10000000-0x17ffffff") && error.contains("mem=0x18000000"), "{error}");
        }
    }

    #[test]
    fn what_may_keep_a_kernel_from_returning_is_said() {
        assert_eq!(advice(b"quiet", false), [""; 0]);
        let both = advice(b"lockdown=integrity lockdown=confidentiality", true);
        assert!(both[0].contains("lockdown=confidentiality") && both[1].contains("--deadline"), "{both:?}");
    }
}
