//! The one table of options. The parser, `--help`, the manual page and the completions are made
//! from it.
//!
//! It holds every option of kexec-tools 2.0.32 on x86, so that an abbreviated name means the same
//! there, and kjump's own.

mod table;

use clap::{Arg, ArgAction, Command, ValueHint};

pub(super) use table::OPTIONS;

/// An option.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opt {
    pub(super) long: &'static str,
    /// Its letters, any of which names it; may be empty.
    pub(super) short: &'static str,
    /// The name of its value, if it takes one.
    pub(super) value: Option<&'static str>,
    /// Whether the value can be left out.
    pub(super) optional: bool,
    /// For an option of several names, the first of them.
    pub(super) same_as: Option<&'static str>,
    pub(super) id: Id,
    pub(super) part: Part,
    /// What must take part in a load for the option to have an effect.
    pub(super) needs: Needs,
    /// The loads it can be used with.
    pub(super) with: Loads,
    /// Its text in the short `--help`, if it is shown there.
    brief: Option<&'static str>,
    pub(super) help: &'static str,
}

impl Opt {
    /// Whether kexec-tools has it too.
    pub(super) fn is_theirs(&self) -> bool {
        self.part != Part::Own
    }

    /// Whether it describes what is loaded, and so makes no sense where nothing is.
    pub(super) fn describes_file(&self) -> bool {
        self.part == Part::Image || matches!(self.id, Id::InitrdAdd | Id::BootEntry)
    }
}

/// The part of `--help` that an option belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// What is done.
    Action,
    /// How it is done.
    Manner,
    /// The file that is loaded, and what is passed to it.
    Image,
    /// What the code between the kernels does.
    Purgatory,
    /// kjump's own options, which kexec-tools does not have.
    Own,
}

impl Part {
    const fn heading(self) -> &'static str {
        match self {
            Self::Action => "Actions",
            Self::Manner => "How to load and start",
            Self::Image => "What to load",
            Self::Purgatory => "Between the kernels",
            Self::Own => "Beyond kexec-tools",
        }
    }
}

/// What must take part in a load for an option to have an effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Needs {
    Nothing,
    /// The system call `kexec_load`, or the module.
    KexecLoad,
    /// The system call `kexec_file_load`.
    FileLoad,
    /// A purgatory, which `kexec_file_load` does not take.
    Purgatory,
}

/// A set of kinds of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Loads(u8);

impl Loads {
    /// A kernel that replaces the running one.
    pub(super) const NORMAL: Self = Self(1);
    /// A kernel for `--load-panic`.
    pub(super) const CRASH: Self = Self(2);
    /// A kernel for `--load-preserve-context`, which comes back.
    pub(super) const RETURNING: Self = Self(4);
    /// An image for `--load-preserve-context --args-none`, which is called.
    pub(super) const CALLED: Self = Self(8);
    pub(super) const REPLACING: Self = Self(Self::NORMAL.0 | Self::CRASH.0);
    pub(super) const KERNELS: Self = Self(Self::REPLACING.0 | Self::RETURNING.0);
    pub(super) const ALL: Self = Self(Self::KERNELS.0 | Self::CALLED.0);

    const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub(super) const fn contain(self, kind: Self) -> bool {
        self.0 & kind.0 == kind.0
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
    Elf64Headers,
    Elf32Headers,
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
    RemoveParameter,
    InitrdAdd,
    Prepare,
    Check,
    DryRun,
    Trial,
    Health,
    Deadline,
    ThenStart,
    Json,
    Machine,
    BootEntry,
    ListEntries,
}

const USAGE: &str = "kexec [--load | --force] [OPTIONS] FILE\n       kexec --exec | --unload | --status";
const ALL_USAGE: &str = "\
kexec --load [OPTIONS] FILE
       kexec --exec
       kexec --force [OPTIONS] FILE
       kexec [OPTIONS] FILE
       kexec --check [OPTIONS] FILE
       kexec --trial [--health=CMD] [--then-start] [OPTIONS] FILE
       kexec --load --boot-entry[=NAME] [OPTIONS]
       kexec --list-entries [--json]
       kexec --load-preserve-context --args-none [OPTIONS] FILE
       kexec --load-preserve-context --mem-min=ADDR --mem-max=ADDR [OPTIONS] FILE
       kexec --load-jump-back-helper --entry=ADDR
       kexec --unload
       kexec --status [--load]

Without an action, FILE is loaded and `shutdown -r now` is run.";
const EXIT_STATUS: &str = "\
Exit status: 0 success, 1 wrong command line or nothing loaded, 255 failure, 254 no memory reserved \
for crash kernels, 253 -s without kexec_file_load in the kernel, 3 an exception ended a called image;
with --trial, 1 not healthy, 3 an exception ended the kernel, 4 it panicked, 5 it passed the deadline.
Numbers are decimal, hexadecimal with 0x, or octal with 0.";

/// The options of kexec, for manual pages and completions. The command line itself is parsed as by
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
    let Some(name) = option.value else { return argument.action(ArgAction::SetTrue) };
    let argument = argument.value_name(name).action(ArgAction::Set).value_hint(match name {
        "FILE" | "HOST:GUEST" => ValueHint::FilePath,
        _ => ValueHint::Unknown,
    });
    if option.optional { argument.num_args(0..=1).require_equals(true) } else { argument }
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
    command.after_help("`kexec --help all` lists all options.").render_help().to_string()
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
