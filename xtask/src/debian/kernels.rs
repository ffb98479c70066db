//! Stock kernels by name, fetched and unpacked below `target/kernels/`, with headers to build
//! modules against.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
pub(crate) use lab::Kernel;

use crate::debian::apt::{Archive, Suites};
use crate::tree;

/// A kernel that the lab can fetch.
pub(crate) struct Stock {
    /// Its name as an argument of `--kernel`.
    pub(crate) name: &'static str,
    suites: Suites,
    /// The rest, after `linux-image-`, of the name of the metapackage that depends on the newest
    /// version.
    flavour: &'static str,
    /// A short description.
    pub(crate) about: &'static str,
    /// The suites that have the compiler that its headers name, to build modules for it.
    pub(crate) compiler: Option<Suites>,
}

/// Every kernel that the lab knows.
pub(crate) const STOCK: &[Stock] = &[
    Stock {
        name: "5.10",
        suites: Suites::Old,
        flavour: "cloud-amd64",
        about: "Debian 11, cloud; no module is built for it",
        compiler: None,
    },
    Stock {
        name: "6.1",
        suites: Suites::Stable,
        flavour: "cloud-amd64",
        about: "Debian 12, cloud",
        compiler: Some(Suites::Stable),
    },
    Stock {
        name: "6.1-full",
        suites: Suites::Stable,
        flavour: "amd64",
        about: "Debian 12, all drivers",
        compiler: Some(Suites::Stable),
    },
    Stock {
        name: "6.1-rt",
        suites: Suites::Stable,
        flavour: "rt-amd64",
        about: "Debian 12, real time",
        compiler: Some(Suites::Stable),
    },
    Stock {
        name: "6.12",
        suites: Suites::Backports,
        flavour: "cloud-amd64",
        about: "Debian 12 backports, cloud",
        compiler: Some(Suites::Stable),
    },
    Stock {
        name: "6.12-full",
        suites: Suites::Backports,
        flavour: "amd64",
        about: "Debian 12 backports, all drivers",
        compiler: Some(Suites::Stable),
    },
    Stock {
        name: "6.12-rt",
        suites: Suites::Backports,
        flavour: "rt-amd64",
        about: "Debian 12 backports, real time",
        compiler: Some(Suites::Stable),
    },
    Stock {
        name: "newest",
        suites: Suites::Unstable,
        flavour: "cloud-amd64",
        about: "Debian unstable, cloud",
        compiler: Some(Suites::Unstable),
    },
    Stock {
        name: "newest-backport",
        suites: Suites::NextBackports,
        flavour: "cloud-amd64",
        about: "Debian 13 backports, cloud, sometimes newer than unstable",
        compiler: Some(Suites::Next),
    },
];

/// The kernel of this name, fetched first if necessary.
///
/// # Errors
/// No kernel has this name, or its packages cannot be fetched.
pub(crate) fn get(name: &str) -> Result<Kernel> {
    let stock = find(name)?;
    let dir = tree::made_once(&place(stock), |dir| Kernel::open(dir).is_ok(), |dir| fetch(stock, dir))?;
    Ok(Kernel::open(&dir)?)
}

/// The kernels that modules are built for.
pub(crate) fn with_headers() -> impl Iterator<Item = &'static Stock> {
    STOCK.iter().filter(|stock| stock.compiler.is_some())
}

/// Whether modules are built for it.
pub(crate) fn has_headers(kernel: &Kernel) -> bool {
    kernel.headers().exists()
}

/// The kernel of this name if it has been fetched already.
pub(crate) fn fetched(stock: &Stock) -> Option<Kernel> {
    Kernel::open(&tree::target().join(place(stock))).ok()
}

/// The suites that have the compiler to build modules for a kernel with.
///
/// # Errors
/// The lab does not know this kernel, or builds no modules for it.
pub(crate) fn compiler(kernel: &Kernel) -> Result<Suites> {
    let compiler = find(&kernel.name)?.compiler;
    compiler.with_context(|| format!("no modules are built for {}", kernel.name))
}

/// The suites that a kernel and its debugging information come from.
///
/// # Errors
/// The lab does not know this kernel.
pub(crate) fn suites(kernel: &Kernel) -> Result<Suites> {
    Ok(find(&kernel.name)?.suites)
}

fn find(name: &str) -> Result<&'static Stock> {
    let names = || STOCK.iter().map(|stock| stock.name).collect::<Vec<_>>().join(", ");
    STOCK
        .iter()
        .find(|stock| stock.name == name)
        .with_context(|| format!("no kernel {name}; known kernels: {}", names()))
}

/// Below `target/`.
fn place(stock: &Stock) -> String {
    format!("kernels/{}", stock.name)
}

fn fetch(stock: &Stock, dir: &Path) -> Result<()> {
    let archive = Archive::open(stock.suites)?;
    let release = release(&archive, stock.flavour)?;
    let version = unpack(&archive, stock, &release, dir)?;
    // Newer packages have everything below /usr, and expect /lib to be a link to /usr/lib.
    if !dir.join("lib").exists() {
        symlink("usr/lib", dir.join("lib"))?;
    }
    if stock.compiler.is_some() {
        make_relocatable(dir, &release)?;
    }
    Ok(Kernel::describe(dir, stock.name, &release, &version).map(drop)?)
}

fn release(archive: &Archive, flavour: &str) -> Result<String> {
    let metapackage = format!("linux-image-{flavour}");
    let depends = archive.depends(&metapackage)?;
    let release = depends.iter().find_map(|name| name.strip_prefix("linux-image-"));
    Ok(release.with_context(|| format!("{metapackage} does not depend on a kernel image"))?.to_owned())
}

/// Unpacks the image, its modules, and its headers if it has any. Returns the version of the
/// image's package.
fn unpack(archive: &Archive, stock: &Stock, release: &str, into: &Path) -> Result<String> {
    let image = format!("linux-image-{release}");
    let version = archive.version(&image)?;
    let base = format!("linux-base-{release}");
    let mut packages = parts(archive, image, &[&base, "linux-binary-", "linux-modules-"])?;
    if stock.compiler.is_some() {
        let headers = format!("linux-headers-{release}");
        packages.extend(parts(archive, headers, &["linux-headers-", "linux-kbuild-"])?);
    }
    archive.unpack(&packages, into)?;
    Ok(version)
}

/// A package and those of its dependencies whose names have one of these prefixes.
fn parts(archive: &Archive, package: String, prefixes: &[&str]) -> Result<Vec<String>> {
    let needs = archive.depends(&package)?.into_iter();
    let needs = needs.filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix)));
    Ok([package].into_iter().chain(needs).collect())
}

/// The packages expect to be installed in `/`: makes every reference between them relative.
fn make_relocatable(dir: &Path, release: &str) -> Result<()> {
    let headers = dir.join("usr/src").join(format!("linux-headers-{release}"));
    relocate_makefile(&headers.join("Makefile"))?;
    // With the BTF of 6.12's headers every module build would need pahole; a module works without
    // BTF.
    let btf = headers.join("vmlinux");
    if btf.exists() {
        fs::remove_file(btf)?;
    }
    relocate_links(&dir.join("lib/modules").join(release))
}

/// Makes `include /usr/src/linux-headers-X-common/Makefile`, and from 7.2 on
/// `KBUILD_OUTPUT=/usr/src/linux-headers-X`, relative to the file.
fn relocate_makefile(makefile: &Path) -> Result<()> {
    let text = fs::read_to_string(makefile).with_context(|| format!("cannot read {}", makefile.display()))?;
    // Evaluated at once, while this file is the last one that was read.
    let here = "$(dir $(realpath $(lastword $(MAKEFILE_LIST))))..";
    let mut relative = String::new();
    for line in text.lines() {
        relative +=
            &match (line.strip_prefix("include /usr/src/"), line.strip_prefix("KBUILD_OUTPUT=/usr/src/")) {
                (Some(common), _) => format!("include {here}/{common}\n"),
                (_, Some(output)) => format!("KBUILD_OUTPUT := {here}/{output}\n"),
                _ => bail!("{}: expected a reference to /usr/src, found {line:?}", makefile.display()),
            };
    }
    Ok(fs::write(makefile, relative)?)
}

fn relocate_links(modules: &Path) -> Result<()> {
    for name in ["build", "source"] {
        let link = modules.join(name);
        let target =
            fs::read_link(&link).with_context(|| format!("cannot read the link {}", link.display()))?;
        let target = Path::new("../../..").join(target.strip_prefix("/").unwrap_or(&target));
        fs::remove_file(&link)?;
        symlink(target, &link)?;
    }
    Ok(())
}
