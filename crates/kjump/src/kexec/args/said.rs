//! What the options say so far, one after the other; the last word counts.

use std::ffi::{OsStr, OsString};

use abi::kexec::file_flag;

use super::{Trouble, bad_value, kind_named};
use crate::initramfs::args::pair;
use crate::kexec::options::{Id, Opt, Part};
use crate::kexec::request::{
    Action, Arguments, BesideLoad, EntryMode, JumpLoad, Load, Purpose, Slot, Then, Wanted, Work,
};
use crate::terminal::number;

/// What has been said.
pub(super) struct Said {
    /// What is not an option.
    pub(super) words: Vec<OsString>,
    does: Does,
    kind: LoadKind,
    has_load: bool,
    unload: bool,
    status: bool,
    jump_back: bool,
    skip_sync: bool,
    skip_ifdown: bool,
    json: bool,
    wanted: Wanted,
    load: Load,
    /// The options that are about what is loaded.
    about_images: Vec<&'static str>,
}

/// Which of loading, starting and shutting down is done: each option of an action sets all of it.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Does {
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

impl Default for Said {
    /// No option means: load and shut down.
    fn default() -> Self {
        Self {
            words: Vec::new(),
            does: Does { load: true, start: false, shutdown: true },
            kind: LoadKind::Normal,
            has_load: false,
            unload: false,
            status: false,
            jump_back: false,
            skip_sync: false,
            skip_ifdown: false,
            json: false,
            wanted: Wanted::default(),
            load: Load::default(),
            about_images: Vec::new(),
        }
    }
}

const LOAD: Does = Does { load: true, start: false, shutdown: false };
const LOAD_AND_START: Does = Does { load: true, start: true, shutdown: false };
const START: Does = Does { load: false, start: true, shutdown: false };
const NEITHER: Does = Does { load: false, start: false, shutdown: false };

impl Said {
    pub(super) fn hear(&mut self, option: &'static Opt, value: &OsStr) -> Result<(), Trouble> {
        match option.part {
            Part::Image => self.about_images.push(option.long),
            Part::Purgatory => self.load.need_purgatory.push(option.long),
            _ => {}
        }
        if !self.hear_action(option) && !self.hear_manner(option, value)? {
            self.hear_image(option, value)?;
        }
        Ok(())
    }

    /// Whether it is an option of what is done.
    fn hear_action(&mut self, option: &Opt) -> bool {
        match option.id {
            Id::Load => (self.does, self.has_load) = (LOAD, true),
            Id::Exec => self.does = START,
            Id::Force => self.does = LOAD_AND_START,
            Id::Unload => {
                // What is to be started stays so, as in kexec-tools: nothing is left to start then, which is said.
                self.does = Does { load: false, shutdown: false, ..self.does };
                self.unload = true;
            }
            Id::Status => self.status = true,
            Id::LoadPanic => (self.does, self.kind) = (LOAD, LoadKind::Crash),
            Id::LoadPreserveContext => (self.does, self.kind) = (LOAD, LoadKind::PreserveContext),
            Id::LoadJumpBackHelper => (self.does, self.jump_back) = (NEITHER, true),
            _ => return false,
        }
        true
    }

    /// Whether it is an option of how it is done.
    fn hear_manner(&mut self, option: &'static Opt, value: &OsStr) -> Result<bool, Trouble> {
        let load = &mut self.load;
        match option.id {
            Id::Debug => load.debug = true,
            Id::NoChecks => load.no_checks = true,
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
            Id::Machine => load.machine = Some(value.into()),
            Id::ElfHeaders if option.long == "elf64-core-headers" => {}
            Id::ElfHeaders | Id::ReuseInitrd | Id::Xen => return Err(refused(option)),
            Id::Serial => load.between.serial = Some(port(value)?),
            Id::SerialBaud => load.between.baud = Some(baud(value)?),
            Id::ResetVga => load.between.reset_vga = true,
            Id::ConsoleVga => load.between.console_vga = true,
            Id::ConsoleSerial => load.between.console_serial = true,
            Id::PurgatoryPanic => load.between.pause = Some(seconds(option, value)?),
            Id::Hotplug => load.hotplug = true,
            Id::PassMemmap => {}
            _ => return Ok(false),
        }
        match option.id {
            Id::MemMin
            | Id::MemMax
            | Id::Entry
            | Id::NoEfi
            | Id::ReuseVideoType
            | Id::PassMemmap
            | Id::Hotplug => {
                load.need_load.push(option.long);
            }
            Id::NoCma | Id::ForceDtb => load.need_file_load.push(option.long),
            _ => {}
        }
        Ok(true)
    }

    fn hear_image(&mut self, option: &'static Opt, value: &OsStr) -> Result<(), Trouble> {
        let load = &mut self.load;
        match option.id {
            Id::Type => {
                let named = value.to_str().ok_or_else(|| bad_value(option, value))?;
                load.format = Some(kind_named(named).map_err(Trouble::Words)?);
            }
            Id::CommandLine => load.command_line = Some(value.into()),
            Id::ReuseCommandLine => load.reuse = true,
            Id::RemoveWord => load.remove.push(value.into()),
            Id::Initrd => load.initrds.push(value.into()),
            Id::InitrdAdd => {
                let pair =
                    pair(value).map_err(|text| Trouble::Words(format!("--{}: {text}", option.long)))?;
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
        let needs_load = [Id::Module, Id::Dtb, Id::RealMode, Id::Entry32, Id::ArgsElf, Id::ArgsNone];
        if needs_load.contains(&option.id) {
            load.need_load.push(option.long);
        }
        Ok(())
    }

    pub(super) fn action(mut self) -> Result<Action, Trouble> {
        if self.json && self.load.purpose != (Purpose::Check { json: false }) {
            return Err(Trouble::Words("--json is for --check".into()));
        }
        if self.load.purpose == (Purpose::Check { json: false }) {
            self.load.purpose = Purpose::Check { json: self.json };
        }
        if self.load.purpose != Purpose::Do && (self.status || !self.does.load) {
            return Err(Trouble::Words(
                "--check and --dry-run are about a load, and none is asked for".into(),
            ));
        }
        if self.load.machine.is_some() && self.load.purpose == Purpose::Do {
            return Err(Trouble::Words(
                "--machine is for --check and --dry-run: nothing is loaded elsewhere".into(),
            ));
        }
        if self.status || !self.does.load {
            self.refuse_image_options()?;
        }
        if self.status {
            let normal =
                (self.has_load || self.kind == LoadKind::PreserveContext) && self.kind != LoadKind::Crash;
            return Ok(Action::Status(if normal { Slot::Normal } else { Slot::Crash }));
        }
        if self.jump_back {
            return Ok(Action::LoadJumpBackHelper { entry: self.load.entry });
        }
        if self.does.load && self.kind == LoadKind::PreserveContext {
            return match self.load.arguments {
                Some(Arguments::None) => self.load_to_call().map(Action::LoadToCall),
                _ => self.load_beside().map(|load| Action::LoadBeside(Box::new(load))),
            };
        }
        self.work().map(|work| Action::Work(Box::new(work)))
    }

    fn refuse_image_options(&self) -> Result<(), Trouble> {
        let own = (!self.load.add.is_empty()).then_some("initrd-add");
        match self.about_images.first().copied().or(own) {
            None => Ok(()),
            Some(option) => {
                Err(Trouble::Words(format!("--{option} is about a kernel to load, and none is to be loaded")))
            }
        }
    }

    fn work(mut self) -> Result<Work, Trouble> {
        let crash = self.kind == LoadKind::Crash;
        let debug = self.load.debug;
        let then = match self.does {
            Does { shutdown: true, .. } => Then::Shutdown,
            Does { start: true, .. } => Then::Start { sync: !self.skip_sync, ifdown: !self.skip_ifdown },
            _ => Then::Nothing,
        };
        let load = if self.does.load { Some(self.load()?) } else { None };
        if let (None, Some(word)) = (&load, self.words.first()) {
            return Err(Trouble::Words(format!(
                "nothing is to be loaded, and {} names a file",
                word.display()
            )));
        }
        let unload = self.unload.then_some(if crash { Slot::Crash } else { Slot::Normal });
        Ok(Work { unload, load, then, wanted: self.wanted, debug })
    }

    fn load(&mut self) -> Result<Load, Trouble> {
        let mut load = std::mem::take(&mut self.load);
        load.crash = self.kind == LoadKind::Crash;
        load.file = match self.words.as_slice() {
            [file] => Some(file.into()),
            [] if matches!(load.purpose, Purpose::Check { .. }) => None,
            [] => {
                return Err(Trouble::Failed(anyhow::anyhow!(
                    "No kernel specified; `kexec --help` tells how"
                )));
            }
            [_, second, ..] => {
                return Err(Trouble::Words(format!(
                    "one file is loaded, and {} is another",
                    second.display()
                )));
            }
        };
        if let (Some(lowest), Some(highest)) = (load.lowest, load.highest)
            && lowest > highest
        {
            return Err(above(lowest, highest));
        }
        conflicts(&load, self.wanted)?;
        Ok(load)
    }

    /// First and last byte of memory that may be used, if that is said.
    fn window(&self) -> Result<Option<(u64, u64)>, Trouble> {
        match (self.load.lowest, self.load.highest) {
            (Some(_), None) => Err(Trouble::Words("--mem-min needs --mem-max".into())),
            (_, None) => Ok(None),
            (min, Some(max)) if min.unwrap_or(0) > max => Err(above(min.unwrap_or(0), max)),
            (min, Some(max)) => Ok(Some((min.unwrap_or(0), max))),
        }
    }

    /// What a kernel beside this one can be told.
    const BESIDE: [&str; 7] =
        ["append", "command-line", "reuse-cmdline", "cmdline-remove", "initrd", "ramdisk", "type"];

    fn load_beside(&mut self) -> Result<BesideLoad, Trouble> {
        let window = self.window()?.ok_or_else(|| {
            Trouble::Words(
                "--load-preserve-context needs --mem-max, and --mem-min: the memory that the kernel lives in"
                    .into(),
            )
        })?;
        if let Some(option) = self.about_images.iter().find(|option| !Self::BESIDE.contains(option)) {
            return Err(Trouble::Words(format!("--{option} is not for a kernel that comes back")));
        }
        if !self.load.add.is_empty() || self.load.entry.is_some() || self.load.purpose != Purpose::Do {
            return Err(Trouble::Words(
                "--initrd-add, --entry, --dry-run and --check are not for a kernel that comes back; `kjump boot \
                 --dry-run` prints where one would be"
                    .into(),
            ));
        }
        Ok(BesideLoad { load: self.load()?, window })
    }

    fn load_to_call(&mut self) -> Result<JumpLoad, Trouble> {
        let window = self.window()?;
        if let Some(option) =
            self.about_images.iter().find(|&&option| option != "args-none" && option != "type")
        {
            return Err(Trouble::Words(format!(
                "--{option} is not for an image that is called with --args-none"
            )));
        }
        if let Some(option) = self.load.need_purgatory.first() {
            return Err(Trouble::Words(format!(
                "--{option} is about purgatory, and an image that is called with --args-none is entered without one"
            )));
        }
        match self.words.as_slice() {
            [file] => {
                Ok(JumpLoad { file: file.into(), entry: self.load.entry, window, debug: self.load.debug })
            }
            [] => Err(Trouble::Failed(anyhow::anyhow!("no file to load is named"))),
            [_, second, ..] => {
                Err(Trouble::Words(format!("one file is loaded, and {} is another", second.display())))
            }
        }
    }
}

fn above(lowest: u64, highest: u64) -> Trouble {
    Trouble::Words(format!("--mem-min {lowest:#x} is above --mem-max {highest:#x}"))
}

/// Options that contradict each other, or the system call that is asked for.
fn conflicts(load: &Load, wanted: Wanted) -> Result<(), Trouble> {
    let words = |text: String| Err(Trouble::Words(text));
    let about_crashes = |option: &&&str| matches!(**option, "hotplug" | "pass-memmap-cmdline");
    if let Some(option) = load.need_load.iter().find(about_crashes).filter(|_| !load.crash) {
        return words(format!("--{option} is about crash kernels, which --load-panic loads"));
    }
    let needs_load = load.need_load.first().or(load.need_purgatory.first());
    match (wanted, needs_load, load.need_file_load.first()) {
        (_, Some(a), Some(b)) => {
            words(format!("--{a} needs kexec_load and --{b} needs kexec_file_load: both cannot be"))
        }
        (Wanted::FileLoad, Some(option), _) => words(format!(
            "--{option} not supported with kexec_file_load; leave out -s, and kexec_load is used"
        )),
        (Wanted::Load, _, Some(option)) => words(format!(
            "--{option} not supported with kexec_load; leave out -c, and kexec_file_load is used"
        )),
        _ => Ok(()),
    }?;
    match (load.entry_mode, load.arguments) {
        (Some(_), Some(Arguments::Elf | Arguments::None)) => {
            words("a bzImage is entered by --real-mode or --entry-32bit, an ELF file told by --args-…".into())
        }
        _ if !load.remove.is_empty() && !load.reuse => {
            words("--cmdline-remove takes words from --reuse-cmdline, which is not there".into())
        }
        _ => Ok(()),
    }
}

fn refused(option: &Opt) -> Trouble {
    let why = match option.id {
        Id::ReuseInitrd => "an x86 kernel does not keep its initrd in memory; name the file with --initrd",
        Id::Xen => "only works under Xen, which has a kexec of its own",
        _ => "the headers of 64-bit kernels are 64-bit; leave it out",
    };
    Trouble::Words(format!("--{}: {why}", option.long))
}

fn address(option: &Opt, value: &OsStr) -> Result<u64, Trouble> {
    value.to_str().and_then(|text| number::unsigned(text).ok()).ok_or_else(|| bad_value(option, value))
}

/// The port that `--serial` names, if it does.
fn port(value: &OsStr) -> Result<u16, Trouble> {
    let known = match value.to_str() {
        Some("ttyS0") => Some(0x3f8),
        Some("ttyS1") => Some(0x2f8),
        Some(text) => text.strip_prefix("0x").and_then(|digits| u16::from_str_radix(digits, 16).ok()),
        None => None,
    };
    known.ok_or_else(|| Trouble::Words(format!("Bad serial port base '{}'", value.display())))
}

/// The rate that `--serial-baud` names: what the port's clock can be divided to.
fn baud(value: &OsStr) -> Result<u64, Trouble> {
    const CLOCK: u64 = 115_200;
    let rate = value.to_str().and_then(|text| number::unsigned(text).ok());
    let known = rate.filter(|&rate| (9600..=CLOCK).contains(&rate) && CLOCK.is_multiple_of(rate));
    known.ok_or_else(|| Trouble::Words(format!("Bad serial port baud rate '{}'", value.display())))
}

fn seconds(option: &Opt, value: &OsStr) -> Result<u64, Trouble> {
    const DAY: u64 = 86_400;
    let seconds = address(option, value)?;
    if seconds <= DAY { Ok(seconds) } else { Err(bad_value(option, value)) }
}
