//! A second kernel runs under guard: however it ends, the first one continues.

use std::time::Duration;

use lab::stage::{kernel_file, kernels_of, small_root, vm};
use lab::story::{EVERY, OTHERS, Story, WITH_NEWEST};
use lab::{Ended, Result, Scratch, stories};

use crate::controllers::{DRIVERS, with_controllers};

pub(crate) const STORIES: &[Story] = stories! {
    EVERY => a_guarded_kernel_takes_turns,
    &["6.1", "6.12", "6.1+6.12"] => a_kernel_that_hangs_is_stopped,
    WITH_NEWEST => a_guarded_kernel_can_panic_on_any_cpu,
    OTHERS, long => a_guarded_kernel_can_panic_on_any_cpu,
    EVERY, last => a_kernel_that_never_starts_is_stopped,
    EVERY, long => a_kernel_without_the_module_is_stopped,
    &["6.1"] => a_stopped_kernel_leaves_its_interrupt_line_free,
    &["6.1-full"], long => busy_controllers_work_after_a_kernel_was_stopped,
    &["6.1"] => a_guard_needs_a_second_cpu,
};

/// The command line and then the values passed to it decide whether this kernel hangs, panics or
/// returns.
const INIT: &str = "
case $(/bin/busybox cat /proc/cmdline) in *hang_at_once*) /bin/busybox insmod /hang.ko ;; esac
/bin/busybox insmod /kjump.ko
kjump return --prepare
while value=$(kjump return 0xb000); do
    case ${value##* } in
        0x1) /bin/busybox insmod /hang.ko ;;
        0x2)
            echo 'b ends here' > /dev/kmsg
            /bin/busybox taskset 2 /bin/busybox sh -c 'echo c > /proc/sysrq-trigger' ;;
    esac
done
";

fn with_second_kernel(on: &str, cpus: u32, job: &str) -> Result<Ended> {
    with_second_kernel_and(on, cpus, "", job)
}

fn with_second_kernel_and(on: &str, cpus: u32, words: &str, job: &str) -> Result<Ended> {
    let other = kernels_of(on).last().unwrap_or(on);
    let initrd = Scratch::archive("guarded.cpio", &small_root(other, INIT)?)?;
    let disk = Scratch::new("disk", &vec![0x5a; 1 << 20])?;
    let vm = vm(on).smp(cpus).mem(768).append(words).disk(&disk).timeout(Duration::from_secs(900));
    vm.file(kernel_file(other), "/boot/b")
        .file(&initrd, "/boot/b.cpio")
        .run(&format!(". /lib/lab.sh; remember\n{job}"))
}

fn a_guarded_kernel_takes_turns(on: &str) -> Result<()> {
    let job = "set -e
        boot --deadline 300
        for value in 3 4 5; do kjump switch b $value --deadline none; done
        kjump peers
        kjump drop b
        fine turns";
    with_second_kernel(on, 2, job)?
        .succeeded()
        .prints("b returned 0xb000 after")
        .prints("resident         4")
        .prints("fine after turns")
        .never_prints("wrong")
        .kernel_log_is_clean();
    Ok(())
}

fn a_kernel_that_hangs_is_stopped(on: &str) -> Result<()> {
    let job = "
        boot --deadline 300
        kjump switch b 1 --deadline 6; echo status $?
        fine hanging
        kjump peers
        kjump switch b
        kjump drop b
        boot --deadline 300 && fine 'another boot'";
    with_second_kernel(on, 3, job)?
        .succeeded()
        .prints("b was stopped at its deadline after 6")
        .prints("all 2 CPUs hang from here on")
        .prints("status 5")
        .prints("fine after hanging")
        .prints("b is dead: it was stopped at its deadline")
        .prints("fine after another boot")
        .never_prints("wrong")
        .kernel_log_is_clean();
    Ok(())
}

fn a_guarded_kernel_can_panic_on_any_cpu(on: &str) -> Result<()> {
    let job = "
        boot --deadline 300
        kjump switch b 2 --deadline none; echo status $?
        fine panic
        kjump peers";
    with_second_kernel(on, 3, job)?
        .succeeded()
        .prints("b panicked after")
        .prints("b ends here")
        .prints("status 4")
        .prints("dead")
        .prints("fine after panic")
        .never_prints("wrong");
    Ok(())
}

fn a_kernel_that_never_starts_is_stopped(on: &str) -> Result<()> {
    // ud2; then cli and a jump to itself.
    let job = r"
        kernel=/tmp/b
        damaged /tmp/b '\017\013'; boot --deadline 300; echo status $?
        fine exception
        kjump drop b
        damaged /tmp/b '\372\353\376'; boot --deadline 2; echo status $?
        fine nothing";
    with_second_kernel(on, 2, job)?
        .succeeded()
        .prints("b is dead: an exception ended it")
        .prints("invalid opcode")
        .prints("status 3")
        .prints("fine after exception")
        .prints("status 5")
        .prints("it may not have written one yet")
        .prints("fine after nothing")
        .never_prints("wrong")
        .kernel_log_is_clean();
    Ok(())
}

fn a_kernel_without_the_module_is_stopped(on: &str) -> Result<()> {
    let job = "
        append=rdinit=/missing; boot --deadline 60; echo status $?
        fine 'a panic'
        kjump drop b
        append=hang_at_once; boot --deadline 60; echo status $?
        fine hanging";
    with_second_kernel(on, 3, job)?
        .succeeded()
        .prints("Kernel panic - not syncing")
        .prints("status 5")
        .prints("fine after a panic")
        .prints("all 2 CPUs hang from here on")
        .prints("fine after hanging")
        .never_prints("wrong");
    Ok(())
}

/// The other kernel hangs while its disk, which uses an interrupt line instead of MSI, has requests
/// in progress.
fn a_stopped_kernel_leaves_its_interrupt_line_free(on: &str) -> Result<()> {
    let job = "
        cat > /tmp/hang <<'END'
kjump return 1
for reader in 1 2 3 4; do
    (while :; do dd if=$DISK of=/dev/null bs=4k iflag=direct; done) > /dev/null 2>&1 &
done
sleep 1
insmod /hang.ko
END
        (cd /tmp && cpio -i hang.ko) < /boot/b.cpio 2> /dev/null
        kjump initramfs -o /tmp/b.cpio --kernel-version $(uname -r) --driver virtio_pci --driver virtio_blk \
            --disk first --add /tmp/hang:/hang --add /tmp/hang.ko:/hang.ko -- sh /hang ||
            echo wrong: initramfs
        kjump boot --kernel /boot/b --initrd /tmp/b.cpio --memory 192M --deadline 300 \
            --append 'console=ttyS0 quiet panic=0 no_timer_check pci=nomsi'
        kjump switch b --deadline 10
        fine hanging
        grep virtio /proc/interrupts";
    with_second_kernel_and(on, 3, "pci=nomsi", job)?
        .succeeded()
        .prints("b returned 0x1 after")
        .prints("all 2 CPUs hang from here on")
        .prints("IO-APIC")
        .prints("fine after hanging")
        .never_prints("wrong")
        .kernel_log_is_clean()
        .kernel_logs("pci=nomsi");
    Ok(())
}

/// All kinds of controllers; the other kernel reads from two of them when it hangs.
fn busy_controllers_work_after_a_kernel_was_stopped(on: &str) -> Result<()> {
    let root = Scratch::archive("guarded.cpio", &small_root(on, INIT)?)?;
    let disk = |byte: u8| Scratch::new(&format!("disk{byte}"), &vec![byte; 8 << 20]);
    let disks = [disk(7)?, disk(8)?];
    let vm = with_controllers(vm(on).smp(3).mem(1400).timeout(Duration::from_secs(1800)), &disks);
    let vm = DRIVERS.iter().fold(vm, |vm, driver| vm.driver(*driver));
    let job = "
        cat > /tmp/hang <<'END'
kjump return 1
for disk in /dev/sda /dev/nvme0n1; do
    (while :; do dd if=$disk of=/dev/null bs=4k iflag=direct; done) > /dev/null 2>&1 &
done
sleep 2
insmod /hang.ko
END
        (cd /tmp && cpio -i hang.ko) < /boot/b.cpio 2> /dev/null
        kjump initramfs -o /tmp/b.cpio --kernel-version $(uname -r) --driver ahci --driver sd_mod \
            --driver nvme --driver e1000e --driver xhci_pci --disk /dev/sda --add /tmp/hang:/hang \
            --add /tmp/hang.ko:/hang.ko -- sh /hang || echo wrong: initramfs
        before=$(md5sum /dev/sda /dev/nvme0n1)
        for time in 1 2; do
            kjump boot --kernel /boot/b --initrd /tmp/b.cpio --memory 384M --deadline 900 \
                --append 'console=ttyS0 quiet panic=0 no_timer_check'
            kjump switch b --deadline 20
            kjump drop b
            echo 3 > /proc/sys/vm/drop_caches
            [ \"$before\" = \"$(md5sum /dev/sda /dev/nvme0n1)\" ] || echo wrong: disks
            ping -c 1 -W 9 10.0.2.2 > /dev/null || echo wrong: network
            [ 3 = $(nproc) ] || echo wrong: CPUs
            echo as before, $time
        done";
    vm.file(kernel_file(on), "/boot/b")
        .file(&root, "/boot/b.cpio")
        .run(job)?
        .succeeded()
        .prints("all 2 CPUs hang from here on")
        .prints("as before, 2")
        .never_prints("wrong")
        .kernel_log_is_clean();
    Ok(())
}

fn a_guard_needs_a_second_cpu(on: &str) -> Result<()> {
    let job = "boot --deadline 300 || boot && kjump switch b --deadline 9";
    with_second_kernel(on, 1, job)?
        .exited(1)
        .prints("a second CPU (there is 1 CPU)")
        .prints("b returned 0xb000 after")
        .prints("b is not guarded")
        .kernel_log_is_clean();
    Ok(())
}
