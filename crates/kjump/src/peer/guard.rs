//! The guard: a CPU that watches another kernel, which must not use that CPU.

use std::path::Path;

use abi::device::feature;
use anyhow::bail;
use plan::linux::parameters;
use sys::Device;

use crate::device;
use crate::terminal::quantity;

/// The parameter in the command line of a guarded kernel.
pub(crate) const GUARDED: &str = "kexec_jump_back_guard";

/// Which kernel is guarded, and by which CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum GuardRole {
    /// Neither kernel.
    None,
    /// This kernel, by the CPU with this APIC identifier.
    OfThisKernel(u64),
    /// The kernel that is to be booted.
    OfTheOther(u64),
}

impl GuardRole {
    /// Finds it. `wanted` is whether the kernel to boot is to be guarded.
    pub(super) fn find(wanted: bool) -> anyhow::Result<Self> {
        let line = machine::kernel::command_line(Path::new("/"))?;
        match (wanted, guard_of(&line)) {
            (false, None) => Ok(Self::None),
            (false, Some(cpu)) => Ok(Self::OfThisKernel(cpu)),
            (true, None) => this_cpu().map(Self::OfTheOther),
            (true, Some(_)) => {
                bail!("--deadline: cannot guard another kernel: this kernel is itself under a guard")
            }
        }
    }

    /// The parameters for the command line of the booted kernel, which must not start the guard: an
    /// INIT to the CPU that the machine was started on resets the machine. Kernels since 6.9 detect
    /// that CPU themselves.
    pub(super) fn parameters(self) -> Option<String> {
        match self {
            Self::None => None,
            Self::OfThisKernel(cpu) => Some(format!("disable_cpu_apicid={cpu}")),
            Self::OfTheOther(cpu) => Some(format!("disable_cpu_apicid={cpu} {GUARDED}={cpu}")),
        }
    }
}

/// The CPU that guards the kernel with this command line. The last parameter counts.
pub(crate) fn guard_of(line: &[u8]) -> Option<u64> {
    let guards = parameters::of_kernel(line).filter(|parameter| parameter.is_named(GUARDED.as_bytes()));
    std::str::from_utf8(guards.last()?.value()?).ok()?.parse().ok()
}

/// Whether another kernel can be guarded here.
pub(crate) fn is_possible(device: &Device) -> anyhow::Result<bool> {
    let line = machine::kernel::command_line(Path::new("/"))?;
    Ok(guard_of(&line).is_none() && device.info()?.features & feature::GUARD != 0)
}

fn this_cpu() -> anyhow::Result<u64> {
    let info = device::open()?.info()?;
    if info.features & feature::GUARD != 0 {
        return Ok(info.guard_cpu);
    }
    let cpus = std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64);
    bail!(
        "--deadline: the kernel cannot be guarded on this machine. A guard needs a second CPU (there is {}), \
         this kernel on the CPU that the machine was started on, and a time stamp counter of known rate",
        quantity::count(cpus, "CPU")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guarded_kernel_finds_its_guard_in_the_last_parameter() {
        assert_eq!(guard_of(b"quiet kexec_jump_back_guard=1 kexec_jump_back_guard=16\n"), Some(16));
        assert_eq!(guard_of(b"kexec_jump_back_guard=x"), None);
        assert_eq!(guard_of(b"kexec_jump_back_guard=1 -- kexec_jump_back_guard=2"), Some(1));
        assert_eq!(guard_of(GuardRole::OfTheOther(3).parameters().unwrap().as_bytes()), Some(3));
        assert_eq!(guard_of(GuardRole::OfThisKernel(3).parameters().unwrap().as_bytes()), None);
    }
}
