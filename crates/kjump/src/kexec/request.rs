//! What kexec is asked to do, resolved from its arguments. No file is read here.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::initramfs::args::Pair;
use crate::kernel::file::Kind;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Help {
        all: bool,
    },
    Version,
    Status(Reservation),
    PrintCrashSize,
    ListEntries {
        json: bool,
    },
    /// Load an image that is called and returns.
    LoadCalled(CalledLoad),
    /// Load a kernel that runs in a window alongside this one and can return to it.
    LoadReturning(Box<ReturningLoad>),
    /// Prepare to return to the kernel with this entry point.
    LoadJumpBackHelper {
        entry: Option<u64>,
    },
    /// Unload, load and start, in this order.
    Work(Box<Work>),
}

/// What to unload, to load and to start, if anything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) unload: Option<Reservation>,
    pub(super) load: Option<Load>,
    pub(super) then: Then,
    pub(super) wanted: Wanted,
    pub(super) debug: bool,
}

/// What to do after loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Nothing,
    /// Start what is loaded.
    Start {
        sync: bool,
        ifdown: bool,
    },
    /// Run `shutdown`, which starts what is loaded.
    Shutdown,
}

/// One of the two places where the kernel keeps what is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reservation {
    Normal,
    Crash,
}

/// The system call asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Wanted {
    #[default]
    Either,
    FileLoad,
    Load,
}

/// The CPU mode that a bzImage is entered in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryMode {
    Real,
    Protected,
}

/// How an ELF file gets its arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arguments {
    Elf,
    Linux,
    None,
}

/// What to do with a load.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Purpose {
    #[default]
    Load,
    DryRun,
    Check {
        json: bool,
    },
    /// Boot the kernel next to this one and come back.
    Trial {
        json: bool,
    },
}

/// What belongs to a trial of a kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct TrialOptions {
    pub(super) health: Option<OsString>,
    pub(super) deadline: Option<OsString>,
    pub(super) then_start: bool,
}

/// An image that is called and returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CalledLoad {
    pub(super) file: PathBuf,
    pub(super) entry: Option<u64>,
    /// First and last byte of memory that the image may use.
    pub(super) window: Option<(u64, u64)>,
    pub(super) debug: bool,
}

/// The options for purgatory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PurgatoryOptions {
    pub(super) serial: Option<u16>,
    pub(super) baud: Option<u64>,
    pub(super) console_serial: bool,
    pub(super) console_vga: bool,
    pub(super) reset_vga: bool,
    /// Seconds before the reset after an error.
    pub(super) pause: Option<u64>,
}

/// A kernel to load into a window, from which it returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ReturningLoad {
    pub(super) load: Load,
    /// First and last byte of its memory.
    pub(super) window: (u64, u64),
}

/// A command line that the options add to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Base {
    /// There is none: the options replace the kernel file's own.
    #[default]
    None,
    /// A boot loader's entry has it.
    Line(Vec<u8>),
    /// The kernel file of a boot loader's entry has it.
    InKernel,
}

/// A kernel to load, as the options describe it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// `None` for a check of the machine alone.
    pub(super) file: Option<PathBuf>,
    /// The boot loader's entry to load, until it is looked up; empty for the default.
    pub(super) boot_entry: Option<OsString>,
    /// The command line that the options add to.
    pub(super) base: Base,
    pub(super) crash: bool,
    pub(super) format: Option<Kind>,
    pub(super) lowest: Option<u64>,
    pub(super) highest: Option<u64>,
    pub(super) entry: Option<u64>,
    pub(super) entry_mode: Option<EntryMode>,
    pub(super) arguments: Option<Arguments>,
    pub(super) command_line: Option<OsString>,
    pub(super) reuse: bool,
    pub(super) remove: Vec<OsString>,
    pub(super) initrds: Vec<PathBuf>,
    pub(super) add: Vec<Pair>,
    pub(super) modules: Vec<OsString>,
    pub(super) dtb: Option<PathBuf>,
    pub(super) no_efi: bool,
    pub(super) reuse_video_type: bool,
    pub(super) no_checks: bool,
    /// Whether the kernel and its initrds are unpacked in advance.
    pub(super) prepare: bool,
    /// Bits of [`abi::kexec::file_flag`].
    pub(super) file_flags: u64,
    /// The first option that only `kexec_load` supports.
    pub(super) needs_load: Option<&'static str>,
    /// The first option that only `kexec_file_load` supports.
    pub(super) needs_file_load: Option<&'static str>,
    pub(super) for_purgatory: PurgatoryOptions,
    /// Whether the running kernel may update a crash kernel's elfcorehdr.
    pub(super) hotplug: bool,
    pub(super) purpose: Purpose,
    pub(super) trial: TrialOptions,
    pub(super) machine: Option<PathBuf>,
    pub(super) debug: bool,
}
