//! Debian packages, made by dpkg-deb. The same tree makes the same bytes.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::contents::{self, Content, Entry, Package};
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
    tree::recreate(&stage)?;
    for entry in &package.entries {
        place(entry, &stage).with_context(|| entry.path.clone())?;
    }
    let control = control(package, &stage)?;
    let Some(architecture) = field(&control, "Architecture") else {
        bail!("packaging/{}/control has no Architecture", package.name)
    };
    let deb = dir.join(format!("{}_{}_{architecture}.deb", package.name, contents::version()));
    write_meta(package, &stage, &control)?;
    let mut dpkg = Command::new("dpkg-deb");
    dpkg.args(["--root-owner-group", "-Zxz", "--build"]).arg(&stage).arg(&deb);
    program::quiet(dpkg.env("SOURCE_DATE_EPOCH", date()?))?;
    Ok(deb)
}

fn place(entry: &Entry, stage: &Path) -> Result<()> {
    let path = stage.join(entry.path.trim_start_matches('/'));
    create_directory(path.parent().unwrap_or(stage))?;
    let mode = match &entry.content {
        Content::Link(target) => return Ok(symlink(target, &path)?),
        Content::Program(from) => fs::copy(from, &path).map(|_| 0o755),
        Content::File(from) => fs::copy(from, &path).map(|_| 0o644),
        Content::Compressed(from) => fs::write(&path, compressed(from)?).map(|()| 0o644),
        Content::Text(text) => fs::write(&path, text).map(|()| 0o644),
    }?;
    Ok(fs::set_permissions(&path, fs::Permissions::from_mode(mode))?)
}

/// With the mode that directories of packages have, whatever the umask.
fn create_directory(path: &Path) -> Result<()> {
    if !path.exists() {
        path.parent().map_or(Ok(()), create_directory)?;
        fs::create_dir(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// As gzip does it without the name and the time of the file.
fn compressed(file: &Path) -> Result<Vec<u8>> {
    let input = fs::File::open(file).with_context(|| file.display().to_string())?;
    let output = Command::new("gzip").args(["-9n"]).stdin(input).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        bail!("gzip failed: {}", output.status);
    }
    Ok(output.stdout)
}

/// The control file, with the size in KiB that the package takes when installed.
fn control(package: &Package, stage: &Path) -> Result<String> {
    let bytes = sizes(stage)?.iter().sum::<u64>();
    let text = contents::template(package.name, "control")?;
    let text = text.replace("@MAINTAINER@", &maintainer()?);
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

/// Name and address of who makes the packages, as the changelog has them.
fn maintainer() -> Result<String> {
    let (maintainer, _) = signature()?;
    Ok(maintainer)
}

/// Seconds since 1970 of the newest entry of the changelog: the time that files in the packages
/// have.
fn date() -> Result<String> {
    let (_, date) = signature()?;
    let seconds = program::read(Command::new("date").args(["--utc", "+%s", "--date", &date]))?;
    Ok(seconds.trim().to_owned())
}

/// The line that closes the newest entry of the changelog, in two parts.
fn signature() -> Result<(String, String)> {
    let path = tree::root().join("packaging/changelog");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let expected = format!("kjump ({})", contents::version());
    if !text.starts_with(&expected) {
        bail!("packaging/changelog does not begin with {expected}");
    }
    let line = text.lines().find_map(|line| line.strip_prefix(" -- ")).unwrap_or_default();
    let Some((maintainer, date)) = line.split_once("  ") else {
        bail!("packaging/changelog: the first entry does not end in ` -- NAME <ADDRESS>  DATE`")
    };
    Ok((maintainer.to_owned(), date.to_owned()))
}

fn field<'text>(control: &'text str, name: &str) -> Option<&'text str> {
    control.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}
