//! A kernel is tried next to the running one, which goes on with a verdict, whatever becomes of it.

use std::path::PathBuf;
use std::time::Duration;

use lab::stage::{kernel_file, release_of_last, vm};
use lab::story::{EVERY, Story};
use lab::{Ended, Job, NEXT_INITRD, NEXT_KERNEL, Result, Scratch, Vm, WriteLog, stories};

pub(crate) const STORIES: &[Story] = stories! {
    EVERY, last => a_healthy_kernel_on_trial_finds_its_devices,
    &["6.1"] => a_kernel_on_trial_without_a_disks_driver_is_not_healthy,
    &["6.1"] => a_kernel_on_trial_that_panics_comes_back,
    &["6.1"] => a_kernel_on_trial_that_hangs_is_ended,
    &["6.12"], long => a_kernel_on_trial_without_a_disks_driver_is_not_healthy,
    &["6.12"], long => a_kernel_on_trial_that_panics_comes_back,
    &["6.12"], long => a_kernel_on_trial_that_hangs_is_ended,
    EVERY, first => a_kernel_that_was_healthy_on_trial_is_started,
};

/// `initrd [MODULE]` makes an initrd as distributions do, with drivers and modprobe, without this
/// module. Its own init would write to the disk. `trial` tries a kernel with it. There is one write
/// to the disk, before the trials, of the block that a file system leaves to boot loaders.
const START: &str = r#"
. /lib/lab.sh
initrd() {
    tree=$(mktemp -d); release=$(uname -r)
    mkdir -p $tree/bin $tree/sbin $tree/lib/modules
    cp -r /lib/modules/$release $tree/lib/modules/
    rm -rf $tree/lib/modules/$release/extra
    [ -z "$1" ] || find $tree/lib/modules -name "$1" -exec rm {} +
    depmod -b $tree $release
    cp /bin/busybox $tree/bin/busybox; ln -s ../bin/busybox $tree/sbin/modprobe
    printf '#!/bin/busybox sh\nbusybox dd if=/dev/zero of=/dev/vda bs=1M count=1\n' > $tree/init
    chmod +x $tree/init
    (cd $tree && find . | cpio -o -H newc 2> /dev/null | gzip -1) > /tmp/initrd
    rm -r $tree
}
trial() {
    kjump try --initrd /tmp/initrd --memory 256M --deadline ${deadline:-900} --append "$line" "$@"
    echo "exit status $?"
}
dd if=/dev/zero of=/dev/vda bs=1024 count=1 conv=fsync 2> /dev/null
line="root=LABEL=disk console=ttyS0 quiet no_timer_check"
remember
"#;

/// Two CPUs, a disk with a file system, and the same kernel to try.
fn on_trial(on: &str, job: &str) -> Result<Ended> {
    let machine = vm(on).file(kernel_file(on), "/boot/b");
    without_writes(machine, &format!("{START}{job}"))
}

/// Checks that neither the running kernel nor one on trial writes to the disk after [`START`].
fn without_writes(vm: Vm, job: &str) -> Result<Ended> {
    let (disk, log) = (Scratch::ext4("disk", 32)?, Scratch::new("writes", &[])?);
    let vm = vm.smp(2).mem(1024).driver("ext4").recorded_disk(&disk, &log);
    let ended = vm.timeout(Duration::from_secs(1200)).run(job)?;
    let writes = WriteLog::open(&PathBuf::from(&log))?;
    assert_eq!((writes.count(), writes.at(0).count()), (1, 1), "writes to the disk, and to its beginning");
    Ok(ended)
}

fn a_healthy_kernel_on_trial_finds_its_devices(on: &str) -> Result<()> {
    let job = r#"
        initrd
        trial --kernel /boot/b --json --health 'uname -r
            if dd if=/dev/zero of=/dev/vda bs=512 count=1; then echo "wrong: a disk can be written to"; fi'
        kexec --trial --deadline 900 --initrd /tmp/initrd --command-line "$line" --health 'exit 3' /boot/b
        echo "kexec's exit status $?"
        fine both
        kjump peers"#;
    on_trial(on, job)?
        .succeeded()
        .prints("exit status 0\n")
        .prints("\"verdict\": \"healthy\"")
        .prints(&format!("\"health\": [\n    \"{}\"", release_of_last(on)))
        .prints(&format!("{} is not healthy after ", release_of_last(on)))
        .prints("  the health command failed with status 3\n")
        .prints("kexec's exit status 1\n")
        .prints("no other kernel is resident")
        .prints("fine after both")
        .never_prints("wrong")
        .kernel_log_is_clean();
    Ok(())
}

fn a_kernel_on_trial_without_a_disks_driver_is_not_healthy(on: &str) -> Result<()> {
    let job = "
        initrd virtio_blk.ko
        mkdir -p /sbin; printf '#!/bin/sh\necho wrong: a shutdown\n' > /tmp/shutdown
        chmod +x /tmp/shutdown; mv /tmp/shutdown /sbin/shutdown
        trial --kernel /boot/b --then-start --json
        kexec -S -l && echo nothing is loaded
        fine trial";
    on_trial(on, job)?
        .succeeded()
        .prints("is not found, or cannot be mounted read-only\"")
        .prints("exit status 1\n")
        .prints("nothing is loaded")
        .prints("\"verdict\": \"unhealthy\"")
        .prints("\"driver virtio_blk does not serve virtio device virtio:d00000002v")
        .prints("fine after trial")
        .never_prints("wrong")
        .kernel_log_is_clean();
    Ok(())
}

fn a_kernel_on_trial_that_panics_comes_back(on: &str) -> Result<()> {
    let job = r#"
        initrd
        panics='echo "<1>this kernel panics" > /dev/kmsg; echo c > /proc/sysrq-trigger'
        trial --kernel /boot/b --health "$panics" --then-start --json
        works trial
        kjump peers"#;
    on_trial(on, job)?
        .succeeded()
        .prints("this kernel panics")
        .prints("exit status 4\n")
        .prints("\"verdict\": \"panicked\"")
        .prints("no other kernel is resident")
        .never_prints("wrong");
    Ok(())
}

/// One kernel hangs at its first instruction, another when its drivers have been checked.
fn a_kernel_on_trial_that_hangs_is_ended(on: &str) -> Result<()> {
    let job = "
        initrd
        damaged /tmp/hangs '\\353\\376'
        deadline=8 trial --kernel /tmp/hangs
        works text
        deadline=20 trial --kernel /boot/b --health 'sleep 99999' --json
        works both
        kjump peers";
    on_trial(on, job)?
        .succeeded()
        .prints(&format!("{} did not finish before the deadline\n", release_of_last(on)))
        .prints("trial was stopped at its deadline after 8.")
        .prints("exit status 5\n")
        .prints("\"verdict\": \"hung\"")
        .prints("no other kernel is resident")
        .never_prints("wrong");
    Ok(())
}

/// The first kernel's init is systemd, as far as kjump can see.
fn a_kernel_that_was_healthy_on_trial_is_started(on: &str) -> Result<()> {
    let job = format!(
        r#"{START}
        initrd
        line="$line tried"
        mkdir -p /run/systemd/system
        printf '#!/bin/sh\necho "$0 $*"; kexec -e\n' > /bin/systemctl; chmod +x /bin/systemctl
        trial --kernel {NEXT_KERNEL} --initrd {NEXT_INITRD} --then-start
        exit 9"#
    );
    let report = Job::shell("echo the next kernel; uname -r; cat /proc/cmdline");
    without_writes(vm(on).successor(report), &job)?
        .succeeded()
        .prints(" is healthy after ")
        .prints("network links: 1; root file system LABEL=disk")
        .prints("/bin/systemctl kexec")
        .prints(&format!("the next kernel\n{}\nroot=LABEL=disk ", release_of_last(on)))
        .prints("no_timer_check tried\n")
        .never_prints("wrong");
    Ok(())
}
