//! The packages on a Debian that Secure Boot has locked down.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::debian::secure_boot::{SecureBoot, owners_key};
use crate::debian::system::{self, Release};
use crate::guest::installed::{BootedBy, Machine};
use crate::package::{self, Format};
use crate::tree;

/// Runs at each boot; the second one is started by kexec. A check that fails prints `wrong`.
const SCRIPT: &str = r#"
export DEBIAN_FRONTEND=noninteractive
holds() { "$@" || echo "wrong: $*"; }
fails() { if "$@"; then echo "wrong: succeeded: $*"; fi; }
locked_down() {
    holds grep -q '\[integrity\]' /sys/kernel/security/lockdown
    holds sh -c 'dmesg | grep "Secure boot enabled" > /dev/null'
}
case $BOOT in
1)
    locked_down
    # DKMS signs with the key that it finds.
    mkdir -p /var/lib/dkms
    cp mok.key mok.pub /var/lib/dkms/
    holds sh -c 'apt-get install -y ./*.deb > /tmp/apt'
    holds sh -c 'modinfo -F signer kjump | grep "A machine.s owner"'
    kjump check
    holds sh -c 'kjump check | grep -i "lock"'

    echo "a call:"
    fails kjump call /usr/lib/kjump/payloads/sum64 1 2 3 4 5 6
    holds sh -c 'kjump call /usr/lib/kjump/payloads/sum64 1 2>&1 | grep "locked down"'
    holds grep -q '^kjump ' /proc/modules
    echo "a module without a signature:"
    rmmod kjump
    cp "$(modinfo -n kjump)" /tmp/kjump.ko
    # The mark at the end of a signature.
    truncate -s -28 /tmp/kjump.ko
    fails insmod /tmp/kjump.ko

    echo "kexec_load:"
    fails kexec -c -l /vmlinuz --initrd=/initrd.img --reuse-cmdline
    echo "a kernel that was changed:"
    cp /vmlinuz /tmp/vmlinuz
    printf x | dd of=/tmp/vmlinuz bs=1 seek=1000000 conv=notrunc 2> /dev/null
    fails kexec -l /tmp/vmlinuz --initrd=/initrd.img --reuse-cmdline
    holds grep -q 0 /sys/kernel/kexec_loaded

    holds kexec -l /vmlinuz --initrd=/initrd.img --reuse-cmdline
    holds grep -q 1 /sys/kernel/kexec_loaded
    holds kexec -u
    holds grep -q 0 /sys/kernel/kexec_loaded
    kdump-config status
    holds sh -c 'kdump-config status | grep "ready to kdump"'
    holds kexec -l /vmlinuz --initrd=/initrd.img --reuse-cmdline
    echo restarting
    systemctl kexec
    ;;
2)
    # The boot protocol's number of kexec.
    holds grep -q 208 /proc/sys/kernel/bootloader_type
    locked_down
    kdump-config status
    echo crashing
    sync
    echo c > /proc/sysrq-trigger
    ;;
3)
    locked_down
    holds sh -c 'kjump dump verify /var/crash/*/dump.*'
    echo finished
    systemctl poweroff
    ;;
esac
"#;

/// # Errors
/// A part does not build, the machine does not come to its end, or a check fails: with what the
/// machine printed.
pub(super) fn run() -> Result<()> {
    let (debs, disk) =
        (package::build(Format::Deb, &tree::target().join("packages"))?, system::disk(Release::Debian12)?);
    let (kernel, initrd) = system::boot_files(Release::Debian12)?;
    let dir = tree::target().join("packages/secure-boot");
    let made = dir.with_extension("firmware");
    tree::recreate(&made)?;
    let key = owners_key(&made)?;
    let command_line = "root=/dev/vda1 ro console=ttyS0 no_timer_check crashkernel=256M";
    let firmware = SecureBoot::new(&made, &key, &kernel, &initrd, command_line)?;
    let files = [debs, vec![key.private.clone(), key.certificate.clone()]].concat();
    let machine = Machine::copy(dir, &disk, SCRIPT, &files)?;
    let mut said = String::new();
    let timeout = Duration::from_secs(3000);
    let boot = machine.boot(BootedBy::SecureBoot(&firmware), timeout, |text| said += text);
    boot.with_context(|| said.clone())?;
    ensure!(said.contains("finished") && !said.contains("wrong"), "{said}");
    Ok(())
}
