//! Stock kernels by name, fetched and unpacked below `target/kernels/`, with headers that modules can be built against.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
pub(crate) use lab::Kernel;

use crate::apt::{self, Archive, Suites};
use crate::tree;

/// A kernel that the lab can get.
pub(crate) struct Stock {
    /// What `--kernel` calls it.
    pub(crate) name: &'static str,
    suites: Suites,
    /// What follows `linux-image-` in the name of the metapackage that always depends on the newest one.
    flavour: &'static str,
    /// What it is good for, in a few words.
    pub(crate) about: &'static str,
}

/// Every kernel the lab knows. One line more is one kernel more.
pub(crate) const STOCK: &[Stock] = &[
    Stock { name: "6.1", suites: Suites::Stable, flavour: "cloud-amd64", about: "Debian 12, cloud" },
    Stock { name: "6.1-full", suites: Suites::Stable, flavour: "amd64", about: "Debian 12, all drivers" },
    Stock {
        name: "6.12",
        suites: Suites::Backports,
        flavour: "cloud-amd64",
        about: "Debian 12 backports, cloud",
    },
    Stock {
        name: "6.12-full",
        suites: Suites::Backports,
        flavour: "amd64",
        about: "Debian 12 backports, all drivers",
    },
];

/// The kernel of this name, fetched first if it is not there yet.
///
/// # Errors
/// No such name, or the packages cannot be fetched.
pub(crate) fn get(name: &str) -> Result<Kernel> {
    let stock = find(name)?;
    let dir = dir_of(stock);
    let _lock = tree::lock("kernels")?;
    if Kernel::open(&dir).is_err() {
        fetch(stock, &dir)?;
    }
    Ok(Kernel::open(&dir)?)
}

/// The kernel of this name if it has been fetched already.
pub(crate) fn fetched(stock: &Stock) -> Option<Kernel> {
    Kernel::open(&dir_of(stock)).ok()
}

fn find(name: &str) -> Result<&'static Stock> {
    let names = || STOCK.iter().map(|stock| stock.name).collect::<Vec<_>>().join(", ");
    STOCK
        .iter()
        .find(|stock| stock.name == name)
        .with_context(|| format!("no kernel {name}: there are {}", names()))
}

fn dir_of(stock: &Stock) -> PathBuf {
    tree::target().join("kernels").join(stock.name)
}

fn fetch(stock: &Stock, dir: &Path) -> Result<()> {
    let archive = Archive::open(stock.suites)?;
    archive.refresh()?;
    let release = release(&archive, stock.flavour)?;
    let fresh = dir.with_file_name(format!("{}.part", stock.name));
    apt::recreate(&fresh)?;
    let version = unpack(&archive, &release, &fresh)?;
    make_relocatable(&fresh, &release)?;
    // The description comes last: a directory that has one is complete.
    Kernel::describe(&fresh, stock.name, &release, &version)?;
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    Ok(fs::rename(&fresh, dir)?)
}

fn release(archive: &Archive, flavour: &str) -> Result<String> {
    let metapackage = format!("linux-image-{flavour}");
    let depends = archive.depends(&metapackage)?;
    let release = depends.iter().find_map(|name| name.strip_prefix("linux-image-"));
    Ok(release.with_context(|| format!("{metapackage} depends on no kernel image"))?.to_owned())
}

/// Unpacks the image, its modules, and all its headers; answers with the version of the image's package.
fn unpack(archive: &Archive, release: &str, into: &Path) -> Result<String> {
    let (image, headers) = (format!("linux-image-{release}"), format!("linux-headers-{release}"));
    let version = archive.version(&image)?;
    let parts = archive.depends(&headers)?;
    let parts = parts
        .into_iter()
        .filter(|name| name.starts_with("linux-headers-") || name.starts_with("linux-kbuild-"));
    let packages: Vec<_> = [image, headers].into_iter().chain(parts).collect();
    archive.unpack(&packages, into)?;
    Ok(version)
}

/// The packages expect to lie in `/`: makes every reference between them relative.
fn make_relocatable(dir: &Path, release: &str) -> Result<()> {
    let headers = dir.join("usr/src").join(format!("linux-headers-{release}"));
    relocate_makefile(&headers.join("Makefile"))?;
    // The BTF of 6.12's headers would make every module build ask for pahole; a module works without BTF.
    let btf = headers.join("vmlinux");
    if btf.exists() {
        fs::remove_file(btf)?;
    }
    relocate_links(&dir.join("lib/modules").join(release))
}

/// `include /usr/src/linux-headers-X-common/Makefile`, seen from wherever the including file lies.
fn relocate_makefile(makefile: &Path) -> Result<()> {
    let text = fs::read_to_string(makefile).with_context(|| format!("cannot read {}", makefile.display()))?;
    let Some(common) = text.trim_end().strip_prefix("include /usr/src/").filter(|rest| !rest.contains('\n'))
    else {
        bail!("{}: expected one include of /usr/src, found {text:?}", makefile.display());
    };
    let here = "$(dir $(realpath $(lastword $(MAKEFILE_LIST))))";
    Ok(fs::write(makefile, format!("include {here}../{common}\n"))?)
}

fn relocate_links(modules: &Path) -> Result<()> {
    for name in ["build", "source"] {
        let link = modules.join(name);
        let goal =
            fs::read_link(&link).with_context(|| format!("cannot read the link {}", link.display()))?;
        let goal = Path::new("../../..").join(goal.strip_prefix("/").unwrap_or(&goal));
        fs::remove_file(&link)?;
        symlink(goal, &link)?;
    }
    Ok(())
}
