//! Makes a plan from the files and options. Nothing is read here: the machine was read earlier.

use anyhow::{Context, anyhow, bail};
use kernel_file::multiboot::Multiboot;
use kernel_file::{BzImage, Program, elf, multiboot};
use machine::Machine;
use plan::elfcorehdr::VirtualMap;
use plan::linux::{self, Home, Kernel};
use plan::{CpuMode, LoadPlan};

use super::files::Files;
use super::purgatory;
use super::request::{Arguments, EntryMode, Load};
use crate::input::Name;
use crate::kernel::file::{Kind, Loader};

/// Plans a load by `kexec_load`. The seed is for the next kernel's random number generator.
pub(super) fn plan<'a>(
    files: &'a Files,
    load: &Load,
    loader: Loader,
    (machine, virtual_map): (&Machine, VirtualMap),
    seed: Option<[u8; 32]>,
) -> anyhow::Result<LoadPlan<'a>> {
    refuse_strange(files, load, loader)?;
    let known = machine.for_plan().map_err(|unknown| anyhow!("{unknown}"))?;
    let elfcorehdr_size = load.hotplug.then(|| elfcorehdr_size(machine)).transpose()?;
    let machine = plan::Machine { virtual_map, ..known };
    match loader {
        Loader::BzImage => {
            let kernel = BzImage::parse(files.kernel.kernel())?;
            let kernel = match &files.prepared {
                Some(prepared) => Kernel::Prepared(prepared.kernel(kernel)),
                None => Kernel::BzImage(kernel),
            };
            linux(kernel, files, load, (&machine, elfcorehdr_size), seed)
        }
        Loader::Elf => {
            let program = program(files, load)?;
            match arguments(load, files) {
                Arguments::Linux => {
                    linux(Kernel::Executable(program), files, load, (&machine, elfcorehdr_size), seed)
                }
                arguments => other(program, arguments == Arguments::Elf, files, load, &machine),
            }
        }
        Loader::Multiboot(version) => multiboot(version, files, load, &machine),
    }
}

/// The bytes that the kernel wants for an elfcorehdr that it can rewrite.
fn elfcorehdr_size(machine: &Machine) -> anyhow::Result<u64> {
    let advice = "--hotplug needs a kernel of 6.6 or newer with CONFIG_CRASH_HOTPLUG";
    machine.crash_elfcorehdr_size.as_ref().copied().map_err(|error| anyhow!("{error}; {advice}"))
}

/// Refuses options that this format of file does not use: they would be ignored.
fn refuse_strange(files: &Files, load: &Load, loader: Loader) -> anyhow::Result<()> {
    let linux =
        loader == Loader::BzImage || (loader == Loader::Elf && arguments(load, files) == Arguments::Linux);
    let strange = [
        (
            !files.modules.is_empty() && !matches!(loader, Loader::Multiboot(_)),
            "module",
            "only a multiboot kernel has modules",
        ),
        (
            !files.initrds.is_empty() && !linux,
            "initrd",
            "only Linux has initrds; a multiboot kernel has modules, and an ELF kernel needs --args-linux",
        ),
        (files.dtb.is_some() && !linux, "dtb", "only Linux takes a device tree"),
        (!fits_arguments(load, loader), "args-…", "is for ELF files"),
        (
            load.entry_mode.is_some() && loader != Loader::BzImage,
            "real-mode and --entry-32bit",
            "are for bzImages",
        ),
        (
            load.entry.is_some() && loader != Loader::Elf,
            "entry",
            "is for ELF files: a kernel file defines its entry points",
        ),
        (load.no_efi && !linux, "noefi", "only Linux gets EFI data"),
        (load.crash && !linux, "load-panic", "only Linux can be a crash kernel"),
    ];
    match strange.into_iter().find(|(is_it, _, _)| *is_it) {
        None => Ok(()),
        Some((_, option, why)) => {
            bail!("--{option}: {why}; {} is of the format {loader}", Name(&files.kernel.path))
        }
    }
}

/// Whether the file can get its arguments as asked for: a bzImage always gets boot_params.
const fn fits_arguments(load: &Load, loader: Loader) -> bool {
    matches!(
        (load.arguments, loader),
        (None, _) | (_, Loader::Elf) | (Some(Arguments::Linux), Loader::BzImage)
    )
}

/// How an ELF file gets its arguments: as asked for, by default in the way of its kind.
fn arguments(load: &Load, files: &Files) -> Arguments {
    load.arguments.unwrap_or_else(|| if files.kernel.is_linux() { Arguments::Linux } else { Arguments::Elf })
}

fn program<'a>(files: &'a Files, load: &Load) -> anyhow::Result<Program<'a>> {
    let program = elf::parse(files.kernel.kernel()).with_context(|| Name(&files.kernel.path).to_string())?;
    Ok(Program { entry: load.entry.unwrap_or(program.entry), ..program })
}

fn limits(load: &Load) -> (u64, u64) {
    (load.lowest.unwrap_or(0), load.highest.unwrap_or(u64::MAX))
}

fn linux<'a>(
    kernel: Kernel<'a>,
    files: &'a Files,
    load: &Load,
    (machine, elfcorehdr_size): (&plan::Machine, Option<u64>),
    seed: Option<[u8; 32]>,
) -> anyhow::Result<LoadPlan<'a>> {
    let (lowest, highest) = limits(load);
    let home = match load.crash {
        true => Home::Crash { update_size: elfcorehdr_size },
        false => Home::Replace { lowest, highest },
    };
    let mode = match (load.entry_mode, load.format) {
        (Some(EntryMode::Real), _) => Some(CpuMode::Real),
        (Some(EntryMode::Protected), _) | (None, Some(Kind::BzImage)) => Some(CpuMode::Protected),
        (None, Some(Kind::BzImage64)) => Some(CpuMode::Long),
        (None, _) => None,
    };
    let request = linux::Request {
        kernel,
        mode,
        initrds: files.all_initrds()?,
        command_line: files.command_line.clone(),
        home,
        purgatory: purgatory::of(load),
        no_efi: load.no_efi,
        seed,
        device_tree: files.dtb.clone(),
    };
    Ok(linux::plan(&request, machine)?)
}

fn other<'a>(
    program: Program<'a>,
    notes: bool,
    files: &Files,
    load: &Load,
    machine: &plan::Machine,
) -> anyhow::Result<LoadPlan<'a>> {
    let command_line = files.command_line.clone();
    if !notes && !command_line.is_empty() {
        bail!("--args-none leaves no way to pass the command line");
    }
    let purgatory = purgatory::of(load);
    let request = plan::elf::Request { program, notes, command_line, limits: limits(load), purgatory };
    Ok(plan::elf::plan(&request, machine)?)
}

/// The command line of a multiboot kernel starts with the name of its file.
fn multiboot<'a>(
    version: Multiboot,
    files: &'a Files,
    load: &Load,
    machine: &plan::Machine,
) -> anyhow::Result<LoadPlan<'a>> {
    let kernel = multiboot::load(files.kernel.kernel(), version)
        .with_context(|| Name(&files.kernel.path).to_string())?;
    let mut command_line = files.kernel.path.as_os_str().as_encoded_bytes().to_vec();
    if !files.command_line.is_empty() {
        command_line.push(b' ');
        command_line.extend_from_slice(&files.command_line);
    }
    let modules = files
        .modules
        .iter()
        .map(|module| plan::multiboot::Module { string: &module.words, bytes: &module.bytes });
    let request = plan::multiboot::Request {
        kernel,
        command_line,
        modules: modules.collect(),
        limits: limits(load),
        purgatory: purgatory::of(load),
    };
    Ok(plan::multiboot::plan(&request, machine)?)
}
