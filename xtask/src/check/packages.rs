//! Checks of the Debian packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::check::step::{Step, Verdict};
use crate::debian::packages;
use crate::package::{contents, deb, object};
use crate::{program, tree};

/// The packages as they are, and with `soak` as dpkg and DKMS handle them on a Debian 12.
pub(crate) fn steps(soak: bool) -> Vec<Step> {
    let mut steps = vec![
        Step::new("package/contents", || contents_are_clean().into()),
        Step::new("package/object", || object::same_elsewhere().map(drop).into()),
    ];
    if soak {
        steps.push(Step::new("package/install", install));
    }
    steps
}

/// No path and no registry of the machine that built them is in a package, and lintian finds
/// nothing.
fn contents_are_clean() -> Result<()> {
    packages::for_packages()?;
    let mut lintian = Command::new("lintian");
    lintian.args(["--allow-root", "--fail-on", "error,warning", "--tag-display-limit", "0"]);
    for package in build()? {
        let unpacked = tree::target().join("packages/unpacked");
        tree::recreate(&unpacked)?;
        program::quiet(Command::new("dpkg-deb").arg("--raw-extract").arg(&package).arg(&unpacked))?;
        no_traces_of_the_builder(&unpacked)?;
        lintian.arg(package);
    }
    program::quiet(&mut lintian).map(drop)
}

fn build() -> Result<Vec<PathBuf>> {
    let dir = tree::target().join("packages");
    contents::packages()?.iter().map(|package| deb::build(package, &dir)).collect()
}

/// # Errors
/// A file below the directory contains a path of this checkout, of the home directory, or a
/// registry's host name.
fn no_traces_of_the_builder(dir: &Path) -> Result<()> {
    let home = std::env::var("HOME").map(|home| format!("{home}/.cargo")).unwrap_or_default();
    let root = tree::root().display().to_string();
    let traces = [root.as_str(), home.as_str(), "index.crates", "/registry/src/"];
    for file in files(dir)? {
        let bytes = fs::read(&file).with_context(|| file.display().to_string())?;
        for trace in traces.iter().filter(|trace| !trace.is_empty()) {
            if bytes.windows(trace.len()).any(|window| window == trace.as_bytes()) {
                bail!("{} contains {trace}", file.display());
            }
        }
    }
    Ok(())
}

/// Regular files below a directory.
fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(dir).with_context(|| dir.display().to_string())? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            files.extend(self::files(&entry.path())?);
        } else if kind.is_file() {
            files.push(entry.path());
        }
    }
    Ok(files)
}

/// What a Debian 12 in a directory has besides the essential packages.
const INSTALLED: &str = "kexec-tools,makedumpfile,kdump-tools,dkms,gcc,make,libc6-dev,openssl,\
                         linux-image-cloud-amd64,linux-headers-cloud-amd64";

/// Installed in a Debian 12 that has kexec-tools and makedumpfile, reinstalled, removed and purged.
const INSTALL: &str = r#"
set -e
apt-get install -y /packages/*.deb
test "$(readlink /usr/sbin/kexec)" = kjump
kexec --version | grep 'kjump'
makedumpfile --version | grep 'kjump\|makedumpfile'
find /lib/modules -path '*/updates/dkms/kjump.ko' | grep .
dpkg --verify kjump kjump-dkms kjump-kexec-tools kexec-tools makedumpfile
apt-get install -y --reinstall /packages/*.deb
test -e /sbin/kexec.distrib
dpkg --remove kjump-kexec-tools
kexec --version | grep -v kjump
apt-get install -y /packages/*.deb
dpkg --purge kjump-kexec-tools kjump-dkms kjump
kexec --version | grep -v kjump
makedumpfile --version | grep 'version 1'
dpkg --verify kexec-tools makedumpfile
test -z "$(dpkg-divert --list | grep kjump)"
left=$(find / -xdev -name '*kjump*' -not -path '/packages/*' -not -path '/var/log/*')
test -z "$left" || { echo "left: $left"; exit 1; }
"#;

fn install() -> Verdict {
    if program::find("mmdebstrap").is_none() && packages::for_debian_image().is_err() {
        return Verdict::Skipped("mmdebstrap cannot be installed".to_owned());
    }
    install_in(&tree::target().join("packages/debian")).into()
}

fn install_in(root: &Path) -> Result<()> {
    let debs = build()?;
    let fresh = !root.join("packages").exists();
    if fresh {
        let mut debstrap = Command::new("mmdebstrap");
        debstrap.args(["--variant=apt", "--aptopt=APT::Install-Recommends \"false\""]);
        program::quiet(debstrap.arg(format!("--include={INSTALLED}")).arg("bookworm").arg(root))?;
        fs::create_dir(root.join("packages"))?;
    }
    for deb in debs {
        fs::copy(&deb, root.join("packages").join(deb.file_name().unwrap_or_default()))?;
    }
    // A namespace of its own: what is mounted in it goes with it. DKMS looks into /proc and /dev.
    let mut inside = Command::new("unshare");
    inside.args(["--mount", "--pid", "--fork", "sh", "-c"]).arg(
        "mount --rbind /dev \"$0/dev\" && mount -t proc proc \"$0/proc\" && exec chroot \"$0\" sh -c \"$1\"",
    );
    program::quiet(inside.arg(root).arg(INSTALL).env("DEBIAN_FRONTEND", "noninteractive")).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_of_the_builder_is_found_in_a_file() {
        let dir = std::env::temp_dir().join(format!("kjump-traces-{}", std::process::id()));
        fs::create_dir_all(dir.join("usr")).unwrap();
        fs::write(dir.join("usr/clean"), "nothing").unwrap();
        assert!(no_traces_of_the_builder(&dir).is_ok());
        fs::write(dir.join("usr/program"), format!("\0at {}/src/lib.rs\0", tree::root().display())).unwrap();
        let error = no_traces_of_the_builder(&dir).unwrap_err().to_string();
        assert!(error.contains("usr/program contains"), "{error}");
        fs::remove_dir_all(dir).unwrap();
    }
}
