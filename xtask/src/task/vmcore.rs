//! `cargo xtask vmcore`: a crash made to order, and what the crash kernel saw of it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use lab::{Job, NEXT_INITRD, NEXT_KERNEL, Outcome};

use crate::build::product;
use crate::debian::reference;

/// Crash a stock kernel in QEMU and keep its memory as the crash kernel sees it: an ELF file
#[derive(Args)]
#[command(after_help = "The first kernel runs COMMAND, a line for the shell, and then crashes.")]
pub(crate) struct VmcoreArgs {
    /// The kernel: see `cargo xtask lab --list`
    #[arg(long, default_value = "6.1", value_name = "NAME")]
    kernel: String,
    /// Processors
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=255))]
    smp: u32,
    /// Memory
    #[arg(long, default_value_t = 512, value_name = "MIB")]
    mem: u32,
    /// Who loads the crash kernel: ours, or kexec-tools
    #[arg(long, default_value = "/reference/kexec", value_name = "PROGRAM")]
    kexec: String,
    /// Where the file goes
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
    /// What to do before the crash
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
}

/// What is kept for the crash kernel.
const RESERVED: &str = "crashkernel=192M";

/// Makes the file.
///
/// # Errors
/// The guest did not get as far as reading `/proc/vmcore`.
pub(crate) fn run(args: &VmcoreArgs) -> Result<()> {
    // The file is the guest's disk: it grows only by what is written to it.
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

/// Whole mebibytes go faster; what is written behind the end is cut off.
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
    let said = outcome.text();
    let size = said.lines().find_map(|line| line.strip_prefix("size ")?.parse().ok());
    match size {
        Some(size) if outcome.status == 0 && !outcome.alone => Ok(size),
        _ => bail!(
            "nothing was captured: {said}{}(the kernels' log is {})",
            String::from_utf8_lossy(&outcome.err),
            outcome.log.display()
        ),
    }
}

fn check(file: &Path) -> Result<()> {
    use std::io::Read as _;
    let mut magic = [0; 4];
    File::open(file)?.read_exact(&mut magic)?;
    ensure!(&magic == b"\x7fELF", "{} is no ELF file", file.display());
    Ok(())
}
