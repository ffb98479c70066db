//! Debian packages, made by dpkg-deb. The same tree makes the same bytes.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::contents::{self, Content, Package};
use super::stage;
use crate::{program, tree};

/// What dpkg reads and runs besides `control`, as far as a package has it, and its mode.
const META: [(&str, u32); 5] =
    [("conffiles", 0o644), ("preinst", 0o755), ("postinst", 0o755), ("prerm", 0o755), ("postrm", 0o755)];

/// Makes `NAME_VERSION_ARCHITECTURE.deb` in a directory. Returns its path.
///
/// # Errors
/// A file cannot be read or written, the changelog is of another version, or dpkg-deb fails.
pub(crate) fn build(package: &Package, dir: &Path) -> Result<PathBuf> {
    let stage = dir.join("stage").join(package.name);
    stage::fill(&stage, &package.entries)?;
    let control = control(package, &stage)?;
    let Some(architecture) = field(&control, "Architecture") else {
        bail!("packaging/{}/control has no Architecture", package.name)
    };
    let deb = dir.join(format!("{}_{}_{architecture}.deb", package.name, contents::version()));
    write_meta(package, &stage, &control)?;
    let mut dpkg = Command::new("dpkg-deb");
    dpkg.args(["--root-owner-group", "-Zxz", "--build"]).arg(&stage).arg(&deb);
    program::quiet(dpkg.env("SOURCE_DATE_EPOCH", stage::date()?))?;
    Ok(deb)
}

/// The control file, with the size in KiB that the package takes when installed.
fn control(package: &Package, stage: &Path) -> Result<String> {
    let bytes = sizes(stage)?.iter().sum::<u64>();
    let text = contents::template(package.name, "control")?;
    let text = text.replace("@MAINTAINER@", &stage::maintainer()?);
    Ok(text.replace("@INSTALLED_SIZE@", &bytes.div_ceil(1024).to_string()))
}

fn write_meta(package: &Package, stage: &Path, control: &str) -> Result<()> {
    let sums = sums(package, stage)?;
    let meta = stage.join("DEBIAN");
    fs::create_dir(&meta)?;
    fs::write(meta.join("control"), control)?;
    fs::write(meta.join("md5sums"), sums)?;
    let sources = tree::root().join("packaging").join(package.name);
    for (name, mode) in META.iter().filter(|(name, _)| sources.join(name).exists()) {
        let path = meta.join(name);
        fs::write(&path, contents::template(package.name, name)?)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(*mode))?;
    }
    Ok(())
}

/// What `dpkg --verify` compares with.
fn sums(package: &Package, stage: &Path) -> Result<String> {
    let mut paths: Vec<_> = package
        .entries
        .iter()
        .filter(|entry| !matches!(entry.content, Content::Link(_)))
        .map(|entry| entry.path.trim_start_matches('/'))
        .collect();
    paths.sort_unstable();
    let mut sums = String::new();
    for path in paths {
        let output = program::read(Command::new("md5sum").arg("--").arg(path).current_dir(stage))?;
        write!(sums, "{output}")?;
    }
    Ok(sums)
}

/// Bytes of every file below a directory; a link or a directory counts as 1 KiB, as in
/// dpkg-gencontrol.
fn sizes(dir: &Path) -> Result<Vec<u64>> {
    let mut sizes = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        sizes.push(if kind.is_file() { entry.metadata()?.len().next_multiple_of(1024) } else { 1024 });
        if kind.is_dir() {
            sizes.extend(self::sizes(&entry.path())?);
        }
    }
    Ok(sizes)
}

fn field<'text>(control: &'text str, name: &str) -> Option<&'text str> {
    control.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}
