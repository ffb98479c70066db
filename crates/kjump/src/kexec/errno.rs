//! Explains what the kernel refuses by the state of this machine.

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

/// What was attempted, as far as it matters for the explanation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attempt {
    /// Whether it was a load of a crash kernel.
    pub(super) crash: bool,
    /// Bytes of memory to load into.
    pub(super) bytes: u64,
    /// The first and the last address to load to.
    pub(super) span: Option<(u64, u64)>,
    /// Whether flags were set that only newer kernels know.
    pub(super) new_flags: bool,
}

/// Whether the kernel lacks the call.
pub(super) fn is_missing(error: &io::Error) -> bool {
    error.raw_os_error() == Some(ENOSYS)
}

/// The error of a call, with the explanation from this machine's state.
pub(super) fn explained(
    call: Call,
    error: &io::Error,
    doing: &str,
    attempt: Option<&Attempt>,
) -> anyhow::Error {
    let doing = if doing.is_empty() { String::new() } else { format!("{doing}: ") };
    let failed = format!("{doing}{} failed: {}", call.name(), text_of(error));
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

/// The system's text for an error, without its number.
pub(super) fn text_of(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// Why the kernel refused, as far as the machine's state shows.
pub(super) fn why(call: Call, errno: i32, attempt: &Attempt, machine: &Machine) -> Option<String> {
    Some(match errno {
        EPERM => forbidden(call, attempt, machine),
        ENOSYS => missing(call, machine),
        EBUSY if call == Call::Reboot => "another kexec, or a suspend, is in progress".into(),
        ENOMEM => no_memory(attempt, machine),
        EADDRNOTAVAIL => not_available(attempt, machine),
        EINVAL => return invalid(call, attempt, machine),
        _ => fixed(errno)?.into(),
    })
}

/// The errors that have one cause each.
const fn fixed(errno: i32) -> Option<&'static str> {
    Some(match errno {
        EACCES => {
            "this kernel's integrity policy (IMA) wants a signed kernel, and the file's signature \
             does not satisfy it; `cat /sys/kernel/security/ima/policy` shows the rule \
             KEXEC_KERNEL_CHECK"
        }
        EBUSY => "another load is in progress, or the kernel is about to start what is loaded; try again",
        ENOEXEC => {
            "this kernel does not take the file: it takes bzImages with a 64-bit entry point that can \
             be loaded above 4 GiB; leave out -s to try kexec_load"
        }
        EFBIG => "the file is larger than the kernel reads, or is not a regular file",
        EOPNOTSUPP => {
            "this kernel does not support the type of the file, or of its signature; leave out -s to \
             try kexec_load"
        }
        ENODATA => {
            "this kernel takes only signed kernels, and the file has no signature; sign it (sbsign), \
             or turn secure boot off"
        }
        ENOKEY | EKEYREJECTED => {
            "the file's signature is by no key that this kernel trusts (`keyctl list \
             %:.builtin_trusted_keys`, %:.secondary_trusted_keys, %:.platform); enrol the key, or use \
             a kernel of this distribution"
        }
        ENOPKG => "this kernel lacks the algorithm of the file's signature",
        EBADMSG | ELIBBAD | EMSGSIZE => {
            "the file's signature is damaged, or the file was changed after it was signed"
        }
        _ => return None,
    })
}

/// Which of the kernel's five reasons for EPERM applies.
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
        return "kernel.kexec_load_disabled is 1 until the next boot: remove what sets it \
                (/etc/sysctl.d) and reboot"
            .into();
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
            "the kernel is locked down and takes signed kernels by kexec_file_load only: use -s, or \
             turn secure boot off"
        }
        Ok(Lockdown::Integrity | Lockdown::Confidentiality) => {
            "the kernel is locked down and does not accept the file's signature: sign it, or turn \
             secure boot off"
        }
        _ => {
            "no known restriction applies; a seccomp filter (for example of a container) may block \
              the call"
        }
    }
    .into()
}

fn missing(call: Call, machine: &Machine) -> String {
    let option = call.option();
    match machine.config.as_ref().map(|config| config.get(option)) {
        Ok(Setting::No) => format!("this kernel is built without {option}"),
        Ok(_) => format!(
            "this kernel is built with {option}; a seccomp filter (for example of a container) may \
             block the call"
        ),
        Err(_) => format!("this kernel seems to be built without {option}"),
    }
}

fn no_memory(attempt: &Attempt, machine: &Machine) -> String {
    let needed = quantity::bytes(attempt.bytes);
    match &machine.amounts {
        Ok(amounts) => format!(
            "the load needs {needed}, and {} of {} are available; the kernel uses at most half of its \
             memory for it",
            quantity::bytes(amounts.available),
            quantity::bytes(amounts.total)
        ),
        Err(_) => format!("the load needs {needed}; free memory, or load less"),
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
            format!("{span}is not entirely in the memory reserved for crash kernels, {reserved}")
        }
        None if attempt.crash => "no memory is reserved for crash kernels: boot with \
                                  crashkernel=SIZE"
            .into(),
        _ => format!("{span}is not entirely memory that a kernel can be loaded into"),
    }
}

fn invalid(call: Call, attempt: &Attempt, machine: &Machine) -> Option<String> {
    if call == Call::Reboot {
        return Some("nothing is loaded, or it is no longer there".into());
    }
    // A kernel refuses to use more than half of the memory that it manages.
    if let Ok(amounts) = &machine.amounts
        && attempt.bytes > amounts.total / 2
    {
        return Some(beyond_half(attempt.bytes, amounts.total));
    }
    let release = machine.release.as_deref().unwrap_or("of unknown release");
    match call {
        _ if attempt.new_flags => {
            Some(format!("this kernel ({release}) may be too old for one of the options"))
        }
        Call::FileLoad => Some(
            "the kernel does not take the file or its command line; leave out -s to try kexec_load".into(),
        ),
        _ => None,
    }
}

/// Why a load of this size is refused.
pub(super) fn beyond_half(bytes: u64, total: u64) -> String {
    format!(
        "the load takes {}, more than half of the {} that this kernel manages",
        quantity::bytes(bytes),
        quantity::bytes(total)
    )
}

#[cfg(test)]
mod tests;
