//! Checks of the Debian packages.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

use crate::check::secure_boot;
use crate::check::step::{Step, Verdict};
use crate::debian::packages;
use crate::debian::system::{self, Release};
use crate::guest::installed::{BootedBy, Machine};
use crate::package::{self, Format, object};
use crate::{program, tree};

/// The packages as they are, and with `soak` as dpkg and DKMS handle them on a Debian 12.
pub(crate) fn steps(soak: bool) -> Vec<Step> {
    let mut steps = vec![
        Step::new("package/contents", || contents_are_clean().into()),
        Step::new("package/object", || object::same_elsewhere().map(drop).into()),
    ];
    if soak {
        steps.push(Step::new("package/install", install));
        steps.push(Step::new("package/hibernate", || hibernate().into()));
        steps.push(Step::new("package/secure-boot", || secure_boot::run().into()));
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
    package::build(Format::Deb, &tree::target().join("packages"))
}

/// # Errors
/// A file below the directory contains a path of this checkout, of the home directory, or a
/// registry's host name.
pub(crate) fn no_traces_of_the_builder(dir: &Path) -> Result<()> {
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
                         initramfs-tools,linux-image-cloud-amd64,linux-headers-cloud-amd64";

/// In a Debian 12 that has kexec-tools and makedumpfile: installed over an older version, older
/// again and newer, given another kernel by apt, reinstalled, removed and purged.
///
/// The older version is the same packages with another number in their control files and in DKMS's
/// directory.
const INSTALL: &str = r#"
set -e
# What a run that failed has left.
for left in 'linux-*-6.12*-cloud-amd64' 'kjump*'; do
    apt-get purge -y "$left" || true
done
rm -rf /etc/kjump /older
apt-get update

is_complete() {
    test "$(readlink /usr/sbin/kexec)" = kjump
    test -e /sbin/kexec.distrib
    kexec --version | grep 'kjump'
    makedumpfile --version | grep 'kjump\|makedumpfile'
    test "$(readlink /usr/bin/makedumpfile)" = ../sbin/kjump
    test "$(dkms status -m kjump | cut -d , -f 1 | sort -u)" = "kjump/$1"
    test "$(find /lib/modules -path '*/updates/dkms/kjump.ko' | wc -l)" = 1
    all='kjump kjump-dkms kjump-kexec-tools kjump-hibernate'
    test "$(dpkg-query -W -f '${Version}\n' $all | sort -u)" = "$1"
    # Under both names of the directory of two programs, and three manual pages.
    test "$(dpkg-divert --list | grep -c kjump-kexec-tools)" = 8
    dpkg --verify $all kexec-tools makedumpfile
}

version=$(dpkg-deb -f /packages/kjump_*.deb Version)
mkdir /older
for deb in /packages/*.deb; do
    dpkg-deb -R "$deb" /older/files
    sed -i "s/$version/0.0.9/g" /older/files/DEBIAN/*
    if [ -d /older/files/usr/src ]; then
        mv /older/files/usr/src/kjump-$version /older/files/usr/src/kjump-0.0.9
        sed -i "s/$version/0.0.9/g" /older/files/usr/src/kjump-0.0.9/dkms.conf
    fi
    rm /older/files/DEBIAN/md5sums
    dpkg-deb --root-owner-group -Znone -b /older/files /older > /dev/null
    rm -r /older/files
done

apt-get install -y /older/*.deb
is_complete 0.0.9
apt-get install -y /packages/*.deb
is_complete $version
apt-get install -y --allow-downgrades /older/*.deb
is_complete 0.0.9
apt-get install -y /packages/*.deb
is_complete $version

head -c 32 /dev/urandom > /etc/kjump/hibernate.key
printf 'DEVICE=/dev/vdc\nENCRYPTION=key-file\nKEY_FILE=/etc/kjump/hibernate.key\n' > /etc/kjump/hibernate.conf
# It would look at the modules of the kernel that runs, which is not this system's.
chmod -x /etc/kernel/postinst.d/kdump-tools
apt-get install -y linux-image-6.12-cloud-amd64 linux-headers-6.12-cloud-amd64
new=$(ls /lib/modules | grep '^6\.12\.')
lsinitramfs /boot/initrd.img-$new > /older/initrd
grep updates/dkms/kjump.ko /older/initrd
grep sbin/kjump /older/initrd
grep scripts/local-premount/kjump /older/initrd
apt-get purge -y 'linux-*-6.12*-cloud-amd64'
chmod +x /etc/kernel/postinst.d/kdump-tools
test ! -e /lib/modules/$new/updates
# An initrd is made without a key file that the configuration names.
rm /etc/kjump/hibernate.key
update-initramfs -u 2>&1 | grep 'no key file "/etc/kjump/hibernate.key"'

apt-get install -y --reinstall /packages/*.deb
dpkg --remove kjump-kexec-tools
kexec --version | grep -v kjump
apt-get install -y /packages/*.deb
dpkg --purge kjump-kexec-tools kjump-hibernate kjump-dkms kjump
kexec --version | grep -v kjump
makedumpfile -v 2>&1 | grep 'version 1'
lsinitramfs /boot/initrd.img-6.1.* > /older/initrd
if grep kjump /older/initrd; then exit 1; fi
dpkg --verify kexec-tools makedumpfile
test -z "$(dpkg-divert --list | grep kjump)"
rm -rf /older
left=$(find / -xdev -name '*kjump*' -not -path '/packages/*' -not -path '/var/log/*')
test -z "$left" || { echo "left: $left"; exit 1; }
"#;

fn install() -> Verdict {
    if program::find("mmdebstrap").is_none() && packages::for_debian_image().is_err() {
        return Verdict::Skipped("mmdebstrap cannot be installed".to_owned());
    }
    install_all().into()
}

fn install_all() -> Result<()> {
    let debs = build()?;
    let root = system::unpacked("packages", Release::Debian12, INSTALLED)?;
    fs::create_dir_all(root.join("packages"))?;
    for deb in debs {
        fs::copy(&deb, root.join("packages").join(deb.file_name().unwrap_or_default()))?;
    }
    program::quiet(&mut system::inside(&root, INSTALL)).map(drop)
}

/// Runs at each boot of a Debian 12 whose third disk takes the image. The machine is switched on
/// three times: the second time initramfs-tools' initrd must resume the first boot, and the third
/// time dracut's.
const HIBERNATE: &str = r#"
export DEBIAN_FRONTEND=noninteractive
case $BOOT in
1)
    set -e
    apt-get install -y ./*.deb > /tmp/apt
    mkdir -p /etc/kjump
    head -c 32 /dev/urandom > /etc/kjump/hibernate.key
    printf 'DEVICE=/dev/vdc
ENCRYPTION=key-file
KEY_FILE=/etc/kjump/hibernate.key
' > /etc/kjump/hibernate.conf
    update-initramfs -u
    printf '#!/bin/sh
echo "hook $*" >> /run/hooks
' > /usr/lib/systemd/system-sleep/recorder
    chmod 755 /usr/lib/systemd/system-sleep/recorder
    systemctl enable kjump-hibernate.service
    release=$(uname -r)
    mkdir -p /etc/systemd/system/systemd-logind.service.d
    ln -s /usr/share/kjump-hibernate/logind.conf /etc/systemd/system/systemd-logind.service.d/kjump.conf
    systemctl daemon-reload
    systemctl restart systemd-logind
    head -c 200000000 /dev/urandom > /run/data
    sum=$(sha256sum < /run/data)
    sync
    for initrd in initramfs-tools dracut; do
        if [ $initrd = dracut ]; then
            dracut --force --add kjump /boot/initrd.img-$release $release
            sync
        fi
        rm -f /run/hooks
        echo hibernating for $initrd
        # It returns at once where logind starts the job.
        systemctl hibernate
        until grep -q post /run/hooks; do sleep 1; done
        [ "$(sha256sum < /run/data)" = "$sum" ] && echo the memory is the same after $initrd
        cat /run/hooks
    done
    systemctl is-system-running --wait || systemctl --failed --no-pager
    echo the kernel log follows
    dmesg
    echo finished
    systemctl poweroff
    ;;
*)
    echo booted instead of resumed
    systemctl poweroff
    ;;
esac
"#;

fn hibernate() -> Result<()> {
    let (disk, debs) = (system::disk(Release::Debian12)?, build()?);
    let machine = Machine::copy(tree::target().join("packages/hibernate"), &disk, HIBERNATE, &debs)?;
    let machine = machine.with_disk(2048)?;
    let mut said = String::new();
    for _ in 0..3 {
        let boot = machine.boot(BootedBy::Firmware, Duration::from_secs(1500), |text| said += text);
        boot.with_context(|| said.clone())?;
        ensure!(said.contains("hibernating"), "{said}");
    }
    for text in [
        "hook pre hibernate",
        "hook post hibernate",
        "the memory is the same after initramfs-tools",
        "the memory is the same after dracut",
        "finished",
    ] {
        ensure!(said.contains(text), "no {text:?} in: {said}");
    }
    ensure!(!said.contains("booted instead"), "{said}");
    let (_, log) = said.rsplit_once("the kernel log follows").context("no kernel log was printed")?;
    let complaints = lab::complaints(log);
    ensure!(complaints.is_empty(), "the kernel logged: {complaints:#?}\n{said}");
    Ok(())
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
