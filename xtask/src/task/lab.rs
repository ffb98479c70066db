//! `cargo xtask lab`: run one command in a guest.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, bail};
use clap::{Args, ValueEnum};
use lab::{Job, Listener, Machine, Vm};

use crate::build::product;
use crate::debian::{kernels, packages};

/// The exit status for a failure of the lab itself, as opposed to one of the command.
pub(crate) const LAB_FAILED: u8 = 125;

/// Boot a stock kernel in QEMU or Bochs and run a command there as root
#[derive(Args)]
#[command(after_help = "The command's output and exit status are passed on; \
    status 125 means that the lab itself failed. A single COMMAND argument \
    with blanks or other special characters is run by a shell.")]
pub(crate) struct LabArgs {
    /// The kernel; --list shows the names
    #[arg(long, value_name = "NAME", required_unless_present = "list")]
    kernel: Option<String>,
    /// Another kernel for the guest to boot as a peer: /boot/vmlinuz-* and /lib/modules/*
    #[arg(long, value_name = "NAME")]
    beside: Vec<String>,
    /// List the kernels
    #[arg(long)]
    list: bool,
    /// Number of CPUs
    #[arg(
        long,
        default_value_t = 1,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=255)
    )]
    smp: u32,
    /// Memory in MiB
    #[arg(long, default_value_t = 512, value_name = "MIB")]
    mem: u32,
    /// A raw file as a virtio disk: /dev/vda and so on
    #[arg(long, value_name = "FILE")]
    disk: Vec<PathBuf>,
    /// More parameters for the kernel's command line
    #[arg(long, value_name = "STR", allow_hyphen_values = true)]
    append: Vec<String>,
    /// A file or directory to copy to the guest
    #[arg(long, value_name = "HOST:GUEST")]
    file: Vec<String>,
    /// Seconds until the guest is killed
    #[arg(long, default_value_t = 120, value_name = "S")]
    timeout: u64,
    /// QEMU's or Bochs's CPU model; by default max,-cx16, because QEMU 7.2 emulates cmpxchg16b
    /// wrongly, and corei7_haswell_4770 on Bochs
    #[arg(long, value_name = "MODEL")]
    cpu: Option<String>,
    /// QEMU's accelerator: kvm, or tcg,thread=multi
    #[arg(long, value_name = "NAME")]
    accel: Option<String>,
    /// The machine model: QEMU's pc or q35, or Bochs, which has no disks and no network and takes
    /// minutes
    #[arg(long, value_enum, default_value_t = Model::Pc)]
    machine: Model,
    /// Boot with UEFI instead of a BIOS
    #[arg(long)]
    uefi: bool,
    /// Do not load kjump.ko
    #[arg(long)]
    no_module: bool,
    /// Another driver to load
    #[arg(long, value_name = "NAME")]
    driver: Vec<String>,
    /// Another argument for QEMU
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
enum Model {
    Pc,
    Q35,
    Bochs,
}

/// Runs the command; its exit status is ours.
pub(crate) fn run(args: LabArgs) -> ExitCode {
    match run_in_guest(args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("lab: {error:#}");
            ExitCode::from(LAB_FAILED)
        }
    }
}

fn run_in_guest(args: LabArgs) -> Result<ExitCode> {
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
        let version = match kernels::fetched(stock) {
            Some(kernel) => format!("{} ({})", kernel.release, kernel.version),
            None => "not fetched".to_owned(),
        };
        writeln!(out, "{:<10} {:<34} {version}", stock.name, stock.about)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn vm(args: &LabArgs) -> Result<Vm> {
    let vm = product::vm(args.kernel.as_deref().unwrap_or_default())?;
    let vm = vm.smp(args.smp).mem(args.mem).timeout(Duration::from_secs(args.timeout));
    let vm = match args.machine {
        Model::Pc => vm.machine(Machine::Pc),
        Model::Q35 => vm.machine(Machine::Q35),
        Model::Bochs => {
            packages::for_bochs()?;
            vm.machine(Machine::Bochs)
        }
    };
    let vm = args.cpu.iter().fold(vm, Vm::cpu);
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
        None if args.command.is_empty() => bail!("nothing to run: give -- COMMAND... or --script FILE"),
        None => Ok(Job::command(args.command)),
    }
}

/// Passes on every byte as it arrives.
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
