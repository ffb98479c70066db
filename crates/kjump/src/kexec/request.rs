//! What kexec is asked to do, resolved from its arguments. No file is read for it.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::initramfs::args::Pair;
use crate::kernel::file::Kind;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Help {
        all: bool,
    },
    Version,
    Status(Slot),
    PrintCrashSize,
    /// Load an image that is called and returns.
    LoadToCall(JumpLoad),
    /// Load a kernel that lives in a window beside this one, and comes back.
    LoadBeside(Box<BesideLoad>),
    /// Load the way back to the kernel whose entry point this is.
    LoadJumpBackHelper {
        entry: Option<u64>,
    },
    /// Whatever of it is asked for, in this order.
    Work(Box<Work>),
}

/// Something to unload, to load and to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Work {
    pub(super) unload: Option<Slot>,
    pub(super) load: Option<Load>,
    pub(super) then: Then,
    pub(super) wanted: Wanted,
    pub(super) debug: bool,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    Nothing,
    /// Start what is loaded.
    Start {
        sync: bool,
        ifdown: bool,
    },
    /// Have `shutdown` do it.
    Shutdown,
}

/// Where something is loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Normal,
    Crash,
}

/// The system call that is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Wanted {
    #[default]
    Either,
    FileLoad,
    Load,
}

/// How a bzImage is entered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryMode {
    Real,
    Protected,
}

/// How an ELF file is told what it is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arguments {
    Elf,
    Linux,
    None,
}

/// What a load is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Purpose {
    #[default]
    Do,
    DryRun,
    Check {
        json: bool,
    },
}

/// An image that is called and returns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JumpLoad {
    pub(super) file: PathBuf,
    pub(super) entry: Option<u64>,
    /// First and last byte of memory that the image may use.
    pub(super) window: Option<(u64, u64)>,
    pub(super) debug: bool,
}

/// What purgatory is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Between {
    pub(super) serial: Option<u16>,
    pub(super) baud: Option<u64>,
    pub(super) console_serial: bool,
    pub(super) console_vga: bool,
    pub(super) reset_vga: bool,
    /// Seconds before a reset.
    pub(super) pause: Option<u64>,
}

/// A kernel to load into a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BesideLoad {
    pub(super) load: Load,
    /// First and last byte of its memory.
    pub(super) window: (u64, u64),
}

/// A kernel to load. The words are as they were said; no file is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// `None` for a check of the machine alone.
    pub(super) file: Option<PathBuf>,
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
    /// Bits of [`abi::kexec::file_flag`] that options ask for.
    pub(super) file_flags: u64,
    /// The options that only `kexec_load` can honour.
    pub(super) need_load: Vec<&'static str>,
    /// The options that only `kexec_file_load` can honour.
    pub(super) need_file_load: Vec<&'static str>,
    pub(super) between: Between,
    /// Whether the running kernel may write a crash kernel's elfcorehdr anew.
    pub(super) hotplug: bool,
    /// The options that only a purgatory can honour.
    pub(super) need_purgatory: Vec<&'static str>,
    pub(super) purpose: Purpose,
    pub(super) machine: Option<PathBuf>,
    pub(super) debug: bool,
}
