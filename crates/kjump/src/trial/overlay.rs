//! The archive that is unpacked after the initrds of a trial: everything in /kjump-trial.

use super::args::TryArgs;
use super::expectations::Expectations;
use super::init;
use crate::initramfs::{self, Content, Entries};

/// The archive's bytes, uncompressed.
pub(super) fn archive(args: &TryArgs, release: &str, expectations: &Expectations) -> anyhow::Result<Vec<u8>> {
    let tools = initramfs::tools(release, &args.busybox, args.module_dir.as_deref(), args.module.as_deref())?;
    let mut entries = Entries::default();
    let mut add = |name: &str, mode: u32, bytes: Vec<u8>| {
        entries.add(&format!("/kjump-trial/{name}"), Content::Bytes(bytes).with_mode(mode))
    };
    add("busybox", 0o755, tools.busybox)?;
    add("kjump", 0o755, tools.program)?;
    add("kjump.ko", 0o644, tools.module)?;
    add("init", 0o755, init::SCRIPT.as_bytes().to_vec())?;
    add("expected", 0o644, expectations.lines().into_bytes())?;
    if let Some(command) = &args.health {
        add("health", 0o644, format!("{command}\n").into_bytes())?;
    }
    initramfs::pack(&entries)
}
