//! `cargo xtask vmcore`: the memory of a crashed kernel, as its crash kernel sees it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use lab::{Job, NEXT_INITRD, NEXT_KERNEL, Outcome};

use crate::build::product;
use crate::debian::reference;

/// Crash a stock kernel in QEMU and save its memory as the crash kernel sees it: an ELF file
#[derive(Args)]
#[command(after_help = "The first kernel runs COMMAND in a shell, and then crashes.")]
pub(crate) struct VmcoreArgs {
    /// The kernel: see `cargo xtask lab --list`
    #[arg(long, default_value = "6.1", value_name = "NAME")]
    kernel: String,
    /// Number of CPUs
    #[arg(
        long,
        default_value_t = 2,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=255)
    )]
    smp: u32,
    /// Memory in MiB
    #[arg(long, default_value_t = 512, value_name = "MIB")]
    mem: u32,
    /// The program that loads the crash kernel; `kexec` is kjump
    #[arg(long, default_value = "/reference/kexec", value_name = "PROGRAM")]
    kexec: String,
    /// The file to write
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// The command to run before the crash
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// The reservation for the crash kernel.
const RESERVED: &str = "crashkernel=192M";

/// Crashes the guest and writes the file.
///
/// # Errors
/// The guest does not get to reading `/proc/vmcore`.
pub(crate) fn run(args: &VmcoreArgs) -> Result<()> {
    // The file is the guest's disk: sparse until the guest writes to it.
    let disk = File::create(&args.to).with_context(|| format!("cannot create {}", args.to.display()))?;
    disk.set_len((u64::from(args.mem) + 64) << 20)?;
    let vm = product::vm(&args.kernel)?.smp(args.smp).mem(args.mem).timeout(Duration::from_secs(600));
    let vm = vm.file(reference::KEXEC.directory()?, reference::IN_GUEST).disk(&args.to).append(RESERVED);
    let outcome = vm.successor(Job::shell(CAPTURE)).run(&crash(args))?.into_outcome();
    let size = size(&outcome)?;
    disk.set_len(size)?;
    check(&args.to)?;
    println!("{}: {size} bytes; the kernels' log is {}", args.to.display(), outcome.log.display());
    Ok(())
}

/// Writing whole mebibytes is faster; the file is then cut to its size.
const CAPTURE: &str = "
    ls -l /proc/vmcore | awk '{print \"size\", $5}'
    dd if=/proc/vmcore of=/dev/vda bs=1M && sync";

fn crash(args: &VmcoreArgs) -> String {
    let (kexec, command) = (&args.kexec, args.command.join(" "));
    format!(
        "set -e
        {command}
        {kexec} -p {NEXT_KERNEL} --initrd={NEXT_INITRD} \\
            --command-line='console=ttyS0 panic=-1 nr_cpus=1 reset_devices irqpoll'
        sync
        echo c > /proc/sysrq-trigger"
    )
}

fn size(outcome: &Outcome) -> Result<u64> {
    let output = outcome.text();
    let size = output.lines().find_map(|line| line.strip_prefix("size ")?.parse().ok());
    match size {
        Some(size) if outcome.status == 0 && !outcome.alone => Ok(size),
        _ => bail!(
            "/proc/vmcore was not captured: {output}{}(the kernels' log is {})",
            String::from_utf8_lossy(&outcome.err),
            outcome.log.display()
        ),
    }
}

fn check(file: &Path) -> Result<()> {
    use std::io::Read as _;
    let mut magic = [0; 4];
    File::open(file)?.read_exact(&mut magic)?;
    ensure!(&magic == b"\x7fELF", "{} is not an ELF file", file.display());
    Ok(())
}
