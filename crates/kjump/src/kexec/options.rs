//! The one table of options: what the words mean, `--help`, the manual page and the completions are made of it.
//!
//! It holds every option of kexec-tools 2.0.32 on x86, so that a shortened name means what it means there, and kjump's own.

use clap::{Arg, ArgAction, Command, ValueHint};

/// An option.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opt {
    pub(super) long: &'static str,
    /// Letters it has, each of which will do; empty if none.
    pub(super) short: &'static str,
    /// What its value is called, if it takes one.
    pub(super) value: Option<&'static str>,
    /// The option that this is another name of, itself included.
    pub(super) same_as: Option<&'static str>,
    pub(super) id: Id,
    pub(super) part: Part,
    /// What `--help` says of it without `all`, if anything.
    brief: Option<&'static str>,
    pub(super) help: &'static str,
}

impl Opt {
    /// Whether kexec-tools has it too.
    pub(super) fn is_theirs(&self) -> bool {
        self.part != Own
    }

    /// `--help` shows it without `all`, with these words.
    const fn usual(self, brief: &'static str) -> Self {
        Self { brief: Some(brief), ..self }
    }

    const fn same_as(self, other: &'static str) -> Self {
        Self { same_as: Some(other), ..self }
    }
}

/// What an option is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// What is done.
    Action,
    /// How it is done.
    Manner,
    /// What is loaded, and what it is told: refused where nothing is loaded.
    Image,
    /// What the code between the kernels does.
    Purgatory,
    /// kjump's own: what is loaded beyond what kexec-tools can, and looking before leaping.
    Own,
}

impl Part {
    const fn heading(self) -> &'static str {
        match self {
            Self::Action => "What is done",
            Self::Manner => "How",
            Self::Image => "What is loaded",
            Self::Purgatory => "Between the kernels",
            Self::Own => "Beyond kexec-tools",
        }
    }
}

/// What an option does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Id {
    Help,
    Version,
    Debug,
    Load,
    LoadPanic,
    LoadPreserveContext,
    LoadJumpBackHelper,
    Exec,
    Force,
    Unload,
    Status,
    PrintCrashSize,
    FileSyscall,
    LoadSyscall,
    AutoSyscall,
    Type,
    NoChecks,
    NoIfdown,
    NoSync,
    MemMin,
    MemMax,
    Entry,
    NoCma,
    ForceDtb,
    Hotplug,
    ReuseInitrd,
    Xen,
    ResetVga,
    Serial,
    SerialBaud,
    PurgatoryPanic,
    ConsoleVga,
    ConsoleSerial,
    ElfHeaders,
    PassMemmap,
    NoEfi,
    ReuseVideoType,
    CommandLine,
    ReuseCommandLine,
    Initrd,
    ArgsElf,
    ArgsLinux,
    ArgsNone,
    Module,
    RealMode,
    Entry32,
    Dtb,
    RemoveWord,
    InitrdAdd,
    Check,
    DryRun,
    Json,
    Machine,
}

const fn flag(part: Part, long: &'static str, short: &'static str, id: Id, help: &'static str) -> Opt {
    Opt { long, short, value: None, same_as: None, id, part, brief: None, help }
}

const fn with_value(part: Part, long: &'static str, value: &'static str, id: Id, help: &'static str) -> Opt {
    Opt { value: Some(value), ..flag(part, long, "", id, help) }
}

use Part::{Action, Image, Manner, Own, Purgatory};

/// Every option.
pub(super) const OPTIONS: &[Opt] = &[
    flag(Action, "load", "l", Id::Load, "Load FILE and leave it at that").usual("Load FILE and leave it at that"),
    flag(
        Action,
        "exec",
        "e",
        Id::Exec,
        "Start what is loaded, without shutting anything down; call a jump load",
    )
    .usual("Start what is loaded, without a shutdown"),
    flag(Action, "force", "f", Id::Force, "Load FILE and start it, without shutting anything down").usual("Load FILE and start it, without a shutdown"),
    flag(Action, "unload", "u", Id::Unload, "Unload what is loaded; with --load-panic, the crash kernel")
        .usual("Unload what is loaded"),
    flag(
        Action,
        "status",
        "S",
        Id::Status,
        "Exit with 1 if a crash kernel is loaded, or with --load a kernel or image; else with 0",
    )
    .usual("Exit with 1 if a crash kernel is loaded"),
    flag(Action, "load-panic", "p", Id::LoadPanic, "Load FILE as the kernel to start when this one crashes")
        .usual("Load FILE as the kernel to start after a crash"),
    flag(
        Action,
        "load-preserve-context",
        "",
        Id::LoadPreserveContext,
        "Load FILE to be called and to return: an image with --args-none, or a kernel into a window (--mem-min, --mem-max)",
    )
    .usual("Load FILE to be called and to return"),
    flag(
        Action,
        "load-jump-back-helper",
        "",
        Id::LoadJumpBackHelper,
        "Load the way back to the kernel that jumped here, whose entry point --entry names",
    ),
    flag(
        Action,
        "print-ckr-size",
        "",
        Id::PrintCrashSize,
        "Print the size of the memory for crash kernels in bytes",
    ),
    flag(Action, "help", "h?", Id::Help, "Print help and exit; all of it with the word all").usual("Print help; all of it with the word all"),
    flag(Action, "version", "v", Id::Version, "Print the version and exit").usual("Print the version"),
    flag(Manner, "kexec-file-syscall", "s", Id::FileSyscall, "By kexec_file_load only").usual("By kexec_file_load only"),
    flag(Manner, "kexec-syscall", "c", Id::LoadSyscall, "By kexec_load only").usual("By kexec_load only"),
    flag(
        Manner,
        "kexec-syscall-auto",
        "a",
        Id::AutoSyscall,
        "By kexec_file_load, and where that cannot be by kexec_load: the default",
    )
    ,
    flag(Manner, "no-ifdown", "x", Id::NoIfdown, "Leave network interfaces up when starting"),
    flag(Manner, "no-sync", "y", Id::NoSync, "Do not write disks out before starting"),
    flag(Manner, "debug", "d", Id::Debug, "Say what is done and what is loaded where").usual("Say what is done and what is loaded where"),
    flag(Manner, "no-checks", "i", Id::NoChecks, "By kexec_load, start without checking what was loaded"),
    with_value(Manner, "mem-min", "ADDR", Id::MemMin, "Load nothing below this address"),
    with_value(
        Manner,
        "mem-max",
        "ADDR",
        Id::MemMax,
        "Load nothing above this address; for a jump load, the end of the window that FILE may use",
    ),
    with_value(Manner, "entry", "ADDR", Id::Entry, "Enter at this address in place of what FILE says"),
    flag(
        Manner,
        "no-cma",
        "",
        Id::NoCma,
        "By kexec_file_load, keep out of memory for contiguous allocations (6.17)",
    ),
    flag(
        Manner,
        "force-dtb",
        "",
        Id::ForceDtb,
        "By kexec_file_load, carry this kernel's device tree over (6.18)",
    ),
    flag(
        Manner,
        "hotplug",
        "",
        Id::Hotplug,
        "Let the kernel keep a crash kernel's list of CPUs and memory up to date",
    ),
    Opt {
        short: "t",
        ..with_value(
            Image,
            "type",
            "TYPE",
            Id::Type,
            "FILE is of this format: bzImage64, bzImage, elf-x86_64, elf-x86, multiboot2-x86, multiboot-x86, uki",
        )
    },
    with_value(Image, "command-line", "TEXT", Id::CommandLine, "The command line")
        .same_as("command-line")
        .usual("The command line"),
    with_value(Image, "append", "TEXT", Id::CommandLine, "The same; of several, the last counts")
        .same_as("command-line"),
    flag(
        Image,
        "reuse-cmdline",
        "",
        Id::ReuseCommandLine,
        "This kernel's command line, without BOOT_IMAGE, before that of --command-line",
    )
    .usual("Begin it with this kernel's command line"),
    with_value(Image, "initrd", "FILE", Id::Initrd, "An initrd; of several, one is unpacked after the other")
        .same_as("initrd")
        .usual("An initrd; repeatable"),
    with_value(Image, "ramdisk", "FILE", Id::Initrd, "The same").same_as("initrd"),
    with_value(
        Image,
        "module",
        "FILE WORDS",
        Id::Module,
        "A multiboot kernel's module with its command line; repeatable",
    ),
    with_value(Image, "dtb", "FILE", Id::Dtb, "A device tree for the kernel"),
    flag(Image, "real-mode", "", Id::RealMode, "Enter a bzImage in real mode, where it asks the BIOS"),
    flag(Image, "entry-32bit", "", Id::Entry32, "Enter a bzImage in 32-bit mode"),
    flag(Image, "args-linux", "", Id::ArgsLinux, "Tell an ELF file what a Linux kernel wants to be told"),
    flag(Image, "args-elf", "", Id::ArgsElf, "Tell an ELF file in ELF boot notes"),
    flag(Image, "args-none", "", Id::ArgsNone, "Tell an ELF file nothing"),
    flag(Image, "noefi", "", Id::NoEfi, "Do not tell the kernel of EFI"),
    flag(
        Image,
        "reuse-video-type",
        "",
        Id::ReuseVideoType,
        "Tell the kernel of the picture that this one was told of",
    ),
    flag(Image, "pass-memmap-cmdline", "", Id::PassMemmap, "Tell a crash kernel of memory by memmap= words"),
    flag(
        Manner,
        "elf64-core-headers",
        "",
        Id::ElfHeaders,
        "A crash kernel's headers are 64-bit ELF, as they always are",
    ),
    flag(Manner, "elf32-core-headers", "", Id::ElfHeaders, "Refused: 32-bit headers are for 32-bit kernels"),
    flag(Manner, "reuseinitrd", "", Id::ReuseInitrd, "Refused: x86 kernels do not keep their initrd"),
    flag(Manner, "load-live-update", "", Id::Xen, "Refused: for Xen"),
    flag(Manner, "exec-live-update", "", Id::Xen, "Refused: for Xen"),
    flag(Purgatory, "reset-vga", "", Id::ResetVga, "Reset the VGA card to text"),
    flag(Purgatory, "console-vga", "", Id::ConsoleVga, "Say on the VGA screen what goes on"),
    flag(Purgatory, "console-serial", "", Id::ConsoleSerial, "Say on a serial port what goes on"),
    with_value(Purgatory, "serial", "ttyS0|ttyS1|0xPORT", Id::Serial, "That serial port, ttyS0 if not given"),
    with_value(
        Purgatory,
        "serial-baud",
        "RATE",
        Id::SerialBaud,
        "Its speed, which is left as it is if not given",
    ),
    with_value(
        Purgatory,
        "purgatory-panic",
        "SECONDS",
        Id::PurgatoryPanic,
        "Reset the machine so long after saying that what was loaded is damaged (10)",
    ),
    flag(Own, "check", "", Id::Check, "Tell whether the load can work, and what stands in the way").usual("Tell whether the load can work, and why not"),
    flag(
        Own,
        "dry-run",
        "",
        Id::DryRun,
        "Print all that would be loaded; needs no privileges with --machine",
    )
    .usual("Print all that would be loaded"),
    flag(Own, "json", "", Id::Json, "With --check, print JSON"),
    with_value(
        Own,
        "machine",
        "FILE",
        Id::Machine,
        "With --check and --dry-run: a machine saved by `kjump machine save`",
    ),
    with_value(
        Own,
        "cmdline-remove",
        "WORD",
        Id::RemoveWord,
        "Leave WORD, or WORD=…, out of --reuse-cmdline; repeatable",
    ),
    with_value(
        Own,
        "initrd-add",
        "HOST:GUEST",
        Id::InitrdAdd,
        "Put a file or folder into the kernel's first file system; repeatable",
    )
    ,
];

const USAGE: &str = "kexec [--load | --force] [OPTIONS] FILE\n       kexec --exec | --unload | --status";
const ALL_USAGE: &str = "\
kexec --load [OPTIONS] FILE
       kexec --exec
       kexec --force [OPTIONS] FILE
       kexec [OPTIONS] FILE
       kexec --check [OPTIONS] FILE
       kexec --load-preserve-context --args-none [OPTIONS] FILE
       kexec --load-preserve-context --mem-min=ADDR --mem-max=ADDR [OPTIONS] FILE
       kexec --load-jump-back-helper --entry=ADDR
       kexec --unload
       kexec --status [--load]

Without an option that says what is done, FILE is loaded, and `shutdown -r now` run.";
const EXIT_STATUS: &str = "\
Exit status: 0 done, 1 the command line is wrong or nothing is loaded, 255 failed, 254 no memory is reserved for crash \
kernels, 253 -s and the kernel has no kexec_file_load, 3 an exception ended a called image.
Numbers are decimal, hexadecimal with 0x, or octal with 0.";

/// The options of kexec, for manual pages and completions. The words themselves are read in the manner of
/// `getopt_long(3)`.
#[must_use]
pub fn command() -> Command {
    let file = Arg::new("file")
        .value_name("FILE")
        .value_hint(ValueHint::FilePath)
        .help("A bzImage, UKI, ELF or multiboot file, compressed or not");
    let options = OPTIONS.iter().map(argument);
    named().args(options).arg(file).override_usage(ALL_USAGE).after_help(EXIT_STATUS)
}

fn named() -> Command {
    Command::new("kexec")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Load a kernel and start it in place of the running one, as kexec-tools does")
        .max_term_width(100)
        .disable_help_flag(true)
        .disable_version_flag(true)
}

fn argument(option: &'static Opt) -> Arg {
    let mut letters = option.short.chars();
    let argument = Arg::new(option.long)
        .long(option.long)
        .help(option.help)
        .short(letters.next())
        .help_heading(option.part.heading());
    match option.value {
        Some(name) => argument.value_name(name).action(ArgAction::Set).value_hint(match name {
            "FILE" | "HOST:GUEST" => ValueHint::FilePath,
            _ => ValueHint::Unknown,
        }),
        None => argument.action(ArgAction::SetTrue),
    }
}

/// The text of `--help`, or of `--help all`.
pub(super) fn help(all: bool) -> String {
    if all {
        return command().render_help().to_string();
    }
    let usual = OPTIONS.iter().filter_map(|option| {
        let brief = option.brief?;
        Some(argument(option).help(brief).help_heading(None::<&str>))
    });
    let template = "{about}\n\n{usage-heading} {usage}\n\n{options}{after-help}";
    let command = named().args(usual).override_usage(USAGE).help_template(template);
    command.after_help("`kexec --help all` tells the rest.").render_help().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sound() {
        command().debug_assert();
        for (index, option) in OPTIONS.iter().enumerate() {
            let others = OPTIONS.iter().skip(index + 1);
            assert!(others.clone().all(|other| other.long != option.long), "--{} twice", option.long);
            assert!(
                others.clone().all(|other| !option.short.chars().any(|letter| other.short.contains(letter)))
            );
            assert!(!option.help.is_empty(), "--{}", option.long);
        }
    }

    #[test]
    fn help_fits_a_screen() {
        let help = help(false);
        // Of the oldest terminals, with a line for the prompt.
        assert!(help.lines().count() <= 24, "{} lines", help.lines().count());
        assert!(help.lines().all(|line| line.chars().count() <= 80));
        insta::assert_snapshot!(help);
    }

    #[test]
    fn all_help_names_every_option() {
        let help = command().term_width(100).render_help().to_string();
        assert!(OPTIONS.iter().all(|option| help.contains(&format!("--{}", option.long))));
        // What scripts look for to know what a kexec can do.
        assert!(self::help(false).contains("reuse-cmdline"));
        insta::assert_snapshot!(help);
    }
}
