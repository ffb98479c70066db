//! Reference programs that kjump is compared with in guests: as Debian builds them, with their
//! libraries, since a guest has none.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::debian::apt::{Archive, Suites};
use crate::{program, tree};

/// Their directory in a guest. Each program there is a script that starts it with its own
/// libraries.
pub(crate) const IN_GUEST: &str = "/reference";

/// A program that Debian packages.
pub(crate) struct Program {
    package: &'static str,
    /// Path in the package.
    program: &'static str,
    /// Paths of files that need no libraries.
    others: &'static [&'static str],
}

/// kexec-tools.
pub(crate) const KEXEC: Program = Program {
    package: "kexec-tools",
    program: "sbin/kexec",
    // A kernel for kexec to start; it prints the state of the machine.
    others: &["usr/lib/x86_64-linux-gnu/kexec-tools/kexec_test.static"],
};

/// makedumpfile.
pub(crate) const MAKEDUMPFILE: Program =
    Program { package: "makedumpfile", program: "usr/bin/makedumpfile", others: &[] };

const LOADER: &str = "lib64/ld-linux-x86-64.so.2";

fn name_of(path: &str) -> Result<&str> {
    path.rsplit('/').next().context("a program has a name")
}

impl Program {
    /// The directory for [`IN_GUEST`], fetched first if necessary.
    ///
    /// # Errors
    /// The packages cannot be fetched.
    pub(crate) fn directory(&self) -> Result<PathBuf> {
        let is_complete = |dir: &Path| {
            let mut names = self.others.iter().map(|other| name_of(other));
            dir.exists() && names.all(|name| name.is_ok_and(|name| dir.join(name).exists()))
        };
        tree::made_once(&format!("reference/{}", self.package), is_complete, |dir| self.fetch(dir))
    }

    fn fetch(&self, into: &Path) -> Result<()> {
        let archive = Archive::open(Suites::Stable)?;
        let unpacked = into.with_extension("unpacked");
        tree::recreate(&unpacked)?;
        let is_library = |name: &str| name.starts_with("lib") || name.starts_with("zlib");
        archive.unpack(&archive.with_needs(&[self.package], is_library)?, &unpacked)?;
        fs::create_dir(into.join("lib"))?;
        for library in self.libraries(&unpacked)? {
            let name = library.file_name().context("a library has a name")?;
            fs::copy(&library, into.join("lib").join(name))?;
        }
        self.install(&unpacked, into)?;
        Ok(fs::remove_dir_all(&unpacked)?)
    }

    fn install(&self, unpacked: &Path, into: &Path) -> Result<()> {
        let name = name_of(self.program)?;
        fs::copy(unpacked.join(self.program), into.join("lib").join(name))?;
        fs::copy(unpacked.join(LOADER), into.join("lib/loader"))?;
        for other in self.others {
            fs::copy(unpacked.join(other), into.join(name_of(other)?))?;
        }
        let script = into.join(name);
        let lib = format!("{IN_GUEST}/lib");
        fs::write(
            &script,
            format!("#!/bin/sh\nexec {lib}/loader --library-path {lib} {lib}/{name} \"$@\"\n"),
        )?;
        use std::os::unix::fs::PermissionsExt as _;
        Ok(fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?)
    }

    /// The libraries that the dynamic loader would map, all of them from the packages.
    fn libraries(&self, unpacked: &Path) -> Result<Vec<PathBuf>> {
        let places = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"].map(|place| unpacked.join(place));
        let path = places.map(|place| place.display().to_string()).join(":");
        let mut loader = Command::new(unpacked.join(LOADER));
        let list =
            program::read(loader.args(["--library-path", &path, "--list"]).arg(unpacked.join(self.program)))?;
        let libraries: Vec<PathBuf> = list
            .lines()
            .filter_map(|line| Some(line.split_once("=> ")?.1.split(' ').next()?.into()))
            .collect();
        match libraries.iter().find(|library| !library.starts_with(unpacked)) {
            Some(library) => bail!("{} would use {} of this machine", self.program, library.display()),
            None => Ok(libraries),
        }
    }
}
