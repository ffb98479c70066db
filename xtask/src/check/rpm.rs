//! Checks of the RPM packages: they have the files of the Debian packages, and can be installed and
//! removed.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::build::product;
use crate::check::packages::no_traces_of_the_builder;
use crate::check::step::Step;
use crate::debian::programs;
use crate::debian::system::{self, Release};
use crate::package::contents::{self, Package};
use crate::package::{self, Format, deb, rpm};
use crate::{program, tree};

/// The packages as they are, and with `soak` as rpm and DKMS handle them.
pub(crate) fn steps(soak: bool) -> Vec<Step> {
    let mut steps = vec![Step::new("package/rpm", || are_like_debian_packages().into())];
    if soak {
        steps.push(Step::new("package/rpm-install", || install().into()));
    }
    steps
}

/// Every difference between the files of the Debian packages and those of the RPM packages: `-` is
/// only in the former, `+` only in the latter.
const DIFFERENCES: &str = "\
kjump
- /usr/share/doc/kjump/changelog.gz
- /usr/share/doc/kjump/copyright
- /usr/share/lintian/overrides/kjump
- /usr/share/zsh/vendor-completions/_kjump
+ /usr/share/licenses/kjump/LICENSE-APACHE
+ /usr/share/licenses/kjump/LICENSE-MIT
+ /usr/share/zsh/site-functions/_kjump
kjump-dkms
- /usr/share/doc/kjump-dkms/changelog.gz
- /usr/share/doc/kjump-dkms/copyright
- /usr/share/lintian/overrides/kjump-dkms
+ /usr/share/licenses/kjump-dkms/LICENSE-GPL-2.0
kjump-kexec-tools
- /usr/bin/makedumpfile
- /usr/share/doc/kjump-kexec-tools/changelog.gz
- /usr/share/doc/kjump-kexec-tools/copyright
+ /usr/sbin/makedumpfile
+ /usr/share/licenses/kjump-kexec-tools/LICENSE-APACHE
+ /usr/share/licenses/kjump-kexec-tools/LICENSE-MIT
kjump-hibernate
- /usr/share/doc/kjump-hibernate/changelog.gz
- /usr/share/doc/kjump-hibernate/copyright
- /usr/share/initramfs-tools/hooks/kjump
- /usr/share/initramfs-tools/scripts/local-premount/kjump
- /usr/share/lintian/overrides/kjump-hibernate
+ /usr/share/licenses/kjump-hibernate/LICENSE-APACHE
+ /usr/share/licenses/kjump-hibernate/LICENSE-MIT
";

/// What the packages need, recommend, provide and conflict with.
const RELATIONS: &str = "\
kjump
requires /bin/sh
recommends kjump-dkms
provides kjump = 0.1.0-1
provides kjump(x86-64) = 0.1.0-1
kjump-dkms
requires /bin/sh
requires dkms >= 3.0.10
requires gcc
requires kernel-devel
requires make
recommends openssl
provides kjump-dkms = 0.1.0-1
provides kjump-dkms(x86-64) = 0.1.0-1
kjump-kexec-tools
requires kjump >= 0.1.0
provides kexec-tools = 2.0.32
provides kjump-kexec-tools = 0.1.0-1
provides makedumpfile = 1.7.8
conflicts kexec-tools
conflicts makedumpfile
kjump-hibernate
requires /bin/sh
requires busybox
requires kjump >= 0.1.0
requires kjump-dkms >= 0.1.0
recommends dracut
provides kjump-hibernate = 0.1.0-1
";

fn are_like_debian_packages() -> Result<()> {
    let dir = directory();
    let elsewhere = tree::target().join("packages/elsewhere");
    tree::recreate(&dir)?;
    let header = elsewhere.join("header");
    tree::recreate(&header)?;
    let (mut different, mut related) = (String::new(), String::new());
    for package in contents::packages()? {
        let made = rpm::build(&package, &dir)?;
        let again = rpm::build(&package, &elsewhere)?;
        ensure!(fs::read(&made)? == fs::read(&again)?, "{} depends on its directory", made.display());
        let query = Query { package: &made, dir: &dir };
        different += &format!("{}\n{}", package.name, differences(&package, &query)?);
        related += &format!("{}\n{}", package.name, query.relations()?);
        is_shell(&query).with_context(|| made.display().to_string())?;
        fs::write(header.join("header"), query.run(&["--xml"])?)?;
        no_traces_of_the_builder(&header)?;
    }
    fs::remove_dir_all(elsewhere)?;
    ensure!(different == DIFFERENCES, "the files differ otherwise than expected:\n{different}");
    ensure!(related == RELATIONS, "the packages need or provide other things than expected:\n{related}");
    they_provide_what_the_programs_print(&related)
}

fn directory() -> PathBuf {
    tree::target().join("packages/rpm")
}

/// A package, and a directory that rpm may write to.
struct Query<'a> {
    package: &'a Path,
    dir: &'a Path,
}

impl Query<'_> {
    fn run(&self, arguments: &[&str]) -> Result<String> {
        let mut rpm = programs::rpm("rpm", self.dir)?;
        program::read(rpm.args(["--query", "--package"]).args(arguments).arg(self.package))
    }

    /// Files and links with mode, owner and content, as [`files_of_deb`] has them; directories are
    /// checked here.
    fn files(&self) -> Result<BTreeMap<String, String>> {
        let format = "[%{FILENAMES} %{FILEMODES:octal} %{FILEUSERNAME}:%{FILEGROUPNAME} \
                      %{FILELINKTOS}%{FILEDIGESTS}\n]";
        let mut files = BTreeMap::new();
        for line in self.run(&["--queryformat", format])?.lines() {
            let (path, about) = line.split_once(' ').with_context(|| line.to_owned())?;
            // Of a directory.
            if about.starts_with("4") {
                ensure!(about.trim_end() == "40755 root:root", "{path}: {about}");
            } else {
                files.insert(path.to_owned(), about.to_owned());
            }
        }
        Ok(files)
    }

    /// What it needs, recommends, provides and conflicts with, except for features of rpm itself.
    fn relations(&self) -> Result<String> {
        let mut found = String::new();
        for kind in ["requires", "recommends", "provides", "conflicts"] {
            let list = self.run(&[&format!("--{kind}")])?;
            let mut others: Vec<_> = list.lines().filter(|line| !line.starts_with("rpmlib(")).collect();
            // One for each scriptlet.
            others.dedup();
            found.extend(others.iter().map(|line| format!("{kind} {line}\n")));
        }
        Ok(found)
    }
}

/// The lines of [`DIFFERENCES`] for a package.
fn differences(package: &Package, query: &Query<'_>) -> Result<String> {
    let unpacked = query.dir.join("unpacked");
    let ours = files_of_deb(&deb::build(package, query.dir)?, &unpacked)?;
    fs::remove_dir_all(unpacked)?;
    let theirs = query.files()?;
    ensure!(!theirs.is_empty(), "{} is empty", query.package.display());
    let only = |these: &BTreeMap<String, String>, those: &BTreeMap<String, String>, sign| {
        let missing = these.keys().filter(|path| !those.contains_key(*path));
        missing.map(|path| format!("{sign} {path}\n")).collect::<String>()
    };
    for (path, about) in ours.iter().filter(|(path, _)| theirs.contains_key(*path)) {
        let theirs = &theirs[path];
        ensure!(about == theirs, "{path}: {about} in the Debian package, {theirs} in the RPM");
    }
    Ok(only(&ours, &theirs, '-') + &only(&theirs, &ours, '+'))
}

/// The files and links of a Debian package: type and mode in octal, owner, and a link's target or a
/// file's SHA-256.
fn files_of_deb(deb: &Path, unpacked: &Path) -> Result<BTreeMap<String, String>> {
    const LIST: &str = r#"
cd "$1"
find . ! -type d -printf '%P 0%y%m %l\n' | sed 's/ 0l/ 120/; s/ 0f/ 100/'
find . -type f -exec sha256sum {} +
"#;
    tree::recreate(unpacked)?;
    program::quiet(Command::new("dpkg-deb").arg("--extract").arg(deb).arg(unpacked))?;
    let list = program::read(Command::new("sh").args(["-c", LIST, "sh"]).arg(unpacked))?;
    let (mut files, mut sums) = (BTreeMap::new(), BTreeMap::new());
    for line in list.lines() {
        match line.split_once("  ./") {
            Some((sum, path)) => drop(sums.insert(path.to_owned(), sum.to_owned())),
            None => {
                let [path, mode, target] = *line.splitn(3, ' ').collect::<Vec<_>>() else { continue };
                files.insert(path.to_owned(), (mode.to_owned(), target.to_owned()));
            }
        }
    }
    let about = |(path, (mode, target)): (String, (String, String))| {
        let content = sums.get(&path).unwrap_or(&target);
        (format!("/{path}"), format!("{mode} root:root {content}"))
    };
    Ok(files.into_iter().map(about).collect())
}

/// Every scriptlet can be parsed by a POSIX shell, and is for it.
fn is_shell(query: &Query<'_>) -> Result<()> {
    for name in ["PREIN", "POSTIN", "PREUN", "POSTUN", "PRETRANS", "POSTTRANS"] {
        let [program, text] = ["PROG", ""].map(|part| format!("[%{{{name}{part}}}]"));
        let text = query.run(&["--queryformat", &text])?;
        if text.is_empty() {
            continue;
        }
        let program = query.run(&["--queryformat", &program])?;
        ensure!(program == "/bin/sh", "{name} is run by {program}");
        let mut shell = Command::new("sh").arg("-n").stdin(Stdio::piped()).spawn()?;
        shell.stdin.take().context("sh has no standard input")?.write_all(text.as_bytes())?;
        ensure!(shell.wait()?.success(), "{name} is not a script for sh:\n{text}");
    }
    Ok(())
}

/// The versions of kexec-tools and makedumpfile that a package stands for are those that the
/// programs print.
fn they_provide_what_the_programs_print(relations: &str) -> Result<()> {
    let kjump = product::static_program("kjump", "kjump")?;
    for (name, command, before) in
        [("kexec-tools", "kexec", "kexec-tools "), ("makedumpfile", "makedumpfile", "makedumpfile: version ")]
    {
        let printed = program::read(Command::new(&kjump).arg0(command).arg("--version"))?;
        let version = printed.strip_prefix(before).and_then(|rest| rest.split(' ').next());
        let version = version.with_context(|| printed.clone())?;
        let expected = format!("provides {name} = {version}\n");
        ensure!(relations.contains(&expected), "no {expected:?} in:\n{relations}");
    }
    Ok(())
}

/// What a system in a directory has that the packages build the module by. Neither its programs nor
/// RPM's database say so: it is a Debian.
const SYSTEM: &str = "dkms,gcc,make,libc6-dev,openssl,linux-headers-cloud-amd64";

/// Runs with the system's root directory and a directory of packages, then a command that is rpm.
/// Installs the packages, reinstalls them and removes them. rpm runs the scriptlets in the root
/// directory.
const INSTALL: &str = r#"
set -e
root=$1 packages=$2
shift 2
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
inside() { chroot "$root" "$@"; }
# What a run that failed has left.
"$@" --root "$root" --erase --nodeps kjump kjump-dkms kjump-kexec-tools kjump-hibernate 2> /dev/null || true
rm -rf "$root/var/lib/rpm" "$root/etc/kjump" "$root"/var/lib/dkms/kjump
mkdir -p "$root/var/lib/rpm"
set -- "$@" --root "$root" --dbpath /var/lib/rpm

if "$@" --install --test "$packages"/*.rpm 2> "$packages/missing"; then exit 1; fi
missing=$(sed -n 's/^\t\([^ ]*\).* is needed by .*/\1/p' "$packages/missing" | sort -u | tr '\n' ' ')
test "$missing" = "/bin/sh busybox dkms gcc kernel-devel make " || { echo "missing: $missing" >&2; exit 1; }

is_complete() {
    inside kexec --version | grep '(kjump '
    inside makedumpfile --version | grep '(kjump '
    inside kjump --help | grep '^Usage: kjump'
    test "$(inside readlink /usr/sbin/kexec)" = kjump
    test "$(inside dkms status -m kjump | grep -c ': installed')" = 1
    test "$(find "$root/lib/modules/" -path '*/updates/dkms/kjump.ko' | wc -l)" = 1
    "$@" --verify --nodeps kjump kjump-dkms kjump-kexec-tools kjump-hibernate
}

"$@" --install --nodeps "$packages"/*.rpm
is_complete "$@"
"$@" --reinstall --nodeps "$packages"/*.rpm
is_complete "$@"
echo DEVICE=/dev/vdc >> "$root/etc/kjump/hibernate.conf"
"$@" --reinstall --nodeps "$packages"/*.rpm
grep DEVICE=/dev/vdc "$root/etc/kjump/hibernate.conf"
"$@" --erase kjump-hibernate kjump-kexec-tools kjump-dkms kjump
grep DEVICE=/dev/vdc "$root/etc/kjump/hibernate.conf.rpmsave"
rm -r "$root/etc/kjump"
left=$(find "$root" -xdev -name '*kjump*')
test -z "$left" || { echo "left: $left" >&2; exit 1; }
"#;

fn install() -> Result<()> {
    let dir = directory();
    tree::recreate(&dir)?;
    package::build(Format::Rpm, &dir)?;
    let root = system::unpacked("rpm", Release::Debian12, SYSTEM)?;
    let rpm = programs::rpm("rpm", &dir)?;
    let mut command = program::with_own_mounts(&[], INSTALL);
    command.args([&root, &dir]);
    command.arg(rpm.get_program()).args(rpm.get_args());
    command.envs(rpm.get_envs().filter_map(|(name, value)| Some((name, value?))));
    program::quiet(&mut command).map(drop)
}
