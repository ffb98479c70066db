//! Small images to call, from `bare/payloads`, as static executables.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

use crate::debian::packages;
use crate::{program, tree};

/// One executable. Its name is that of its source, with a dash and a variant if there are several.
struct Payload {
    name: &'static str,
    /// Physical address of its first byte.
    address: u64,
    /// Symbols for the assembler.
    defines: &'static [&'static str],
}

const fn payload(name: &'static str, address: u64, defines: &'static [&'static str]) -> Payload {
    Payload { name, address, defines }
}

/// The files that several of them include.
const SHARED: [&str; 2] = ["print32.inc", "ticks64.inc"];

/// The payloads that are bytes of a disk, and not executables.
const DISKS: [&str; 2] = ["bootsector", "diskprogram"];

const PAYLOADS: [Payload; 29] = [
    payload("sum64", 0x20_0000, &[]),
    payload("sum32", 0x21_0000, &[]),
    payload("sum64-high", 0x1000_0000, &[]),
    payload("sum32-high", 0x1001_0000, &[]),
    payload("fault64", 0x22_0000, &[]),
    payload("fault32", 0x23_0000, &[]),
    payload("dirty64", 0x24_0000, &[]),
    payload("dirty32", 0x25_0000, &[]),
    payload("reverse64", 0x26_0000, &[]),
    payload("reverse32", 0x28_0000, &[]),
    payload("spin64", 0x2a_0000, &[]),
    payload("await64", 0x34_0000, &[]),
    payload("listen64", 0x2f_0000, &[]),
    payload("listen32", 0x30_0000, &[]),
    payload("hang64", 0x31_0000, &[]),
    payload("hang32", 0x32_0000, &[]),
    payload("tick64", 0x33_0000, &[]),
    payload("phy_mode", 0x10_0000, &[]),
    payload(DISKS[0], 0x7c00, &[]),
    payload(DISKS[1], 0x7c00, &[]),
    payload("next64", 0x2b_0000, &[]),
    payload("pages64", 0x2c_0000, &[]),
    payload("multiboot1", 0x10_0000, &[]),
    payload("multiboot2", 0x10_0000, &[]),
    payload("flip64", 0x2d_0000, &[]),
    payload("wayback64", 0x2e_0000, &[]),
    payload("window64-1", 0x40_0000, &["SIZE=0x100000"]),
    payload("window64-64", 0x40_0000, &["SIZE=0x4000000"]),
    payload("window64-400", 0x40_0000, &["SIZE=0x19000000"]),
];

/// Assembles and links all payloads that are out of date. Returns their directory.
///
/// # Errors
/// A payload does not assemble or link.
pub(crate) fn build() -> Result<PathBuf> {
    packages::for_module()?;
    let _lock = tree::lock("payloads")?;
    let dir = tree::target().join("payloads");
    fs::create_dir_all(&dir)?;
    for payload in &PAYLOADS {
        payload.build(&dir)?;
    }
    Ok(dir)
}

impl Payload {
    fn build(&self, dir: &Path) -> Result<()> {
        let source = self.name.split('-').next().unwrap_or(self.name);
        let sources = tree::root().join("bare/payloads");
        let source = sources.join(format!("{source}.S"));
        let executable = dir.join(self.name);
        let shared = SHARED.map(|name| sources.join(name));
        if shared.iter().chain([&source]).all(|source| is_newer(&executable, source)) {
            return Ok(());
        }
        // 32-bit sources contain .code32. The class of the executable determines the mode it is
        // called in.
        let text = fs::read_to_string(&source)?;
        let (class, emulation) =
            if text.contains(".code32") { ("--32", "elf_i386") } else { ("--64", "elf_x86_64") };
        let object = executable.with_extension("o");
        let mut assembler = Command::new("as");
        assembler.args([class, "--fatal-warnings", "-I"]).arg(&sources).arg("-o").arg(&object);
        for define in self.defines {
            assembler.args(["--defsym", define]);
        }
        program::quiet(assembler.arg(&source))?;
        let mut linker = Command::new("ld");
        linker.args(["-m", emulation, "-static", "-N", "--build-id=none"]);
        linker.arg(format!("-Ttext={:#x}", self.address));
        if DISKS.contains(&self.name) {
            linker.arg("--oformat=binary");
        }
        program::quiet(linker.arg("-o").arg(&executable).arg(&object))?;
        Ok(fs::remove_file(object)?)
    }
}

fn is_newer(made: &Path, source: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    matches!((time(made), time(source)), (Some(made), Some(source)) if made > source)
}
