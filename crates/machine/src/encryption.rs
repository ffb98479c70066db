//! Whether memory is encrypted, which is not the same as whether it could be
//! (`Documentation/arch/x86/amd-memory-encryption.rst`).

use crate::config::{Config, Setting};
use crate::cpu::Cpu;
use crate::root::Root;

/// The state of memory encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// Nothing indicates encryption.
    None,
    /// The CPU supports it, the kernel does not use it.
    Inactive,
    /// Memory is encrypted.
    Active(Kind),
    /// The CPU can encrypt; nothing shows whether the kernel uses it.
    Unclear,
}

/// The technology that encrypts memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The kernel, by AMD's Secure Memory Encryption.
    Sme,
    /// The hypervisor's owner does not see the memory of this guest: AMD SEV-SNP.
    SevSnpGuest,
    /// The same by Intel: TDX.
    TdxGuest,
}

/// Looks for signs of encryption. An AMD CPU shows `sme` when the firmware lets the kernel use it;
/// that does not show that it does. `sev` is about guests that this kernel may start.
pub(crate) fn find(
    root: &Root,
    cpu: Option<&Cpu>,
    command_line: Option<&str>,
    config: Option<&Config>,
) -> Encryption {
    let has = |feature| cpu.is_some_and(|cpu| cpu.has(feature));
    if has("tdx_guest") {
        return Encryption::Active(Kind::TdxGuest);
    }
    if root.has("/sys/devices/system/cpu/sev/vmpl") {
        return Encryption::Active(Kind::SevSnpGuest);
    }
    if !has("sme") {
        return Encryption::None;
    }
    match sme_by_choice(command_line, config) {
        Some(true) => Encryption::Active(Kind::Sme),
        Some(false) => Encryption::Inactive,
        None => Encryption::Unclear,
    }
}

/// Whether the kernel uses SME, by its command line or its configuration.
fn sme_by_choice(command_line: Option<&str>, config: Option<&Config>) -> Option<bool> {
    if config.is_some_and(|config| config.get("CONFIG_AMD_MEM_ENCRYPT") == Setting::No) {
        return Some(false);
    }
    let words = command_line?.split_whitespace();
    match words.filter_map(|word| word.strip_prefix("mem_encrypt=")).next_back() {
        Some("on") => Some(true),
        Some("off") => Some(false),
        _ => Some(config?.get("CONFIG_AMD_MEM_ENCRYPT_ACTIVE_BY_DEFAULT") == Setting::Yes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn with(flags: &str, command_line: &str, config: Option<&str>) -> Encryption {
        let cpu = crate::cpu::parse(&format!("processor : 0\nflags : {flags}\n")).unwrap();
        let config = config.map(|text| Config::new("/boot/config", text));
        find(&Root::new(Path::new("/nowhere")), Some(&cpu), Some(command_line), config.as_ref())
    }

    const BY_DEFAULT: &str = "CONFIG_AMD_MEM_ENCRYPT=y\nCONFIG_AMD_MEM_ENCRYPT_ACTIVE_BY_DEFAULT=y\n";
    const ON_DEMAND: &str = "CONFIG_AMD_MEM_ENCRYPT=y\n";

    #[test]
    fn a_cpu_that_could_encrypt_does_not_mean_that_the_kernel_does() {
        assert_eq!(with("fpu", "mem_encrypt=on", Some(ON_DEMAND)), Encryption::None);
        assert_eq!(with("sme sev", "quiet", Some(ON_DEMAND)), Encryption::Inactive);
        assert_eq!(with("sme sev", "quiet", Some(BY_DEFAULT)), Encryption::Active(Kind::Sme));
        assert_eq!(with("sme", "mem_encrypt=on", Some("CONFIG_HZ=250\n")), Encryption::Inactive);
    }

    #[test]
    fn the_command_line_decides_and_its_last_word_counts() {
        assert_eq!(with("sme", "mem_encrypt=on quiet", None), Encryption::Active(Kind::Sme));
        assert_eq!(with("sme", "mem_encrypt=on mem_encrypt=off", Some(BY_DEFAULT)), Encryption::Inactive);
    }

    #[test]
    fn without_a_configuration_it_is_unclear() {
        assert_eq!(with("sme", "quiet", None), Encryption::Unclear);
    }

    #[test]
    fn a_guest_of_tdx_is_encrypted() {
        assert_eq!(with("hypervisor tdx_guest", "", None), Encryption::Active(Kind::TdxGuest));
    }
}
