//! The arguments of `kjump hibernate`, `resume` and `image`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use hibernation::Codec;
use serde::{Deserialize, Serialize};
use vmcore::select::Level;

use crate::dump::level;
use crate::terminal::number;

/// Save this kernel's memory to a disk and power off; `kjump resume` continues it
///
/// A small kernel is booted in a window of memory while this one rests. It writes all memory to
/// DEVICE, encrypted, and powers the machine off. If anything fails, it returns here, and this
/// kernel goes on. Resuming restores memory in place, so that nearly all of it can be in use.
///
/// DEVICE is a disk or a partition that is not in use, or a swap partition that is not active; its
/// contents are overwritten. The exit status is 0 if the kernel was hibernated and resumed, and 1
/// if it was not hibernated.
#[derive(Debug, Args)]
pub(crate) struct HibernateArgs {
    /// The disk or partition to write to
    #[arg(long, value_name = "DEVICE", value_hint = ValueHint::FilePath)]
    pub(crate) to: PathBuf,
    /// Boot the small kernel now, and return: `kjump hibernate` and `kjump snapshot` then have it
    /// at once. It stays in memory as the peer `hibernate` until the machine is off; `kjump drop
    /// hibernate` frees it
    #[arg(long, group = "KeyArgs")]
    pub(crate) prepare: bool,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
    /// The action once the image is complete
    #[arg(long, value_enum, value_name = "ACTION", default_value_t)]
    pub(crate) then: Then,
    /// Check everything short of the jump, and do nothing
    #[arg(long)]
    pub(crate) check: bool,
    /// Overwrite a disk that contains a file system, a partition table or an image
    #[arg(long, short = 'f')]
    pub(crate) force: bool,
    /// Compression of the image
    #[arg(long, value_enum, value_name = "CODEC", default_value = "lz4")]
    pub(crate) compress: CodecArg,
    #[command(flatten)]
    pub(crate) peer: PeerArgs,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Write a dump of this kernel's memory to a disk while it rests, and go on
///
/// A small kernel is booted in a window of memory, writes the dump and returns. Unlike a copy of
/// /proc/kcore, the dump is consistent: it is all memory at one moment. It starts at the first byte
/// of DEVICE, where crash, drgn and `kjump dump` read it as they read a file.
#[derive(Debug, Args)]
pub(crate) struct SnapshotArgs {
    /// The disk or partition to write to
    #[arg(value_name = "DEVICE", value_hint = ValueHint::FilePath)]
    pub(crate) to: PathBuf,
    /// Dump level, 0 to 31, as for `kjump dump save`
    #[arg(long, short = 'd', value_name = "LEVEL", default_value = "1", value_parser = level::level)]
    pub(crate) level: Level,
    /// Overwrite a disk that contains a file system, a partition table or an image
    #[arg(long, short = 'f')]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) peer: PeerArgs,
}

/// The small kernel that works on the memory of the one at rest.
#[derive(Debug, Args)]
pub(crate) struct PeerArgs {
    /// The kernel that writes the image [default: /boot/vmlinuz-RELEASE of the running kernel]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) kernel: Option<PathBuf>,
    /// Its initramfs, made by `kjump initramfs --hibernate` [default: one made for this machine]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) initrd: Option<PathBuf>,
    /// More of its command line
    #[arg(long, value_name = "CMDLINE", allow_hyphen_values = true)]
    pub(crate) append: Option<String>,
    /// Size of its window [default: 192M]
    #[arg(long, value_name = "SIZE", value_parser = number::size)]
    pub(crate) memory: Option<u64>,
    /// Return here after this time if the image is not complete (`none`: never)
    #[arg(long, value_name = "SECONDS", value_parser = number::deadline)]
    pub(crate) deadline: Option<u64>,
}

impl PeerArgs {
    /// An option that says how the small kernel is booted, if one was given.
    pub(super) fn option_for_booting(&self) -> Option<&'static str> {
        let given = [
            ("--kernel", self.kernel.is_some()),
            ("--initrd", self.initrd.is_some()),
            ("--append", self.append.is_some()),
            ("--memory", self.memory.is_some()),
        ];
        given.into_iter().find_map(|(option, is_given)| is_given.then_some(option))
    }
}

/// Continue a kernel that `kjump hibernate` saved
///
/// Loads the image and jumps into it: if that works, the command does not return. Run it early,
/// before the file systems are mounted that the hibernated kernel has mounted. If the image is
/// damaged, of another machine, or stale, the running kernel goes on and the image stays as it is.
#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// The disk or partition with the image
    #[arg(long, value_name = "DEVICE", value_hint = ValueHint::FilePath)]
    pub(crate) from: PathBuf,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
}

/// How the image is encrypted.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct KeyArgs {
    /// Encrypt with this file of at least 16 random bytes
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) key_file: Option<PathBuf>,
    /// Encrypt with a passphrase, which is the first line of this file (/dev/stdin: of the input)
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) passphrase: Option<PathBuf>,
    /// Do not encrypt: anyone who can read the disk can read all memory, and anyone who can write
    /// to it controls the resumed kernel
    #[arg(long)]
    pub(crate) no_encryption: bool,
}

/// The action once the image is complete.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
pub(crate) enum Then {
    /// Power off
    #[default]
    Poweroff,
    /// Reboot
    Reboot,
}

/// The compression of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum CodecArg {
    /// LZ4, for fast disks
    Lz4,
    /// Zstandard, for slow disks
    Zstd,
    /// None
    None,
}

impl From<CodecArg> for Codec {
    fn from(codec: CodecArg) -> Self {
        match codec {
            CodecArg::Lz4 => Self::Lz4,
            CodecArg::Zstd => Self::Zstd,
            CodecArg::None => Self::Raw,
        }
    }
}

/// Describe, verify and erase hibernation files
#[derive(Debug, Args)]
pub(crate) struct ImageArgs {
    #[command(subcommand)]
    pub(crate) command: ImageCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    Info(ImageInfoArgs),
    Verify(ImageVerifyArgs),
    Erase(ImageEraseArgs),
    Save(ImageSaveArgs),
}

/// Print the state of a hibernation file, and whose memory it holds
#[derive(Debug, Args)]
pub(crate) struct ImageInfoArgs {
    /// The disk or partition
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) device: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// Read a whole hibernation file and verify its checksums
#[derive(Debug, Args)]
pub(crate) struct ImageVerifyArgs {
    /// The disk or partition
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) device: PathBuf,
    #[command(flatten)]
    pub(crate) key: KeyArgs,
}

/// Erase a hibernation file: its keys are overwritten, and it can no longer be decrypted
///
/// A swap partition can be used for swap again afterwards.
#[derive(Debug, Args)]
pub(crate) struct ImageEraseArgs {
    /// The disk or partition
    #[arg(value_hint = ValueHint::FilePath)]
    pub(crate) device: PathBuf,
}

/// Write the image of the kernel at rest; for the init of `kjump initramfs --hibernate`
#[derive(Debug, Args)]
#[command(hide = true)]
pub(crate) struct ImageSaveArgs {}
