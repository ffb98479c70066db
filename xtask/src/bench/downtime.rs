//! `cargo xtask bench downtime`: how long nothing runs when `kexec -e` starts the next kernel, by
//! phase, compared with kexec-tools.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::{Job, Machine, NEXT_INITRD, NEXT_KERNEL, Vm};

use crate::bench::figure::Figure;
use crate::build::product;
use crate::debian::reference;
use crate::guest::watcher::{Line, Watcher};

/// The meaning of the figures.
pub(crate) const MEANING: &str = "\
CPU time of the emulator, which other work on the host does not change, from `kexec -e` to the start of
the next kernel's /init. The initrd has about 30 MB, compressed by zstd.
stop: until \"Starting new kernel\": devices are shut down one after the other
handover: until \"Linux version\": copying, the digest, and the kernel's own decompression
start: the next kernel's initialisation, without its initrd: what no loader can shorten
unpack: the initrd is unpacked
A ratio is the total divided by that of kexec-tools with -c.";

/// A program and its options.
struct Variant {
    name: &'static str,
    program: &'static str,
    options: &'static str,
}

const THEIRS: &str = "/reference/kexec";
const OURS: &str = "/sbin/kexec";
const VARIANTS: [Variant; 5] = [
    Variant { name: "kexec-tools -c", program: THEIRS, options: "-c" },
    Variant { name: "kexec-tools -s", program: THEIRS, options: "-s" },
    Variant { name: "kjump -c", program: OURS, options: "-c" },
    Variant { name: "kjump --prepare", program: OURS, options: "--prepare" },
    Variant { name: "kjump --prepare -i", program: OURS, options: "--prepare -i" },
];

/// Copies of the program in the initrd, which make its size that of a distribution's.
const COPIES: usize = 12;
/// The mark in the log at which the time starts.
const MARK: &str = "downtime: kexec -e";

/// Starts each variant on a small virtual machine, and on one with the devices of a server.
pub(crate) fn figures(kernel: &str) -> Result<Vec<Figure>> {
    let mut figures = machine("cloud", &small(kernel)?)?;
    if let Some(name) = kernel.strip_suffix("-full").map(|_| kernel) {
        figures.extend(machine("server", &server(small(name)?))?);
    }
    Ok(figures)
}

fn small(kernel: &str) -> Result<Vm> {
    let vm = product::vm(kernel)?.smp(2).mem(2048).timeout(Duration::from_secs(1800));
    Ok(vm.file(reference::KEXEC.directory()?, reference::IN_GUEST))
}

/// Four NVMe disks, a SATA controller, which the chipset has, and a network card.
fn server(vm: Vm) -> Vm {
    let vm = vm.machine(Machine::Q35).driver("nvme").driver("ahci").driver("e1000e");
    let vm = vm.qemu("-device").qemu("e1000e");
    (0..4).fold(vm, |vm, number| {
        vm.qemu("-drive")
            .qemu(format!("driver=null-co,size=1G,if=none,id=nvme{number}"))
            .qemu("-device")
            .qemu(format!("nvme,serial=disk{number},drive=nvme{number}"))
    })
}

fn machine(name: &str, vm: &Vm) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut reference = None;
    for variant in &VARIANTS {
        let phases = start(vm, variant).with_context(|| variant.name)?;
        let total: f64 = phases.parts.iter().map(|(_, seconds)| seconds).sum();
        let mut add = |what: &str, value: f64, unit: &str| {
            let name = format!("{name}, {}: {what}", variant.name);
            figures.push(Figure { name, value, unit: unit.to_owned() });
        };
        phases.parts.iter().for_each(|(phase, seconds)| add(phase, *seconds, "s"));
        add("total", total, "s");
        add("total by the clock", phases.clock, "s");
        add("ratio", total / *reference.get_or_insert(total), "ratio");
    }
    Ok(figures)
}

/// The script that builds an initrd of about 30 MB, loads it with the kernel, and starts that.
fn script(variant: &Variant) -> String {
    let Variant { program, options, .. } = variant;
    format!(
        "set -e
        mkdir /tmp/ballast
        for n in $(seq {COPIES}); do cp /sbin/kjump /tmp/ballast/$n; done
        kjump initramfs -o /tmp/ballast.cpio --kernel-version $(uname -r) --add /tmp/ballast:/ballast -- true
        rm -r /tmp/ballast
        # A kernel finds an archive at multiples of four bytes only.
        until [ $(($(stat -c %s /tmp/ballast.cpio) % 4)) = 0 ]; do printf '\\0' >> /tmp/ballast.cpio; done
        cat {NEXT_INITRD} >> /tmp/ballast.cpio
        ls -l /tmp/ballast.cpio
        {program} -l {options} {NEXT_KERNEL} --initrd=/tmp/ballast.cpio \\
            --command-line='console=ttyS0 earlyprintk=serial,ttyS0,115200 no_timer_check panic=-1'
        sync
        echo '<0>{MARK}' > /dev/kmsg
        {program} -e -x -y\n"
    )
}

/// The time of each phase.
fn start(vm: &Vm, variant: &Variant) -> Result<Phases> {
    let mut watcher = Watcher::default();
    let vm = vm.clone().successor(Job::shell("true"));
    let outcome = vm.stream(&Job::shell(script(variant)), &mut watcher)?.into_outcome();
    let lines = watcher.lines();
    ensure!(!outcome.alone, "the next kernel did not start; the log is {}", outcome.log.display());
    let mark = |text: &str, after: usize| -> Result<(usize, &Line)> {
        let found = lines.iter().enumerate().skip(after).find(|(_, line)| line.text.contains(text));
        found.with_context(|| format!("the log has no \"{text}\""))
    };
    let (index, begins) = mark(MARK, 0)?;
    let (index, leaves) = mark("Starting new kernel", index)?;
    let (index, arrives) = mark("Linux version", index)?;
    let (_, unpacks) = mark("Trying to unpack rootfs image", index)?;
    let (_, unpacked) = mark("Freeing initrd memory", index)?;
    let (_, runs) = mark("as init process", index)?;
    let unpack = unpacked.cpu - unpacks.cpu;
    Ok(Phases {
        parts: [
            ("stop", leaves.cpu - begins.cpu),
            ("handover", arrives.cpu - leaves.cpu),
            ("start", runs.cpu - arrives.cpu - unpack),
            ("unpack", unpack),
        ],
        clock: runs.clock - begins.clock,
    })
}

/// How long each phase took.
struct Phases {
    parts: [(&'static str, f64); 4],
    /// All of them by the clock.
    clock: f64,
}
