//! What the facts about a machine mean for calls. Nothing is read here.

use abi::device::{Info, feature};
use machine::Machine;
use machine::config::Setting;
use machine::encryption::{Encryption, Kind};
use machine::kernel::{Lockdown, SecureBoot};
use machine::module::{Certificate, DKMS_CERTIFICATE, Missing, ModuleFile};
use machine::process::Capability;
use machine::xen::Xen;
use sys::Error;

use super::verdict::{Finding, Level, advised, finding};
use crate::terminal::quantity;

/// Less memory than this is too little for an image of a few MiB, its page list and its page
/// tables.
const LITTLE_MEMORY: u64 = 16 << 20;

/// All findings, in the order in which people look for them.
pub(super) fn of(machine: &Machine, answer: &Result<Info, Error>) -> Vec<Finding> {
    let mut findings = vec![kernel(machine), module(machine, answer.is_ok()), device(machine, answer)];
    findings.extend(answer.as_ref().ok().map(suspend));
    findings.extend([
        privilege(machine),
        lockdown(machine),
        secure_boot(machine),
        load_disabled(machine),
        configuration(machine),
        memory(machine),
        xen(machine),
        encryption(machine),
    ]);
    findings
}

pub(crate) fn kernel(machine: &Machine) -> Finding {
    let cpus = machine.cpu.as_ref().map(|cpu| quantity::count(cpu.count as u64, "CPU"));
    match &machine.release {
        Ok(release) => finding(
            "kernel",
            Level::Ok,
            format!("{release}, {}", cpus.unwrap_or_else(|error| error.to_string())),
        ),
        Err(error) => advised("kernel", Level::Warn, error.to_string(), "mount /proc"),
    }
}

fn module(machine: &Machine, answers: bool) -> Finding {
    let about = "module";
    if machine.module_loaded || answers {
        return finding(about, Level::Ok, "loaded");
    }
    let is_enforced = machine.signatures_enforced.as_ref().is_ok_and(|&enforced| enforced);
    // With a key that the kernel trusts, DKMS has signed it.
    let needs_signature = is_enforced && machine.packages.certificate != Certificate::Enrolled;
    match &machine.module_file {
        Ok(Some(ModuleFile { path, .. })) if needs_signature => {
            advised(about, Level::Warn, format!("not loaded, installed as {path}"), how_to_sign(machine))
        }
        Ok(Some(ModuleFile { path, listed: true })) => {
            finding(about, Level::Ok, format!("not loaded yet; the first call loads {path}"))
        }
        Ok(Some(ModuleFile { path, listed: false })) => {
            let text = format!("not loaded; {path} exists, but modprobe does not find it");
            advised(about, Level::No, text, format!("run `depmod`, or `insmod {path}`"))
        }
        Ok(None) => {
            advised(about, Level::No, "not loaded, not installed for this kernel", how_to_build(machine))
        }
        Err(error) => advised(about, Level::No, format!("not loaded; {error}"), "load it: `insmod kjump.ko`"),
    }
}

fn how_to_sign(machine: &Machine) -> String {
    if machine.packages.certificate == Certificate::Unknown {
        format!(
            "this kernel loads only signed modules: if DKMS signed it, run \
             `mokutil --import {DKMS_CERTIFICATE}`, reboot, and confirm the key"
        )
    } else {
        "this kernel loads only signed modules: sign it with a key that the kernel trusts".into()
    }
}

fn how_to_build(machine: &Machine) -> String {
    let release = machine.release.as_deref().unwrap_or("$(uname -r)");
    let has_headers = !machine.missing_to_build.contains(&Missing::Headers);
    let (install, headers) =
        if machine.packages.by_rpm { ("dnf", "kernel-devel") } else { ("apt", "linux-headers") };
    match (machine.packages.program, machine.packages.module) {
        (_, true) if has_headers => return format!("build it: `dkms autoinstall -k {release}`"),
        (_, true) => return format!("build it: `{install} install {headers}-{release}`"),
        (true, false) => {
            return format!("install it: `{install} install kjump-dkms {headers}-{release}`");
        }
        (false, false) => {}
    }
    let missing: Vec<String> = machine
        .missing_to_build
        .iter()
        .map(|missing| match missing {
            Missing::Headers => "the kernel's headers".into(),
            Missing::Program(program) => (*program).into(),
        })
        .collect();
    if missing.is_empty() {
        "build it: `cargo xtask build` in kjump's source, then `insmod kjump.ko`".into()
    } else {
        format!("build it for this kernel; to build here, install {}", missing.join(", "))
    }
}

fn device(machine: &Machine, answer: &Result<Info, Error>) -> Finding {
    let about = "/dev/kjump";
    match answer {
        Ok(info) => {
            let bytes = 8 << info.mover.min(2);
            let text = format!(
                "answers: version {}, {}-level page tables, moves {bytes} bytes at a time",
                info.version, info.paging_levels
            );
            finding(about, Level::Ok, text)
        }
        Err(Error::Absent { .. }) if machine.module_loaded => advised(
            about,
            Level::No,
            "the module is loaded, but its device node is missing",
            "mount devtmpfs on /dev, or create the node: its number is in /sys/class/misc/kjump/dev",
        ),
        Err(Error::Absent { .. }) => finding(about, Level::Ok, "provided by the module"),
        Err(error) => {
            let text = error.to_string();
            let (text, advice) =
                text.split_once("; ").map_or((text.as_str(), None), |(a, b)| (a, Some(b.into())));
            Finding { advice, ..finding(about, Level::No, text) }
        }
    }
}

fn suspend(info: &Info) -> Finding {
    let about = "suspend";
    let can = |bit| info.features & bit != 0;
    match (can(feature::SUSPEND), can(feature::CLAIM)) {
        (false, false) => advised(
            about,
            Level::Warn,
            "the kernel can neither suspend nor move its pages: an image must be in reserved memory",
            "reserve memory, for example with memmap=SIZE$START on the kernel's command line, and \
             --vouch for it",
        ),
        (false, true) => finding(
            about,
            Level::Warn,
            "the kernel cannot suspend (CONFIG_SUSPEND): an image must be where the kernel can move its \
             pages away",
        ),
        (true, _) if !can(feature::SUSPEND_OPS_KEPT) => finding(
            about,
            Level::Warn,
            "the kernel can suspend for a call, but after the first such call no longer to RAM (S3)",
        ),
        (true, _) => {
            finding(about, Level::Ok, "the kernel can suspend for a call: an image may use any address")
        }
    }
}

pub(crate) fn privilege(machine: &Machine) -> Finding {
    let about = "privilege";
    let capabilities = match &machine.capabilities {
        Ok(capabilities) => capabilities,
        Err(error) => return advised(about, Level::Warn, error.to_string(), "mount /proc"),
    };
    if !capabilities.has(Capability::SysBoot) {
        return advised(about, Level::No, "CAP_SYS_BOOT is missing", "run as root: `sudo kjump check`");
    }
    match machine.first_namespace {
        Ok(false) => advised(
            about,
            Level::No,
            "CAP_SYS_BOOT is valid only inside this container (its user namespace)",
            "run outside the container",
        ),
        _ => finding(about, Level::Ok, "CAP_SYS_BOOT is present"),
    }
}

pub(crate) fn lockdown(machine: &Machine) -> Finding {
    let about = "lockdown";
    let locked = |level| {
        advised(
            about,
            Level::No,
            format!("the kernel is locked down ({level}): it refuses to load images"),
            "disable secure boot in the firmware, and remove lockdown= from the command line",
        )
    };
    match &machine.lockdown {
        Ok(Lockdown::Off) => finding(about, Level::Ok, "none"),
        Ok(Lockdown::Integrity) => locked("integrity"),
        Ok(Lockdown::Confidentiality) => locked("confidentiality"),
        Err(machine::Error::Absent { .. }) => finding(
            about,
            Level::Ok,
            "none found (this kernel has no lockdown, or securityfs is not mounted)",
        ),
        Err(error) => finding(about, Level::Warn, error.to_string()),
    }
}

pub(crate) fn secure_boot(machine: &Machine) -> Finding {
    let about = "secure boot";
    match &machine.secure_boot {
        Ok(SecureBoot::NoUefi) => finding(about, Level::Ok, "off: not booted by UEFI"),
        Ok(SecureBoot::Off) => finding(about, Level::Ok, "off"),
        Ok(SecureBoot::On) => advised(
            about,
            Level::Warn,
            "on: most distributions then lock the kernel down and load only signed modules",
            "disable it in the firmware if one of these prevents calls",
        ),
        Err(error) => finding(about, Level::Warn, format!("unknown: {error}")),
    }
}

pub(crate) fn load_disabled(machine: &Machine) -> Finding {
    let about = "sysctl";
    match &machine.load_disabled {
        Ok(false) => finding(about, Level::Ok, "kernel.kexec_load_disabled is 0"),
        Ok(true) => advised(
            about,
            Level::No,
            "kernel.kexec_load_disabled is 1: no image can be loaded until the next boot",
            "remove the setting (/etc/sysctl.d) and reboot: it cannot be cleared",
        ),
        Err(machine::Error::Absent { .. }) => {
            finding(about, Level::Ok, "this kernel has no kernel.kexec_load_disabled")
        }
        Err(error) => finding(about, Level::Warn, error.to_string()),
    }
}

/// The kernel's own kexec. For information: kjump needs neither option.
fn configuration(machine: &Machine) -> Finding {
    let about = "configuration";
    let config = match &machine.config {
        Ok(config) => config,
        Err(error) => {
            return finding(about, Level::Ok, format!("unknown ({error}); kjump does not need it"));
        }
    };
    let of = |option: &str| match config.get(option) {
        Setting::Yes => format!("{option}=y"),
        Setting::Module => format!("{option}=m"),
        Setting::Value(value) => format!("{option}={value}"),
        Setting::No => format!("no {option}"),
    };
    let text = format!("{}, {}; kjump needs neither", of("CONFIG_KEXEC"), of("CONFIG_KEXEC_JUMP"));
    finding(about, Level::Ok, text)
}

pub(crate) fn memory(machine: &Machine) -> Finding {
    let about = "memory";
    match &machine.amounts {
        Ok(amounts) => {
            let text = format!(
                "{} available of {}",
                quantity::bytes(amounts.available),
                quantity::bytes(amounts.total)
            );
            if amounts.available < LITTLE_MEMORY {
                let advice =
                    "free memory: an image needs the memory of its pages, and some for its page list";
                advised(about, Level::Warn, text, advice)
            } else {
                finding(about, Level::Ok, text)
            }
        }
        Err(error) => advised(about, Level::Warn, error.to_string(), "mount /proc"),
    }
}

fn xen(machine: &Machine) -> Finding {
    let about = "Xen";
    let paravirtual = |text| {
        advised(
            about,
            Level::No,
            text,
            "run the guest as HVM or PVH: a paravirtual guest does not control its page tables",
        )
    };
    match &machine.xen {
        Ok(Xen::No) => finding(about, Level::Ok, "no"),
        Ok(Xen::Virtual) => finding(about, Level::Ok, "a guest with hardware page tables"),
        Ok(Xen::Paravirtual) => paravirtual("a paravirtual guest"),
        Ok(Xen::ControlDomain) => paravirtual("the control domain, which is paravirtual"),
        Err(error) => finding(about, Level::Warn, error.to_string()),
    }
}

fn encryption(machine: &Machine) -> Finding {
    let about = "encryption";
    let active = |text, advice| advised(about, Level::No, text, advice);
    match machine.encryption {
        Encryption::None => finding(about, Level::Ok, "no encrypted memory found (SME, SEV, TDX)"),
        Encryption::Inactive => {
            finding(about, Level::Ok, "the CPU can encrypt memory (SME), but the kernel does not")
        }
        Encryption::Unclear => advised(
            about,
            Level::Warn,
            "the CPU can encrypt memory (SME); whether the kernel does is unknown",
            "boot with mem_encrypt=off if the module does not load",
        ),
        Encryption::Active(Kind::Sme) => {
            active("the kernel encrypts memory (SME)", "boot with mem_encrypt=off")
        }
        Encryption::Active(Kind::SevSnpGuest) => {
            active("the memory of this guest is encrypted (SEV-SNP)", "use a guest that is not confidential")
        }
        Encryption::Active(Kind::TdxGuest) => {
            active("the memory of this guest is encrypted (TDX)", "use a guest that is not confidential")
        }
    }
}
