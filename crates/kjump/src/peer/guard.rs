//! The CPU that guards a kernel, which must leave that one alone.

use std::path::Path;

use abi::device::feature;
use anyhow::bail;

use crate::device;
use crate::terminal::quantity;

/// What a kernel that is guarded finds in its command line.
pub(crate) const GUARDED: &str = "kexec_jump_back_guard=";

/// A CPU that guards the kernel that is to be booted, or the one that boots it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    /// None.
    None,
    /// One that guards this kernel, by its APIC identifier.
    OfThisKernel(u64),
    /// One that will guard the other kernel.
    OfTheOther(u64),
}

impl Guard {
    /// Which it is, if a deadline was asked for.
    pub(super) fn find(deadline: Option<u64>) -> anyhow::Result<Self> {
        let line = machine::kernel::command_line(Path::new("/"))?;
        match (deadline, guard_of(&line)) {
            (None, None) => Ok(Self::None),
            (None, Some(cpu)) => Ok(Self::OfThisKernel(cpu)),
            (Some(_), None) => this_cpu().map(Self::OfTheOther),
            (Some(_), Some(_)) => {
                bail!("--deadline: this kernel is guarded itself, and its guard would take both down as one")
            }
        }
    }

    /// What the kernel that is booted is told. An INIT sent to the CPU that the machine started with, as is to start a
    /// CPU, would start the machine anew; kernels from 6.9 on see for themselves which that is.
    pub(super) fn parameters(self) -> String {
        match self {
            Self::None => String::new(),
            Self::OfThisKernel(cpu) => format!(" disable_cpu_apicid={cpu}"),
            Self::OfTheOther(cpu) => format!(" disable_cpu_apicid={cpu} {GUARDED}{cpu}"),
        }
    }
}

/// The CPU that guards the kernel with this command line; the last word counts.
pub(crate) fn guard_of(line: &[u8]) -> Option<u64> {
    let line = String::from_utf8_lossy(line);
    line.split_whitespace().filter_map(|word| word.strip_prefix(GUARDED)).next_back()?.parse().ok()
}

fn this_cpu() -> anyhow::Result<u64> {
    let info = device::open()?.info()?;
    if info.features & feature::GUARD != 0 {
        return Ok(info.guard_cpu);
    }
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64);
    bail!(
        "--deadline: the kernel cannot be guarded here. That takes a second CPU (there is {}), a kernel that runs on \
         the CPU the machine started with, and a time stamp counter whose rate is known",
        quantity::count(cpus, "CPU")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guarded_kernel_knows_its_guard_by_the_last_word() {
        assert_eq!(guard_of(b"quiet kexec_jump_back_guard=1 kexec_jump_back_guard=16\n"), Some(16));
        assert_eq!(guard_of(b"kexec_jump_back_guard=x"), None);
        assert_eq!(guard_of(Guard::OfTheOther(3).parameters().as_bytes()), Some(3));
        assert_eq!(guard_of(Guard::OfThisKernel(3).parameters().as_bytes()), None);
    }
}
