//! What the kernel refuses, explained by the state of this machine.

use std::io;
use std::path::Path;

use abi::errno::{
    EACCES, EADDRNOTAVAIL, EBADMSG, EBUSY, EFBIG, EINVAL, EKEYREJECTED, ELIBBAD, EMSGSIZE, ENODATA, ENOEXEC,
    ENOKEY, ENOMEM, ENOPKG, ENOSYS, EOPNOTSUPP, EPERM,
};
use anyhow::anyhow;
use machine::Machine;
use machine::config::Setting;
use machine::kernel::Lockdown;
use machine::process::Capability;

use crate::terminal::quantity;

/// The call that was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Call {
    FileLoad,
    Load,
    Reboot,
}

impl Call {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::FileLoad => "kexec_file_load",
            Self::Load => "kexec_load",
            Self::Reboot => "kexec",
        }
    }

    const fn option(self) -> &'static str {
        match self {
            Self::FileLoad => "CONFIG_KEXEC_FILE",
            _ => "CONFIG_KEXEC",
        }
    }
}

/// What was to be done, as far as it matters for why it was not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attempt {
    /// Whether it was about the crash kernel.
    pub(super) crash: bool,
    /// Bytes that were to be loaded.
    pub(super) bytes: u64,
    /// First and last address of what was to be loaded.
    pub(super) span: Option<(u64, u64)>,
    /// Whether flags were set that not every kernel knows.
    pub(super) new_flags: bool,
}

/// Whether the kernel does not have the call.
pub(super) fn is_missing(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ENOSYS)
}

/// The error of a call, with what this machine's state says of it.
pub(super) fn explained(
    call: Call,
    error: &io::Error,
    doing: &str,
    attempt: Option<&Attempt>,
) -> anyhow::Error {
    let doing = if doing.is_empty() { String::new() } else { format!("{doing}: ") };
    let failed = format!("{doing}{} failed: {}", call.name(), words(error));
    match error.raw_os_error() {
        Some(errno) => {
            match why(call, errno, &attempt.copied().unwrap_or_default(), &Machine::probe(Path::new("/"))) {
                Some(why) => anyhow!("{failed}; {why}"),
                None => anyhow!(failed),
            }
        }
        None => anyhow!(failed),
    }
}

/// The system's words for an error, without its number.
pub(super) fn words(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// Why the kernel said this, as far as the machine tells.
pub(super) fn why(call: Call, errno: i32, attempt: &Attempt, machine: &Machine) -> Option<String> {
    Some(match errno {
        EPERM => forbidden(call, attempt, machine),
        ENOSYS => missing(call, machine),
        EACCES => {
            "the integrity policy of this kernel (IMA) appraises kernels, and this one is not signed as it asks; \
             `cat /sys/kernel/security/ima/policy` shows the rule KEXEC_KERNEL_CHECK"
                .into()
        }
        EBUSY if call == Call::Reboot => "another kexec, or a suspend, is under way".into(),
        EBUSY => "another load is under way, or the kernel is about to start what is loaded; try again".into(),
        ENOMEM => no_memory(attempt, machine),
        EADDRNOTAVAIL => not_available(attempt, machine),
        EINVAL => invalid(call, attempt, machine)?,
        ENOEXEC => "this kernel does not take the file: it takes bzImages with a 64-bit entry point that can lie above \
                    4 GiB (boot protocol 2.12, CONFIG_RELOCATABLE); leave out -s, and kexec_load is tried"
            .into(),
        EOPNOTSUPP => "this kernel does not know the kind of file, or of signature; leave out -s, and kexec_load is tried".into(),
        EFBIG => "the file is larger than the kernel takes".into(),
        ENODATA => "this kernel takes signed kernels only, and the file has no signature; sign it (sbsign), or switch secure \
                    boot off"
            .into(),
        ENOKEY | EKEYREJECTED => "the file's signature is by no key that this kernel trusts (`keyctl list %:.builtin_trusted_keys`, \
                    %:.secondary_trusted_keys, %:.platform); enrol the key, or take a kernel of this distribution"
            .into(),
        ENOPKG => "this kernel lacks the algorithm of the file's signature".into(),
        EBADMSG | ELIBBAD | EMSGSIZE => "the file's signature is damaged, or the file was changed after it was signed".into(),
        _ => return None,
    })
}

/// The five reasons that the kernel has for EPERM, each asked about.
fn forbidden(call: Call, attempt: &Attempt, machine: &Machine) -> String {
    let lacks = machine.capabilities.as_ref().is_ok_and(|held| !held.has(Capability::SysBoot));
    if lacks {
        return "CAP_SYS_BOOT is missing: run as root".into();
    }
    if machine.first_namespace.as_ref().is_ok_and(|&is_first| !is_first) {
        return "CAP_SYS_BOOT counts only inside this container (its user namespace): run outside of it"
            .into();
    }
    if machine.load_disabled.as_ref().is_ok_and(|&disabled| disabled) {
        return "kernel.kexec_load_disabled is 1 until the next boot: remove what sets it (/etc/sysctl.d) and reboot".into();
    }
    let (name, limit) = if attempt.crash {
        ("panic", &machine.load_limit_panic)
    } else {
        ("reboot", &machine.load_limit_reboot)
    };
    if limit.as_ref().is_ok_and(|&limit| limit == 0) {
        return format!(
            "kernel.kexec_load_limit_{name} is 0: this kernel takes no more loads until the next boot"
        );
    }
    match &machine.lockdown {
        Ok(Lockdown::Integrity | Lockdown::Confidentiality) if call == Call::Load => {
            "the kernel is locked down, and takes signed kernels by kexec_file_load only: use -s, or switch secure boot off"
                .into()
        }
        Ok(Lockdown::Integrity | Lockdown::Confidentiality) => {
            "the kernel is locked down, and the file's signature does not satisfy it: sign it, or switch secure boot off".into()
        }
        _ => "nothing that is known of this machine forbids it: a filter of system calls (a container's) may".into(),
    }
}

fn missing(call: Call, machine: &Machine) -> String {
    let option = call.option();
    match machine.config.as_ref().map(|config| config.get(option)) {
        Ok(Setting::No) => format!("this kernel is built without {option}"),
        Ok(_) => format!(
            "this kernel is built with {option}: a filter of system calls (a container's) may hide it"
        ),
        Err(_) => format!("this kernel seems to be built without {option}"),
    }
}

fn no_memory(attempt: &Attempt, machine: &Machine) -> String {
    let needed = quantity::bytes(attempt.bytes);
    match &machine.amounts {
        Ok(amounts) => format!(
            "{needed} are to be loaded, and {} are available of {}; the kernel takes half of its memory at most",
            quantity::bytes(amounts.available),
            quantity::bytes(amounts.total)
        ),
        Err(_) => format!("{needed} are to be loaded; free memory, or load less"),
    }
}

fn not_available(attempt: &Attempt, machine: &Machine) -> String {
    let span = attempt.span.map_or(String::new(), |(first, last)| format!("{first:#x}-{last:#x} "));
    let reserved = machine.memory.as_ref().ok().and_then(|map| {
        let crash = map.resources().iter().find(|resource| resource.name == "Crash kernel");
        crash.map(|crash| format!("{:#x}-{:#x}", crash.first, crash.last))
    });
    match reserved {
        Some(reserved) if attempt.crash => {
            format!("{span}is not all in the memory reserved for crash kernels, {reserved}")
        }
        None if attempt.crash => "no memory is reserved for crash kernels: boot with crashkernel=SIZE".into(),
        _ => format!("{span}is not all memory that this kernel lets be loaded"),
    }
}

fn invalid(call: Call, attempt: &Attempt, machine: &Machine) -> Option<String> {
    let release = machine.release.as_deref().unwrap_or("of unknown release");
    match call {
        Call::Reboot => Some("nothing is loaded, or what was loaded is gone".into()),
        _ if attempt.new_flags => {
            Some(format!("this kernel ({release}) may be older than one of the options asks for"))
        }
        Call::FileLoad => Some(
            "the kernel does not take the file or its command line; leave out -s, and kexec_load is tried"
                .into(),
        ),
        Call::Load => None,
    }
}

#[cfg(test)]
mod tests;
