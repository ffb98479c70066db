//! The table: one entry an option, in the order of `--help all`.

use super::{Id, Loads, Needs, Opt, Part};

/// An option of what is done, which takes no value and goes with everything.
const ACTION: Opt = Opt {
    long: "",
    short: "",
    value: None,
    optional: false,
    same_as: None,
    id: Id::Help,
    part: Part::Action,
    needs: Needs::Nothing,
    with: Loads::ALL,
    brief: None,
    help: "",
};
const MANNER: Opt = Opt { part: Part::Manner, ..ACTION };
const IMAGE: Opt = Opt { part: Part::Image, with: Loads::REPLACING, ..ACTION };
const PURGATORY: Opt = Opt { part: Part::Purgatory, needs: Needs::Purgatory, with: Loads::KERNELS, ..ACTION };
const OWN: Opt = Opt { part: Part::Own, ..ACTION };

/// Every option.
pub(in crate::kexec) const OPTIONS: &[Opt] = &[
    Opt {
        long: "load",
        short: "l",
        id: Id::Load,
        brief: Some("Load FILE"),
        help: "Load FILE, and do not start it",
        ..ACTION
    },
    Opt {
        long: "exec",
        short: "e",
        id: Id::Exec,
        brief: Some("Start what is loaded, without a shutdown"),
        help: "Start what is loaded, without shutting down the system; call an image that returns",
        ..ACTION
    },
    Opt {
        long: "force",
        short: "f",
        id: Id::Force,
        brief: Some("Load FILE and start it, without a shutdown"),
        help: "Load FILE and start it, without shutting down the system",
        ..ACTION
    },
    Opt {
        long: "unload",
        short: "u",
        id: Id::Unload,
        brief: Some("Unload what is loaded"),
        help: "Unload what is loaded; with --load-panic, the crash kernel",
        ..ACTION
    },
    Opt {
        long: "status",
        short: "S",
        id: Id::Status,
        brief: Some("Exit with 1 if a crash kernel is loaded"),
        help: "Exit with 1 if a crash kernel is loaded, or with --load a kernel or image; otherwise \
               with 0",
        ..ACTION
    },
    Opt {
        long: "load-panic",
        short: "p",
        id: Id::LoadPanic,
        brief: Some("Load FILE as the kernel to start after a crash"),
        help: "Load FILE as the kernel to start when this one crashes",
        ..ACTION
    },
    Opt {
        long: "load-preserve-context",
        id: Id::LoadPreserveContext,
        brief: Some("Load FILE as an image or kernel that returns"),
        help: "Load FILE as something that returns: with --args-none an image to call, otherwise a \
               kernel that runs in the memory from --mem-min to --mem-max",
        ..ACTION
    },
    Opt {
        long: "load-jump-back-helper",
        id: Id::LoadJumpBackHelper,
        help: "Prepare to return to the kernel that booted this one, at the address given with --entry",
        ..ACTION
    },
    Opt {
        long: "print-ckr-size",
        id: Id::PrintCrashSize,
        help: "Print the size of the memory reserved for crash kernels, in bytes",
        ..ACTION
    },
    Opt {
        long: "help",
        short: "h?",
        id: Id::Help,
        brief: Some("Print help; `--help all` prints all of it"),
        help: "Print help and exit; `--help all` prints all of it",
        ..ACTION
    },
    Opt {
        long: "version",
        short: "v",
        id: Id::Version,
        brief: Some("Print the version"),
        help: "Print the version and exit",
        ..ACTION
    },
    Opt {
        long: "kexec-file-syscall",
        short: "s",
        id: Id::FileSyscall,
        brief: Some("Use kexec_file_load only"),
        help: "Use kexec_file_load only",
        ..MANNER
    },
    Opt {
        long: "kexec-syscall",
        short: "c",
        id: Id::LoadSyscall,
        brief: Some("Use kexec_load only"),
        help: "Use kexec_load only",
        ..MANNER
    },
    Opt {
        long: "kexec-syscall-auto",
        short: "a",
        id: Id::AutoSyscall,
        help: "Try kexec_file_load, then kexec_load: the default",
        ..MANNER
    },
    Opt {
        long: "no-ifdown",
        short: "x",
        id: Id::NoIfdown,
        help: "Leave network interfaces up when starting a kernel",
        ..MANNER
    },
    Opt {
        long: "no-sync",
        short: "y",
        id: Id::NoSync,
        help: "Do not sync file systems before starting a kernel",
        ..MANNER
    },
    Opt {
        long: "debug",
        short: "d",
        id: Id::Debug,
        brief: Some("Print each step and the load addresses"),
        help: "Print each step and the load addresses",
        ..MANNER
    },
    Opt {
        long: "no-checks",
        short: "i",
        id: Id::NoChecks,
        help: "With kexec_load, start the kernel without verifying its digest",
        ..MANNER
    },
    Opt {
        long: "mem-min",
        value: Some("ADDR"),
        id: Id::MemMin,
        needs: Needs::KexecLoad,
        help: "Load nothing below this address",
        ..MANNER
    },
    Opt {
        long: "mem-max",
        value: Some("ADDR"),
        id: Id::MemMax,
        needs: Needs::KexecLoad,
        help: "Load nothing above this address; with --load-preserve-context, the last address that \
               FILE may use",
        ..MANNER
    },
    Opt {
        long: "entry",
        value: Some("ADDR"),
        id: Id::Entry,
        needs: Needs::KexecLoad,
        with: Loads::ALL.without(Loads::RETURNING),
        help: "Start at this address instead of FILE's entry point",
        ..MANNER
    },
    Opt {
        long: "no-cma",
        id: Id::NoCma,
        needs: Needs::FileLoad,
        with: Loads::REPLACING,
        help: "With kexec_file_load, keep out of memory for contiguous allocations (Linux 6.17)",
        ..MANNER
    },
    Opt {
        long: "force-dtb",
        id: Id::ForceDtb,
        needs: Needs::FileLoad,
        with: Loads::REPLACING,
        help: "With kexec_file_load, pass on this kernel's device tree (Linux 6.18)",
        ..MANNER
    },
    Opt {
        long: "hotplug",
        id: Id::Hotplug,
        needs: Needs::KexecLoad,
        with: Loads::CRASH,
        help: "Let this kernel update a crash kernel's list of CPUs and memory",
        ..MANNER
    },
    Opt {
        long: "type",
        short: "t",
        value: Some("TYPE"),
        id: Id::Type,
        with: Loads::ALL,
        help: "FILE's format: bzImage64, bzImage, elf-x86_64, elf-x86, multiboot2-x86, multiboot-x86 \
               or uki",
        ..IMAGE
    },
    Opt {
        long: "command-line",
        value: Some("TEXT"),
        same_as: Some("command-line"),
        id: Id::CommandLine,
        with: Loads::KERNELS,
        brief: Some("The command line"),
        help: "The command line",
        ..IMAGE
    },
    Opt {
        long: "append",
        value: Some("TEXT"),
        same_as: Some("command-line"),
        id: Id::CommandLine,
        with: Loads::KERNELS,
        help: "Another name for --command-line; the last one counts",
        ..IMAGE
    },
    Opt {
        long: "reuse-cmdline",
        id: Id::ReuseCommandLine,
        with: Loads::KERNELS,
        brief: Some("Start with this kernel's command line"),
        help: "Start with this kernel's command line, without BOOT_IMAGE, and append --command-line; \
               parameters go before `--`, arguments for init after it",
        ..IMAGE
    },
    Opt {
        long: "initrd",
        value: Some("FILE"),
        same_as: Some("initrd"),
        id: Id::Initrd,
        with: Loads::KERNELS,
        brief: Some("An initrd; repeatable"),
        help: "An initrd; repeatable, unpacked in the order given",
        ..IMAGE
    },
    Opt {
        long: "ramdisk",
        value: Some("FILE"),
        same_as: Some("initrd"),
        id: Id::Initrd,
        with: Loads::KERNELS,
        help: "Another name for --initrd",
        ..IMAGE
    },
    Opt {
        long: "module",
        value: Some("FILE ARGS"),
        id: Id::Module,
        needs: Needs::KexecLoad,
        help: "A module for a multiboot kernel, with its command line; repeatable",
        ..IMAGE
    },
    Opt {
        long: "dtb",
        value: Some("FILE"),
        id: Id::Dtb,
        needs: Needs::KexecLoad,
        help: "A device tree for the kernel",
        ..IMAGE
    },
    Opt {
        long: "real-mode",
        id: Id::RealMode,
        needs: Needs::KexecLoad,
        help: "Start a bzImage in real mode, where it calls the BIOS",
        ..IMAGE
    },
    Opt {
        long: "entry-32bit",
        id: Id::Entry32,
        needs: Needs::KexecLoad,
        help: "Start a bzImage in 32-bit mode",
        ..IMAGE
    },
    Opt {
        long: "args-linux",
        id: Id::ArgsLinux,
        help: "Pass boot_params to an ELF file, as to a Linux kernel",
        ..IMAGE
    },
    Opt {
        long: "args-elf",
        id: Id::ArgsElf,
        needs: Needs::KexecLoad,
        help: "Pass ELF boot notes to an ELF file",
        ..IMAGE
    },
    Opt {
        long: "args-none",
        id: Id::ArgsNone,
        needs: Needs::KexecLoad,
        with: Loads::ALL,
        help: "Pass nothing to an ELF file",
        ..IMAGE
    },
    Opt {
        long: "noefi",
        id: Id::NoEfi,
        needs: Needs::KexecLoad,
        help: "Do not pass EFI data to the kernel",
        ..IMAGE
    },
    Opt {
        long: "reuse-video-type",
        id: Id::ReuseVideoType,
        needs: Needs::KexecLoad,
        help: "Pass on this kernel's video mode",
        ..IMAGE
    },
    Opt {
        long: "pass-memmap-cmdline",
        id: Id::PassMemmap,
        needs: Needs::KexecLoad,
        with: Loads::CRASH,
        help: "Pass memory to a crash kernel in memmap= parameters",
        ..IMAGE
    },
    Opt {
        long: "elf64-core-headers",
        id: Id::Elf64Headers,
        help: "Accepted: a crash kernel's ELF headers are always 64-bit",
        ..MANNER
    },
    Opt {
        long: "elf32-core-headers",
        id: Id::Elf32Headers,
        help: "Refused: 32-bit headers are for 32-bit kernels",
        ..MANNER
    },
    Opt {
        long: "reuseinitrd",
        id: Id::ReuseInitrd,
        help: "Refused: x86 kernels do not keep their initrd",
        ..MANNER
    },
    Opt { long: "load-live-update", id: Id::Xen, help: "Refused: for Xen only", ..MANNER },
    Opt { long: "exec-live-update", id: Id::Xen, help: "Refused: for Xen only", ..MANNER },
    Opt { long: "reset-vga", id: Id::ResetVga, help: "Reset the VGA card to text mode", ..PURGATORY },
    Opt { long: "console-vga", id: Id::ConsoleVga, help: "Print progress on the VGA screen", ..PURGATORY },
    Opt {
        long: "console-serial",
        id: Id::ConsoleSerial,
        help: "Print progress on a serial port",
        ..PURGATORY
    },
    Opt {
        long: "serial",
        value: Some("ttyS0|ttyS1|0xPORT"),
        id: Id::Serial,
        help: "The serial port; default ttyS0",
        ..PURGATORY
    },
    Opt {
        long: "serial-baud",
        value: Some("RATE"),
        id: Id::SerialBaud,
        help: "The speed of the serial port; default: unchanged",
        ..PURGATORY
    },
    Opt {
        long: "purgatory-panic",
        value: Some("SECONDS"),
        id: Id::PurgatoryPanic,
        help: "How long to show the error before a reset if the loaded kernel is damaged; default 10",
        ..PURGATORY
    },
    Opt {
        long: "prepare",
        id: Id::Prepare,
        needs: Needs::KexecLoad,
        with: Loads::NORMAL,
        help: "Unpack a bzImage and its initrds now, and load the kernel at random addresses, so that \
               less time passes from --exec to the next kernel",
        ..OWN
    },
    Opt {
        long: "check",
        id: Id::Check,
        with: Loads::REPLACING,
        brief: Some("Report whether the load can work, or why not"),
        help: "Report whether the load can work, and what prevents it",
        ..OWN
    },
    Opt {
        long: "dry-run",
        id: Id::DryRun,
        with: Loads::REPLACING,
        brief: Some("Print what would be loaded"),
        help: "Print everything that would be loaded; with --machine, needs no privileges",
        ..OWN
    },
    Opt {
        long: "trial",
        id: Id::Trial,
        with: Loads::NORMAL,
        help: "Boot the kernel next to this one, check its drivers, and come back with a report, as \
               `kjump try`",
        ..OWN
    },
    Opt {
        long: "health",
        value: Some("CMD"),
        id: Id::Health,
        with: Loads::NORMAL,
        help: "With --trial: a command that the kernel runs after the checks; it is unhealthy if the \
               command fails",
        ..OWN
    },
    Opt {
        long: "deadline",
        value: Some("SECONDS"),
        id: Id::Deadline,
        with: Loads::NORMAL,
        help: "With --trial: stop the kernel after this time; default 120",
        ..OWN
    },
    Opt {
        long: "then-start",
        id: Id::ThenStart,
        with: Loads::NORMAL,
        help: "With --trial: if the kernel is healthy, load it and shut the system down to start it",
        ..OWN
    },
    Opt { long: "json", id: Id::Json, help: "With --check, --trial or --list-entries, print JSON", ..OWN },
    Opt {
        long: "machine",
        value: Some("FILE"),
        id: Id::Machine,
        help: "With --check or --dry-run: use a machine saved by `kjump machine save`",
        ..OWN
    },
    Opt {
        long: "boot-entry",
        value: Some("NAME"),
        optional: true,
        id: Id::BootEntry,
        with: Loads::REPLACING,
        help: "Load the kernel, initrds and command line of the boot loader's default entry, or of the \
               entry with this name, title, place in the menu or kernel release; --append, --initrd and \
               the like add to them",
        ..OWN
    },
    Opt {
        long: "list-entries",
        id: Id::ListEntries,
        help: "List the boot loader's entries that start Linux; * is the default",
        ..OWN
    },
    Opt {
        long: "cmdline-remove",
        value: Some("NAME"),
        id: Id::RemoveParameter,
        with: Loads::KERNELS,
        help: "Remove the parameter NAME, or only NAME=VALUE, from --reuse-cmdline or --boot-entry; \
               repeatable",
        ..OWN
    },
    Opt {
        long: "initrd-add",
        value: Some("HOST:GUEST"),
        id: Id::InitrdAdd,
        with: Loads::REPLACING,
        help: "Add a file or directory to the kernel's initramfs; repeatable",
        ..OWN
    },
];
