//! A Debian system on a disk, as people install it: systemd, udev, a boot menu, kexec-tools,
//! kdump-tools, and what DKMS needs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use super::apt::{self, Suites};
use super::packages;
use crate::guest::installed::{BootedBy, Machine};
use crate::{program, tree};

/// A release of Debian.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Release {
    #[value(name = "12")]
    Debian12,
    #[value(name = "13")]
    Debian13,
}

impl Release {
    /// Its name in package lists.
    const fn codename(self) -> &'static str {
        match self {
            Self::Debian12 => "bookworm",
            Self::Debian13 => "trixie",
        }
    }

    const fn suites(self) -> Suites {
        match self {
            Self::Debian12 => Suites::Stable,
            Self::Debian13 => Suites::Next,
        }
    }
}

/// What it has besides the essential packages.
const PACKAGES: &str = "systemd-sysv,udev,dbus,kmod,procps,iproute2,e2fsprogs,busybox-static,zstd,\
                        initramfs-tools,dracut-core,grub-pc-bin,grub2-common,kexec-tools,\
                        kdump-tools,makedumpfile,dkms,gcc,make,libc6-dev,openssl,\
                        linux-image-cloud-amd64,linux-headers-cloud-amd64";

/// Directories of programs, those of the administrator too.
const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// The file with what a cached system was made by.
const RECIPE: &str = "recipe";
/// Size of the disk in MiB; a sparse file.
const DISK: u64 = 6 << 10;
/// Where its one partition starts, in MiB.
const PARTITION: u64 = 1;

/// Runs in the new system's root directory, before it is ever booted.
///
/// The job of a boot is an archive on the second disk: its `run.sh` gets the number of the boot,
/// and prints to the second serial port.
const SET_UP: &str = r#"
set -e
echo debian > etc/hostname
echo '/dev/vda1 / ext4 errors=remount-ro 0 1' > etc/fstab
sed -i 's/^root:[^:]*:/root::/' etc/shadow
cat > etc/default/grub.d/kjump-lab.cfg <<'END'
GRUB_CMDLINE_LINUX="console=ttyS0 crashkernel=256M no_timer_check"
GRUB_DISABLE_OS_PROBER=true
GRUB_TIMEOUT=0
END
# For an emulated CPU.
echo COMPRESSLEVEL=1 > etc/initramfs-tools/conf.d/level
mkdir -p etc/systemd/system.conf.d
printf '[Manager]\nDefaultTimeoutStartSec=600s\nDefaultTimeoutStopSec=300s\n' \
    > etc/systemd/system.conf.d/slow.conf
cat > usr/local/sbin/job <<'END'
#!/bin/sh
# A crash kernel has a job of its own.
[ -e /proc/vmcore ] && exit 0
mkdir -p /run/job /var/lib/job
tar -xf /dev/vdb -C /run/job || exit 0
boot=$(($(cat /var/lib/job/boots 2> /dev/null || echo 0) + 1))
echo $boot > /var/lib/job/boots
sync
exec > /dev/ttyS1 2>&1
stty -F /dev/ttyS1 -opost
cd /run/job
# By a pipe: on a terminal, programs would show their progress.
BOOT=$boot sh ./run.sh 2>&1 | cat
END
chmod 755 usr/local/sbin/job
cat > etc/systemd/system/job.service <<'END'
[Unit]
Description=The job of this virtual machine
After=multi-user.target kdump-tools.service
[Service]
Type=simple
ExecStart=/usr/local/sbin/job
# A job may end in a reboot.
KillMode=process
[Install]
WantedBy=multi-user.target
END
systemctl --root=. --quiet enable job.service
# Timers of a fresh system would start work of their own.
systemctl --root=. --quiet mask apt-daily.timer apt-daily-upgrade.timer man-db.timer
"#;

/// The job of the first boot: the boot loader, which looks at the disks of the machine it is for.
/// Before it, kdump-tools makes the crash kernel's initrd.
const FIRST_BOOT: &str = "grub-install /dev/vda && update-grub && rm -r /var/lib/job && sync && poweroff";

/// The disk of a system of this release that boots by itself. It is made the first time.
///
/// # Errors
/// The user is not root, a package cannot be had, or a program fails.
pub(crate) fn disk(release: Release) -> Result<PathBuf> {
    let root = files(release)?;
    let recipe = [PACKAGES, SET_UP, FIRST_BOOT].concat();
    let dir = tree::made_once(
        &format!("systems/{}", release.codename()),
        |dir| is_made_by(&recipe, dir),
        |dir| {
            make(&root, dir)?;
            Ok(fs::write(dir.join(RECIPE), &recipe)?)
        },
    )?;
    Ok(dir.join("disk"))
}

/// The kernel and the initrd of [`disk`], for a boot loader that does not read it.
///
/// # Errors
/// As there.
pub(crate) fn boot_files(release: Release) -> Result<(PathBuf, PathBuf)> {
    let boot = files(release)?.join("boot");
    Ok((newest(&boot, "vmlinuz-")?, newest(&boot, "initrd.img-")?))
}

/// Whether what is in a directory was made by this recipe. One made by an older version of it is
/// made anew.
fn is_made_by(recipe: &str, dir: &Path) -> bool {
    fs::read_to_string(dir.join(RECIPE)).is_ok_and(|made_by| made_by == recipe)
}

/// The root directory that the disk is made of.
fn files(release: Release) -> Result<PathBuf> {
    unpacked(&format!("{}-files", release.codename()), release, PACKAGES)
}

/// The root directory of a system with these packages. It is unpacked the first time, and again
/// if the packages change.
///
/// # Errors
/// As of [`unpack`].
pub(crate) fn unpacked(name: &str, release: Release, packages: &str) -> Result<PathBuf> {
    let dir = tree::made_once(
        &format!("systems/{name}"),
        |dir| is_made_by(packages, dir),
        |dir| {
            unpack(release, packages, &dir.join("root"))?;
            Ok(fs::write(dir.join(RECIPE), packages)?)
        },
    )?;
    Ok(dir.join("root"))
}

/// Makes the disk, from a root directory with everything unpacked.
fn make(root: &Path, dir: &Path) -> Result<()> {
    packages::for_debian_image()?;
    fs::create_dir_all(root.join("etc/default/grub.d"))?;
    program::quiet(Command::new("sh").args(["-c", SET_UP]).current_dir(root)).context("setting it up")?;
    let disk = dir.join("disk.part");
    partition(&disk, root)?;
    let (kernel, initrd) =
        (newest(&root.join("boot"), "vmlinuz-")?, newest(&root.join("boot"), "initrd.img-")?);
    let machine = Machine::new(dir.join("first"), &disk, FIRST_BOOT, &[])?;
    let mut said = String::new();
    let by = BootedBy::Emulator { kernel: &kernel, initrd: &initrd };
    machine.boot(by, Duration::from_secs(1200), |text| said += text).context("the first boot")?;
    // An empty file would be a system that GRUB cannot start.
    ensure!(said.contains("No error reported") || said.contains("done"), "the boot loader: {said}");
    fs::remove_dir_all(dir.join("first"))?;
    Ok(fs::rename(&disk, dir.join("disk"))?)
}

/// Makes a disk with one partition that has these files.
fn partition(disk: &Path, root: &Path) -> Result<()> {
    let size = |mebibytes: u64| format!("{mebibytes}M");
    program::quiet(Command::new("truncate").arg("-s").arg(size(DISK)).arg(disk))?;
    let script = format!("echo 'label: dos\n{PARTITION}MiB,,L,*' | sfdisk --quiet \"$0\"");
    program::quiet(Command::new("sh").args(["-c", &script]).arg(disk).env("PATH", PATH))?;
    let mut mke2fs = Command::new("mke2fs");
    mke2fs.env("PATH", PATH).args(["-q", "-F", "-t", "ext4", "-E"]);
    mke2fs
        .arg(format!("offset={}", PARTITION << 20))
        .arg("-d")
        .args([root, disk])
        .arg(size(DISK - PARTITION - 1));
    program::quiet(&mut mke2fs).map(drop)
}

/// Unpacks and configures a release's essential packages, apt, and others, in a directory.
///
/// # Errors
/// mmdebstrap fails.
fn unpack(release: Release, names: &str, root: &Path) -> Result<()> {
    packages::for_debian_image()?;
    if !packages::is_root() {
        bail!("a Debian system is unpacked with its owners and devices: run this as root");
    }
    let sources = root.with_extension("list");
    fs::write(&sources, apt::sources(release.suites())?)?;
    let mut debstrap = Command::new("mmdebstrap");
    debstrap.args(["--variant=apt", "--aptopt=APT::Install-Recommends \"false\""]);
    // Only what a machine without a reader needs.
    debstrap.args(["--dpkgopt=path-exclude=/usr/share/locale/*", "--aptopt=Acquire::Languages \"none\""]);
    // A system that is cut off while it is made is made anew.
    debstrap.arg("--dpkgopt=force-unsafe-io");
    // As after `dpkg-reconfigure kdump-tools`.
    let answers = "kdump-tools kdump-tools/use_kdump boolean true";
    debstrap.arg(format!("--essential-hook=echo '{answers}' | chroot \"$1\" debconf-set-selections"));
    program::quiet(debstrap.arg(format!("--include={names}")).arg(release.codename()).arg(root).arg(&sources))
        .map(drop)
}

/// A command for the shell in a system's root directory. It has mounts of its own, which end with
/// it: DKMS and others look into /proc and /dev.
pub(crate) fn inside(root: &Path, script: &str) -> Command {
    let mut inside = program::with_own_mounts(
        &["--pid", "--fork"],
        "mount --rbind /dev \"$1/dev\" && mount -t proc proc \"$1/proc\" && exec chroot \"$1\" sh -c \"$2\"",
    );
    inside.arg(root).arg(script).env("DEBIAN_FRONTEND", "noninteractive");
    inside
}

/// The last of the files with this prefix.
fn newest(dir: &Path, prefix: &str) -> Result<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(dir)?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<Vec<_>>>()?
        .into_iter()
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix)))
        .collect();
    found.sort();
    found.pop().with_context(|| format!("{} has no {prefix}*", dir.display()))
}
