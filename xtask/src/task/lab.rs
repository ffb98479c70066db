//! `cargo xtask lab`: one command in one guest.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use lab::{Job, Listener, Machine, Vm};

use crate::build::product;
use crate::debian::kernels;

/// What a failure of the lab itself exits with, as opposed to one of the command.
pub(crate) const LAB_FAILED: u8 = 125;

/// Boot a stock kernel in QEMU and run a command there as root
#[derive(Args)]
#[command(
    after_help = "The command's output and exit status are passed on; 125 means that the lab itself failed. \
    A single COMMAND that is more than a program's name is a line for the shell."
)]
pub(crate) struct LabArgs {
    /// The kernel: see --list
    #[arg(long, value_name = "NAME", required_unless_present = "list")]
    kernel: Option<String>,
    /// One more kernel, to be booted beside it: /boot/vmlinuz-* and /lib/modules/*
    #[arg(long, value_name = "NAME")]
    beside: Vec<String>,
    /// Name the kernels
    #[arg(long)]
    list: bool,
    /// Processors
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=255))]
    smp: u32,
    /// Memory
    #[arg(long, default_value_t = 512, value_name = "MIB")]
    mem: u32,
    /// A raw file to be a virtio disk: /dev/vda and so on
    #[arg(long, value_name = "FILE")]
    disk: Vec<PathBuf>,
    /// More words for the kernel's command line
    #[arg(long, value_name = "STR", allow_hyphen_values = true)]
    append: Vec<String>,
    /// A file or directory to be in the guest
    #[arg(long, value_name = "HOST:GUEST")]
    file: Vec<String>,
    /// Seconds until the guest is killed
    #[arg(long, default_value_t = 120, value_name = "S")]
    timeout: u64,
    /// The processor, as QEMU calls it, without cmpxchg16b unless cx16 is named: QEMU 7.2 gets it wrong
    #[arg(long, default_value = "max,-cx16", value_name = "MODEL")]
    cpu: String,
    /// How QEMU runs the processors, as it calls it: kvm, or tcg,thread=multi
    #[arg(long, value_name = "NAME")]
    accel: Option<String>,
    /// The chipset
    #[arg(long, value_enum, default_value_t = Chipset::Pc)]
    machine: Chipset,
    /// Boot by UEFI in place of a BIOS
    #[arg(long)]
    uefi: bool,
    /// Do not load kjump.ko
    #[arg(long)]
    no_module: bool,
    /// One more driver to load
    #[arg(long, value_name = "NAME")]
    driver: Vec<String>,
    /// One more argument for QEMU
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    qemu: Vec<String>,
    /// A script to run, with COMMAND as its arguments
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// The command and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Clone, Copy, ValueEnum)]
enum Chipset {
    Pc,
    Q35,
}

/// Runs the command; its exit status is ours.
pub(crate) fn run(args: LabArgs) -> ExitCode {
    match answer(args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::from(LAB_FAILED)
        }
    }
}

fn answer(args: LabArgs) -> Result<ExitCode> {
    if args.list {
        return list();
    }
    let (vm, job) = (vm(&args)?, job(args)?);
    let status = vm.stream(&job, &mut Live)?.into_outcome().status;
    Ok(ExitCode::from(status))
}

fn list() -> Result<ExitCode> {
    let mut out = io::stdout().lock();
    for stock in kernels::STOCK {
        let what = match kernels::fetched(stock) {
            Some(kernel) => format!("{} ({})", kernel.release, kernel.version),
            None => "not fetched yet".to_owned(),
        };
        writeln!(out, "{:<10} {:<34} {what}", stock.name, stock.about)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn vm(args: &LabArgs) -> Result<Vm> {
    let vm = product::vm(args.kernel.as_deref().unwrap_or_default())?;
    let vm = vm.smp(args.smp).mem(args.mem).timeout(Duration::from_secs(args.timeout)).cpu(&args.cpu);
    let vm = vm.machine(match args.machine {
        Chipset::Pc => Machine::Pc,
        Chipset::Q35 => Machine::Q35,
    });
    let vm = if args.uefi { vm.uefi() } else { vm };
    let vm = if args.no_module { vm.without_module() } else { vm };
    let vm = args.accel.iter().fold(vm, Vm::accel);
    let vm = args.disk.iter().fold(vm, Vm::disk);
    let vm = args.append.iter().fold(vm, Vm::append);
    let vm = args.driver.iter().fold(vm, Vm::driver);
    let vm = args.qemu.iter().fold(vm, Vm::qemu);
    let vm = args.beside.iter().try_fold(vm, |vm, name| product::beside(vm, name))?;
    Ok(args.file.iter().try_fold(vm, |vm, pair| vm.pair(pair))?)
}

fn job(args: LabArgs) -> Result<Job> {
    match args.script {
        Some(script) => Ok(Job::script(&script, args.command)?),
        None if args.command.is_empty() => bail!("what is the guest to do? -- COMMAND..., or --script FILE"),
        None => Ok(Job::command(args.command)),
    }
}

/// Passes on every byte as it comes.
struct Live;

impl Listener for Live {
    fn out(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        out.write_all(bytes)?;
        out.flush()
    }

    fn err(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::stderr().lock().write_all(bytes)
    }

    fn note(&mut self, text: &str) {
        eprintln!("lab: {text}");
    }
}
