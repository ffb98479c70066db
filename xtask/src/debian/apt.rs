//! Debian packages without touching the machine: a private apt configuration below `target/`.
//!
//! The mirror is the one that the machine's own apt uses. Suites, package lists and cache are
//! private, so that neither root nor an up-to-date machine is needed, and a suite that the machine
//! does not use (backports) can be read.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, Result, bail};

use crate::{program, tree};

/// The Debian release whose packages the lab uses, independent of the release that the machine
/// runs.
pub(crate) const RELEASE: &str = "bookworm";

/// The previous release.
const OLD: &str = "bullseye";

/// The next release.
const NEXT: &str = "trixie";

/// Debian unstable.
const UNSTABLE: &str = "sid";

/// Which suites to read. The first two belong to [`RELEASE`]. The newest version in them wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Suites {
    /// The release with its updates and security fixes.
    Stable,
    /// Newer kernels rebuilt for the release.
    Backports,
    /// The previous release.
    Old,
    /// The next release.
    Next,
    /// Newer kernels rebuilt for the next release.
    NextBackports,
    /// Debian unstable.
    Unstable,
}

/// A private view of a Debian archive, locked while it is open.
pub(crate) struct Archive {
    suites: Suites,
    dir: PathBuf,
    _lock: File,
}

/// The directory `target/NAME` with these packages unpacked in it.
///
/// # Errors
/// The packages cannot be fetched.
pub(crate) fn unpacked(
    suites: Suites,
    name: &str,
    packages: impl FnOnce(&Archive) -> Result<Vec<String>>,
) -> Result<PathBuf> {
    tree::made_once(name, Path::exists, |dir| {
        let archive = Archive::open(suites)?;
        archive.unpack(&packages(&archive)?, dir)
    })
}

impl Archive {
    /// Prepares the private configuration, and reads the package lists unless they were read within
    /// the last hour.
    ///
    /// # Errors
    /// The machine has no apt, or no Debian mirror in its configuration, or the mirror cannot be
    /// reached.
    pub(crate) fn open(suites: Suites) -> Result<Self> {
        let name = match suites {
            Suites::Stable => "stable",
            Suites::Backports => "backports",
            Suites::Old => "old",
            Suites::Next => "next",
            Suites::NextBackports => "next-backports",
            Suites::Unstable => "unstable",
        };
        let lock = tree::lock(&format!("apt-{name}"))?;
        let archive = Self { suites, dir: tree::target().join("apt").join(name), _lock: lock };
        archive.configure()?;
        archive.refresh()?;
        Ok(archive)
    }

    /// The version a package has in the archive.
    ///
    /// # Errors
    /// No such package, or the archive cannot be read.
    pub(crate) fn version(&self, package: &str) -> Result<String> {
        self.field(package, "Version")
    }

    /// The names of the packages that a package depends on; of alternatives, the first.
    ///
    /// # Errors
    /// No such package, or the archive cannot be read.
    pub(crate) fn depends(&self, package: &str) -> Result<Vec<String>> {
        Ok(dependency_names(&self.field(package, "Depends")?))
    }

    /// These packages and everything they need that `follow` accepts, directly or not; of
    /// alternatives, the first.
    ///
    /// # Errors
    /// No such package, or the archive cannot be read.
    pub(crate) fn with_needs(&self, packages: &[&str], follow: impl Fn(&str) -> bool) -> Result<Vec<String>> {
        let mut list = self.apt("apt-cache");
        list.args(["depends", "--recurse", "--important", "--no-conflicts", "--no-breaks", "--no-replaces"]);
        let list = program::read(list.args(packages))?;
        let needs = direct_needs(&list);
        let mut found: Vec<String> = packages.iter().map(|name| (*name).to_owned()).collect();
        let mut next = 0;
        while let Some(package) = found.get(next) {
            let more: Vec<_> = needs.get(package.as_str()).into_iter().flatten().copied().collect();
            for name in more.into_iter().filter(|name| follow(name)) {
                if !found.iter().any(|known| known == name) {
                    found.push(name.to_owned());
                }
            }
            next += 1;
        }
        Ok(found)
    }

    /// Fetches packages and unpacks them over one another into a directory.
    ///
    /// # Errors
    /// A package cannot be fetched or unpacked; the message is apt's.
    pub(crate) fn unpack(&self, packages: &[String], into: &Path) -> Result<()> {
        let debs = into.with_extension("debs");
        tree::recreate(&debs)?;
        fs::create_dir_all(into)?;
        eprintln!("fetching {}", packages.join(" "));
        program::quiet(self.apt("apt-get").arg("download").args(packages).current_dir(&debs))?;
        for deb in fs::read_dir(&debs)? {
            program::quiet(Command::new("dpkg-deb").arg("-x").arg(deb?.path()).arg(into))?;
        }
        Ok(fs::remove_dir_all(&debs)?)
    }

    fn refresh(&self) -> Result<()> {
        let stamp = self.dir.join("refreshed");
        if !younger_than(&stamp, Duration::from_secs(3600)) {
            let name = match self.suites {
                Suites::Stable | Suites::Backports => RELEASE,
                Suites::Old => OLD,
                Suites::Next | Suites::NextBackports => NEXT,
                Suites::Unstable => UNSTABLE,
            };
            eprintln!("reading the package lists of {name}");
            program::quiet(self.apt("apt-get").arg("update"))?;
            fs::write(&stamp, [])?;
        }
        Ok(())
    }

    fn field(&self, package: &str, field: &str) -> Result<String> {
        let mut show = self.apt("apt-cache");
        let text = program::read(show.args(["show", "--no-all-versions", package]))?;
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(": "));
        Ok(line.with_context(|| format!("package {package} has no field {field}"))?.to_owned())
    }

    fn apt(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.arg("-c").arg(self.dir.join("apt.conf")).env("LC_ALL", "C");
        command
    }

    fn configure(&self) -> Result<()> {
        for part in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(self.dir.join(part))?;
        }
        let sources = sources(self.suites)?;
        if fs::read_to_string(self.dir.join("sources.list")).ok().as_ref() != Some(&sources) {
            let _ = fs::remove_file(self.dir.join("refreshed"));
            fs::write(self.dir.join("sources.list"), sources)?;
        }
        fs::write(self.dir.join("status"), [])?;
        Ok(fs::write(self.dir.join("apt.conf"), self.configuration())?)
    }

    fn configuration(&self) -> String {
        let dir = self.dir.display();
        format!(
            "Dir::Etc::sourcelist \"{dir}/sources.list\";\n\
             Dir::Etc::sourceparts \"/dev/null\";\n\
             Dir::Etc::preferencesparts \"/dev/null\";\n\
             Dir::State::lists \"{dir}/lists\";\n\
             Dir::State::status \"{dir}/status\";\n\
             Dir::Cache \"{dir}/cache\";\n\
             APT::Architecture \"amd64\";\n\
             APT::Architectures {{ \"amd64\"; }};\n\
             APT::Update::Error-Mode \"any\";\n\
             // apt's own user may not be able to enter the directory of this tree.\n\
             APT::Sandbox::User \"root\";\n\
             Acquire::Languages \"none\";\n\
             Acquire::Retries \"3\";\n"
        )
    }
}

/// The lines of a `sources.list` for these suites.
///
/// # Errors
/// The machine has no apt, or no Debian mirror in its configuration.
pub(crate) fn sources(suites: Suites) -> Result<String> {
    let mirrors = Mirrors::of_this_machine()?;
    let signed = keyring().map(|file| format!("[signed-by={file}] ")).unwrap_or_default();
    let mut sources = String::new();
    for (uri, suite) in mirrors.suites(suites) {
        writeln!(sources, "deb {signed}{uri} {suite} main")?;
    }
    Ok(sources)
}

/// Where the machine's apt finds Debian.
#[derive(Debug, PartialEq, Eq)]
struct Mirrors {
    main: String,
    security: Option<String>,
}

impl Mirrors {
    fn of_this_machine() -> Result<Self> {
        // Without release information apt also lists indexes that are configured but were never
        // read.
        let format = "$(CREATED_BY) $(COMPONENT) $(RELEASE) $(REPO_URI)";
        let mut list = Command::new("apt-get");
        let targets = program::read(list.args(["indextargets", "--no-release-info", "--format", format]))
            .context("this task needs Debian's apt")?;
        match Self::among(&targets, &codename()) {
            Some(mirrors) => Ok(mirrors),
            None => bail!("apt has no Debian mirror configured: add one for {RELEASE} main to its sources"),
        }
    }

    /// Picks the mirrors from lines of `Packages COMPONENT RELEASE URI`.
    fn among(targets: &str, codename: &str) -> Option<Self> {
        let main_of = |release: &str| {
            let wanted = ["Packages", "main", release];
            let fields = targets.lines().map(|line| line.split(' ').collect::<Vec<_>>());
            fields
                .filter(|fields| fields.len() == 4 && fields[..3] == wanted)
                .map(|fields| fields[3].to_owned())
                .next()
        };
        let either = |suffix: &str| {
            main_of(&format!("{RELEASE}{suffix}")).or_else(|| main_of(&format!("{codename}{suffix}")))
        };
        Some(Self { main: either("").or_else(|| main_of("stable"))?, security: either("-security") })
    }

    fn suites(&self, suites: Suites) -> Vec<(&str, String)> {
        match suites {
            Suites::Backports => vec![(&self.main, format!("{RELEASE}-backports"))],
            Suites::Old => vec![(&self.main, OLD.to_owned())],
            Suites::Next => vec![(&self.main, NEXT.to_owned())],
            Suites::NextBackports => vec![(&self.main, format!("{NEXT}-backports"))],
            Suites::Unstable => vec![(&self.main, UNSTABLE.to_owned())],
            Suites::Stable => {
                let main = ["", "-updates"].map(|suffix| (self.main.as_str(), format!("{RELEASE}{suffix}")));
                let security = self.security.iter().map(|uri| (uri.as_str(), format!("{RELEASE}-security")));
                main.into_iter().chain(security).collect()
            }
        }
    }
}

fn codename() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    name.unwrap_or(RELEASE).trim_matches('"').to_owned()
}

fn keyring() -> Option<&'static str> {
    let file = "/usr/share/keyrings/debian-archive-keyring.gpg";
    Path::new(file).exists().then_some(file)
}

/// `a (= 1), b | c, d:any` is a, b and d.
fn dependency_names(field: &str) -> Vec<String> {
    let name = |clause: &str| clause.trim().split([' ', '|', ':']).next().unwrap_or_default().to_owned();
    field.split(',').map(name).filter(|name| !name.is_empty()).collect()
}

/// What each package needs directly, from what `apt-cache depends --recurse` prints:
///
/// ```text
/// python3-drgn
///   Depends: libc6
///  |Depends: gcc-12
///   Depends: gcc
///   Depends: <python3:any>
///     python3
/// ```
///
/// A bar marks all but the last of some alternatives, of which the first counts. A name in angle
/// brackets is not a package; the names below it are the packages that provide it.
fn direct_needs(list: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut found = BTreeMap::new();
    let (mut package, mut is_alternative, mut is_met) = ("", false, false);
    for line in list.lines() {
        let name = if !line.starts_with(' ') {
            package = line;
            None
        } else if let Some((mark, name)) = line.split_once("Depends: ") {
            is_met &= is_alternative;
            is_alternative = mark.contains('|');
            Some(name)
        } else {
            Some(line.trim_start())
        };
        let needs: &mut Vec<&str> = found.entry(package).or_default();
        if let Some(name) = name.filter(|name| !is_met && !name.starts_with('<')) {
            needs.push(name);
            is_met = true;
        }
    }
    found
}

fn younger_than(file: &Path, age: Duration) -> bool {
    let modified = fs::metadata(file).and_then(|meta| meta.modified());
    modified.is_ok_and(|time| SystemTime::now().duration_since(time).is_ok_and(|past| past < age))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mirror_of_the_release_is_chosen() {
        let targets = "Packages main cloud-sdk http://a/\n\
                       DEP-11 main bookworm http://b/\n\
                       Packages contrib bookworm http://c/\n\
                       Packages main bookworm http://d/\n\
                       Packages main bookworm-security http://e/\n";
        let mirrors = Mirrors::among(targets, "bookworm").unwrap();
        assert_eq!(mirrors, Mirrors { main: "http://d/".into(), security: Some("http://e/".into()) });
    }

    #[test]
    fn the_mirror_of_a_machine_with_another_release_is_used() {
        let targets = "Packages main trixie http://d/\nPackages main trixie-security http://e/\n";
        let mirrors = Mirrors::among(targets, "trixie").unwrap();
        let suites = mirrors.suites(Suites::Stable);
        assert_eq!(suites[2], ("http://e/", "bookworm-security".to_owned()));
        assert_eq!(mirrors.suites(Suites::Backports), [("http://d/", "bookworm-backports".to_owned())]);
    }

    #[test]
    fn a_machine_without_a_debian_mirror_yields_none() {
        assert_eq!(Mirrors::among("Packages main cloud-sdk http://a/\n", "bookworm"), None);
    }

    #[test]
    fn of_alternatives_and_of_providers_the_first_is_needed() {
        let list = "drgn\n  PreDepends: libc6\n |Depends: gcc-12\n  Depends: gcc\n  \
                    Depends: <python3:any>\n    python3\n    pypy\n  Depends: libdw1\n<python3:any>\nlibc6\n";
        let needs = direct_needs(list);
        assert_eq!(needs["drgn"], ["libc6", "gcc-12", "python3", "libdw1"]);
        assert!(needs["libc6"].is_empty());
    }

    #[test]
    fn of_alternative_dependencies_the_first_counts() {
        let field = "linux-headers-6.1.0-1-common (= 6.1.1-1), perl:any, gcc-12 | gcc, ";
        assert_eq!(dependency_names(field), ["linux-headers-6.1.0-1-common", "perl", "gcc-12"]);
    }
}
