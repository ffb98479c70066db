//! The effects of the options, applied one after the other: of options that contradict each other,
//! the last one counts.

use std::ffi::{OsStr, OsString};

use abi::kexec::file_flag;

use super::{Trouble, bad_value, kind_named};
use crate::initramfs::args::pair;
use crate::kexec::options::{Id, Loads, Needs, Opt};
use crate::kexec::request::{
    Action, Arguments, CalledLoad, EntryMode, Load, Purpose, Reservation, ReturningLoad, Then, Wanted, Work,
};
use crate::terminal::number;

/// The options and operands so far.
pub(super) struct Parsed {
    pub(super) operands: Vec<OsString>,
    /// The options in their order.
    given: Vec<&'static Opt>,
    actions: Actions,
    kind: LoadKind,
    has_load: bool,
    unload: bool,
    status: bool,
    jump_back: bool,
    skip_sync: bool,
    skip_ifdown: bool,
    json: bool,
    list: bool,
    wanted: Wanted,
    load: Load,
}

/// Whether to load, start and shut down: each option for one of them sets them all.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Actions {
    load: bool,
    start: bool,
    shutdown: bool,
}

/// The kinds of load replace each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LoadKind {
    Normal,
    Crash,
    PreserveContext,
}

impl Default for Parsed {
    /// Without an option, a file is loaded and the system shut down.
    fn default() -> Self {
        Self {
            operands: Vec::new(),
            given: Vec::new(),
            actions: Actions { load: true, start: false, shutdown: true },
            kind: LoadKind::Normal,
            has_load: false,
            unload: false,
            status: false,
            jump_back: false,
            skip_sync: false,
            skip_ifdown: false,
            json: false,
            list: false,
            wanted: Wanted::default(),
            load: Load::default(),
        }
    }
}

const LOAD: Actions = Actions { load: true, start: false, shutdown: false };
const LOAD_AND_START: Actions = Actions { load: true, start: true, shutdown: false };
const START: Actions = Actions { load: false, start: true, shutdown: false };
const NEITHER: Actions = Actions { load: false, start: false, shutdown: false };

impl Parsed {
    /// Applies one option.
    pub(super) fn apply(&mut self, option: &'static Opt, value: &OsStr) -> Result<(), Trouble> {
        self.given.push(option);
        if !self.apply_action(option) && !self.apply_manner(option, value)? {
            self.apply_image(option, value)?;
        }
        Ok(())
    }

    /// Applies an option that selects what is done; whether it is one.
    fn apply_action(&mut self, option: &Opt) -> bool {
        match option.id {
            Id::Load => (self.actions, self.has_load) = (LOAD, true),
            Id::Exec => self.actions = START,
            Id::Force => self.actions = LOAD_AND_START,
            Id::Unload => {
                // As in kexec-tools, --exec stays in force; then there is nothing to start, which
                // is an error.
                self.actions = Actions { load: false, shutdown: false, ..self.actions };
                self.unload = true;
            }
            Id::Status => self.status = true,
            Id::ListEntries => self.list = true,
            Id::LoadPanic => (self.actions, self.kind) = (LOAD, LoadKind::Crash),
            Id::LoadPreserveContext => (self.actions, self.kind) = (LOAD, LoadKind::PreserveContext),
            Id::LoadJumpBackHelper => (self.actions, self.jump_back) = (NEITHER, true),
            _ => return false,
        }
        true
    }

    /// Applies an option that selects how it is done; whether it is one.
    fn apply_manner(&mut self, option: &Opt, value: &OsStr) -> Result<bool, Trouble> {
        let load = &mut self.load;
        match option.id {
            Id::Debug => load.debug = true,
            Id::NoChecks => load.no_checks = true,
            Id::Prepare => load.prepare = true,
            Id::NoIfdown => self.skip_ifdown = true,
            Id::NoSync => self.skip_sync = true,
            Id::FileSyscall => self.wanted = Wanted::FileLoad,
            Id::LoadSyscall => self.wanted = Wanted::Load,
            Id::AutoSyscall => self.wanted = Wanted::Either,
            Id::MemMin => load.lowest = Some(address(option, value)?),
            Id::MemMax => load.highest = Some(address(option, value)?),
            Id::Entry => load.entry = Some(address(option, value)?),
            Id::NoCma => load.file_flags |= file_flag::NO_CMA,
            Id::ForceDtb => load.file_flags |= file_flag::FORCE_DTB,
            Id::NoEfi => load.no_efi = true,
            Id::ReuseVideoType => load.reuse_video_type = true,
            Id::Json => self.json = true,
            Id::DryRun => load.purpose = Purpose::DryRun,
            Id::Check => load.purpose = Purpose::Check { json: false },
            Id::Trial => load.purpose = Purpose::Trial { json: false },
            Id::Health => load.trial.health = Some(value.into()),
            Id::Deadline => {
                let text = value.to_str().ok_or_else(|| bad_value(option, value))?;
                number::deadline(text).map_err(Trouble::Usage)?;
                load.trial.deadline = Some(value.into());
            }
            Id::ThenStart => load.trial.then_start = true,
            Id::Machine => load.machine = Some(value.into()),
            Id::Elf32Headers | Id::ReuseInitrd | Id::Xen => return Err(refused(option)),
            Id::Serial => load.for_purgatory.serial = Some(port(value)?),
            Id::SerialBaud => load.for_purgatory.baud = Some(baud(value)?),
            Id::ResetVga => load.for_purgatory.reset_vga = true,
            Id::ConsoleVga => load.for_purgatory.console_vga = true,
            Id::ConsoleSerial => load.for_purgatory.console_serial = true,
            Id::PurgatoryPanic => load.for_purgatory.pause = Some(seconds(option, value)?),
            Id::Hotplug => load.hotplug = true,
            Id::PassMemmap | Id::Elf64Headers => {}
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Applies an option that describes the file to load.
    fn apply_image(&mut self, option: &Opt, value: &OsStr) -> Result<(), Trouble> {
        let load = &mut self.load;
        match option.id {
            Id::Type => {
                let named = value.to_str().ok_or_else(|| bad_value(option, value))?;
                load.format = Some(kind_named(named).map_err(Trouble::Usage)?);
            }
            Id::CommandLine => load.command_line = Some(value.into()),
            Id::ReuseCommandLine => load.reuse = true,
            Id::RemoveParameter => load.remove.push(value.into()),
            Id::BootEntry => load.boot_entry = Some(value.into()),
            Id::Initrd => load.initrds.push(value.into()),
            Id::InitrdAdd => {
                let pair =
                    pair(value).map_err(|text| Trouble::Usage(format!("--{}: {text}", option.long)))?;
                load.add.push(pair);
            }
            Id::Module => load.modules.push(value.into()),
            Id::Dtb => load.dtb = Some(value.into()),
            Id::RealMode => load.entry_mode = Some(EntryMode::Real),
            Id::Entry32 => load.entry_mode = Some(EntryMode::Protected),
            Id::ArgsLinux => load.arguments = Some(Arguments::Linux),
            Id::ArgsElf => load.arguments = Some(Arguments::Elf),
            Id::ArgsNone => load.arguments = Some(Arguments::None),
            _ => {}
        }
        Ok(())
    }

    /// What all of them together ask for.
    pub(super) fn action(mut self) -> Result<Action, Trouble> {
        if self.list {
            return self.listing();
        }
        match &mut self.load.purpose {
            Purpose::Check { json } | Purpose::Trial { json } => *json = self.json,
            _ if self.json => return usage("--json is for --check, --trial and --list-entries"),
            _ => {}
        }
        self.check_trial()?;
        if self.load.purpose != Purpose::Load && (self.status || !self.actions.load) {
            return usage("--check, --dry-run and --trial need a file to load");
        }
        if self.load.machine.is_some() && self.load.boot_entry.is_some() {
            return usage(
                "--boot-entry reads this machine's boot menu, which a saved --machine does not have",
            );
        }
        if self.load.machine.is_some() && self.load.purpose == Purpose::Load {
            return usage(
                "--machine is for --check and --dry-run: nothing can be loaded on another \
                          machine",
            );
        }
        if self.status || !self.actions.load {
            self.refuse_file_options()?;
        }
        if self.status {
            let normal =
                (self.has_load || self.kind == LoadKind::PreserveContext) && self.kind != LoadKind::Crash;
            return Ok(Action::Status(if normal { Reservation::Normal } else { Reservation::Crash }));
        }
        if self.jump_back {
            return Ok(Action::LoadJumpBackHelper { entry: self.load.entry });
        }
        if self.actions.load && self.kind == LoadKind::PreserveContext {
            return match self.load.arguments {
                Some(Arguments::None) => self.called_load().map(Action::LoadCalled),
                _ => self.returning_load().map(|load| Action::LoadReturning(Box::new(load))),
            };
        }
        self.work().map(|work| Action::Work(Box::new(work)))
    }

    /// Refuses options that a trial would ignore, and options of a trial where there is none.
    fn check_trial(&self) -> Result<(), Trouble> {
        let is_trial = matches!(self.load.purpose, Purpose::Trial { .. });
        for option in &self.given {
            let known = match option.id {
                Id::Health | Id::Deadline | Id::ThenStart => is_trial,
                _ if !is_trial => true,
                Id::FileSyscall | Id::LoadSyscall | Id::AutoSyscall | Id::Prepare | Id::NoChecks => {
                    self.load.trial.then_start
                }
                Id::Trial | Id::Json | Id::Debug | Id::Load => true,
                Id::Initrd | Id::CommandLine | Id::ReuseCommandLine => true,
                Id::RemoveParameter | Id::BootEntry => true,
                _ => false,
            };
            let long = option.long;
            match (known, is_trial, option.id) {
                (true, _, _) => {}
                (_, false, _) => return usage(format!("--{long} is for --trial")),
                (_, _, Id::Exec | Id::Force) => {
                    return usage(format!(
                        "--{long}: --trial starts a kernel for good only with --then-start"
                    ));
                }
                _ => return usage(format!("--{long} is not for --trial")),
            }
        }
        Ok(())
    }

    fn listing(&self) -> Result<Action, Trouble> {
        let other = self.given.iter().find(|option| !matches!(option.id, Id::ListEntries | Id::Json));
        match (other, self.operands.first()) {
            (Some(option), _) => usage(format!("--{} is not for --list-entries", option.long)),
            (_, Some(operand)) => {
                usage(format!("unexpected operand {operand:?}: --list-entries loads no file"))
            }
            _ => Ok(Action::ListEntries { json: self.json }),
        }
    }

    fn refuse_file_options(&self) -> Result<(), Trouble> {
        match self.given.iter().find(|option| option.describes_file()) {
            None => Ok(()),
            Some(option) => usage(format!("--{} describes a file to load, and none is loaded", option.long)),
        }
    }

    fn work(mut self) -> Result<Work, Trouble> {
        let crash = self.kind == LoadKind::Crash;
        let debug = self.load.debug;
        let then = match self.actions {
            Actions { shutdown: true, .. } => Then::Shutdown,
            Actions { start: true, .. } => Then::Start { sync: !self.skip_sync, ifdown: !self.skip_ifdown },
            _ => Then::Nothing,
        };
        let load = if self.actions.load { Some(self.load()?) } else { None };
        if let (None, Some(operand)) = (&load, self.operands.first()) {
            return usage(format!("{operand:?} is a file, and nothing is loaded"));
        }
        let unload = self.unload.then_some(if crash { Reservation::Crash } else { Reservation::Normal });
        Ok(Work { unload, load, then, wanted: self.wanted, debug })
    }

    fn load(&mut self) -> Result<Load, Trouble> {
        let mut load = std::mem::take(&mut self.load);
        load.crash = self.kind == LoadKind::Crash;
        load.file = match self.operands.as_slice() {
            [file] if load.boot_entry.is_some() => {
                return usage(format!(
                    "--boot-entry names the kernel: leave out {file:?}, or write --boot-entry={} if that \
                     is the entry",
                    file.display()
                ));
            }
            [] if load.boot_entry.is_some() => None,
            [file] => Some(file.into()),
            [] if matches!(load.purpose, Purpose::Check { .. }) => None,
            [] => {
                return Err(Trouble::Failed(anyhow::anyhow!("No kernel specified; see `kexec --help`")));
            }
            [first, second, ..] => return two_files(first, second),
        };
        if let (Some(lowest), Some(highest)) = (load.lowest, load.highest)
            && lowest > highest
        {
            return Err(above(lowest, highest));
        }
        let kind = if load.crash { Loads::CRASH } else { Loads::NORMAL };
        if self.kind != LoadKind::PreserveContext
            && let Some(option) = self.not_with(kind)
        {
            return usage(match load.crash {
                true => format!("--{} is not for crash kernels", option.long),
                false => format!("--{} is for crash kernels, which --load-panic loads", option.long),
            });
        }
        let needing =
            |needs| self.given.iter().find(|option| option.needs == needs).map(|option| option.long);
        load.needs_load = needing(Needs::KexecLoad).or(needing(Needs::Purgatory));
        load.needs_file_load = needing(Needs::FileLoad);
        conflicts(&load, self.wanted)?;
        Ok(load)
    }

    /// The first option that is not for this kind of load.
    fn not_with(&self, kind: Loads) -> Option<&'static Opt> {
        self.given.iter().copied().find(|option| !option.with.contain(kind))
    }

    /// The first and the last address that may be used, if they are given.
    fn window(&self) -> Result<Option<(u64, u64)>, Trouble> {
        match (self.load.lowest, self.load.highest) {
            (Some(_), None) => usage("--mem-min needs --mem-max"),
            (_, None) => Ok(None),
            (min, Some(max)) if min.unwrap_or(0) > max => Err(above(min.unwrap_or(0), max)),
            (min, Some(max)) => Ok(Some((min.unwrap_or(0), max))),
        }
    }

    fn returning_load(&mut self) -> Result<ReturningLoad, Trouble> {
        let window = self.window()?.ok_or_else(|| {
            Trouble::Usage(
                "--load-preserve-context needs --mem-min and --mem-max: the memory that the kernel runs in"
                    .into(),
            )
        })?;
        match self.not_with(Loads::RETURNING) {
            Some(Opt { id: Id::DryRun | Id::Check, long, .. }) => usage(format!(
                "--{long} is not for a kernel that returns; `kjump boot --dry-run` prints where one \
                 would be loaded"
            )),
            Some(option) => usage(format!("--{} is not for a kernel that returns", option.long)),
            None => Ok(ReturningLoad { load: self.load()?, window }),
        }
    }

    fn called_load(&mut self) -> Result<CalledLoad, Trouble> {
        let window = self.window()?;
        match self.not_with(Loads::CALLED) {
            Some(Opt { needs: Needs::Purgatory, long, .. }) => usage(format!(
                "--{long} is for purgatory, and an image that is called with --args-none is entered \
                 without one"
            )),
            Some(option) => {
                usage(format!("--{} is not for an image that is called with --args-none", option.long))
            }
            None => match self.operands.as_slice() {
                [file] => Ok(CalledLoad {
                    file: file.into(),
                    entry: self.load.entry,
                    window,
                    debug: self.load.debug,
                }),
                [] => Err(Trouble::Failed(anyhow::anyhow!("No file specified; see `kexec --help`"))),
                [first, second, ..] => two_files(first, second),
            },
        }
    }
}

fn usage<T>(text: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble::Usage(text.into()))
}

fn two_files<T>(first: &OsStr, second: &OsStr) -> Result<T, Trouble> {
    usage(format!("only one file can be loaded, not both {first:?} and {second:?}"))
}

fn above(lowest: u64, highest: u64) -> Trouble {
    Trouble::Usage(format!("--mem-min {lowest:#x} is above --mem-max {highest:#x}"))
}

/// Options that contradict each other, or the system call that is asked for.
fn conflicts(load: &Load, wanted: Wanted) -> Result<(), Trouble> {
    match (wanted, load.needs_load, load.needs_file_load) {
        (_, Some(a), Some(b)) => {
            usage(format!("--{a} needs kexec_load and --{b} needs kexec_file_load: only one can be used"))
        }
        (Wanted::FileLoad, Some(option), _) => {
            usage(format!("--{option} not supported with kexec_file_load; leave out -s to use kexec_load"))
        }
        (Wanted::Load, _, Some(option)) => {
            usage(format!("--{option} not supported with kexec_load; leave out -c to use kexec_file_load"))
        }
        _ => Ok(()),
    }?;
    match (load.entry_mode, load.arguments) {
        (Some(_), Some(Arguments::Elf | Arguments::None)) => usage(
            "--real-mode and --entry-32bit are for bzImages, --args-elf and --args-none for ELF \
                   files",
        ),
        (Some(_), _) if load.prepare => usage(
            "--prepare unpacks a kernel, which is entered in 64-bit mode; leave out --real-mode and \
             --entry-32bit",
        ),
        _ if !load.remove.is_empty() && !load.reuse && load.boot_entry.is_none() => {
            usage("--cmdline-remove needs --reuse-cmdline or --boot-entry")
        }
        _ => Ok(()),
    }
}

fn refused(option: &Opt) -> Trouble {
    let why = match option.id {
        Id::ReuseInitrd => "an x86 kernel does not keep its initrd in memory; name the file with --initrd",
        Id::Xen => "is for Xen, which has its own kexec",
        _ => "a 64-bit kernel's headers are 64-bit; leave it out",
    };
    Trouble::Usage(format!("--{}: {why}", option.long))
}

fn address(option: &Opt, value: &OsStr) -> Result<u64, Trouble> {
    value.to_str().and_then(|text| number::unsigned(text).ok()).ok_or_else(|| bad_value(option, value))
}

/// The port named by `--serial`.
fn port(value: &OsStr) -> Result<u16, Trouble> {
    let known = match value.to_str() {
        Some("ttyS0") => Some(0x3f8),
        Some("ttyS1") => Some(0x2f8),
        Some(text) => text.strip_prefix("0x").and_then(|digits| u16::from_str_radix(digits, 16).ok()),
        None => None,
    };
    known.ok_or_else(|| Trouble::Usage(format!("Bad serial port base '{}'", value.display())))
}

/// The rate given with `--serial-baud`: one that the port's clock can be divided to.
fn baud(value: &OsStr) -> Result<u64, Trouble> {
    const CLOCK: u64 = 115_200;
    let rate = value.to_str().and_then(|text| number::unsigned(text).ok());
    let known = rate.filter(|&rate| (9600..=CLOCK).contains(&rate) && CLOCK.is_multiple_of(rate));
    known.ok_or_else(|| Trouble::Usage(format!("Bad serial port baud rate '{}'", value.display())))
}

fn seconds(option: &Opt, value: &OsStr) -> Result<u64, Trouble> {
    const DAY: u64 = 86_400;
    let seconds = address(option, value)?;
    if seconds <= DAY { Ok(seconds) } else { Err(bad_value(option, value)) }
}
