//! A second kernel is booted from the running one, and they take turns.

use lab::stage::{kernel_file, small_root, vm};
use lab::story::{EVERY, OTHERS, Story, WITH_NEWEST};
use lab::{Ended, Result, Scratch, Vm, stories};

pub(crate) const STORIES: &[Story] = stories! {
    WITH_NEWEST => kernels_take_turns_and_pass_values,
    OTHERS, long => kernels_take_turns_and_pass_values,
    EVERY => a_panicking_kernel_gives_back_the_machine,
    EVERY => command_lines_of_2008_jump_to_a_kernel_and_back,
    &["6.1"] => a_kernel_damaged_in_memory_is_not_entered,
    EVERY, long => a_kernel_runs_in_a_window_above_4_gib,
    &["6.1"] => a_kernel_that_does_not_use_the_local_apic_runs,
    &["6.1"] => an_image_uses_the_interrupt_controllers_of_the_first_pcs,
    &["6.1"] => kjump_boot_explains_every_refusal,
};

/// Returns the value that it was switched to with plus one; `0xdead` makes it panic on its first
/// CPU, `0xdeae` on its second.
pub(crate) const INIT: &str = "
/bin/busybox insmod /kjump.ko
kjump return --prepare
value=0xb000
while value=$(kjump return $value); do
    value=$((${value##* } + 1))
    cpu=$((value - 0xdead))
    if [ $cpu = 1 ] || [ $cpu = 2 ]; then
        echo 'b ends here' > /dev/kmsg
        /bin/busybox taskset $cpu /bin/busybox sh -c 'echo c > /proc/sysrq-trigger'
    fi
done
";

/// Two CPUs, a disk, and the same kernel as A to boot as B.
pub(crate) fn with_second_kernel(on: &str, job: &str) -> Result<Ended> {
    with_second_kernel_on(vm(on), on, job)
}

/// The same on a machine with more properties.
pub(crate) fn with_second_kernel_on(vm: Vm, on: &str, job: &str) -> Result<Ended> {
    let initrd = Scratch::archive("b.cpio", &small_root(on, INIT)?)?;
    let disk = Scratch::new("disk", &vec![0x5a; 1 << 20])?;
    vm.smp(2)
        .mem(768)
        .disk(&disk)
        .file(kernel_file(on), "/boot/b")
        .file(&initrd, "/boot/b.cpio")
        .run(&format!(". /lib/lab.sh; remember\n{job}"))
}

fn kernels_take_turns_and_pass_values(on: &str) -> Result<()> {
    let job = "set -e
        boot
        for value in 1 0x10 -2; do kjump switch b $value; done
        kjump peers
        ! rmmod kjump
        kjump drop b
        ! kjump switch b
        kjump peers
        fine turns";
    with_second_kernel(on, job)?
        .succeeded()
        .prints("without --deadline, this machine has to be reset if the kernel hangs")
        .prints("b returned 0xb000 after")
        .prints("b returned 0x2 after")
        .prints("b returned 0x11 after")
        .prints("b returned 0xffffffffffffffff after")
        .prints("resident         4")
        .prints("no kernel of this name is resident, or it was dropped")
        .prints("no other kernel is resident")
        .prints("fine after turns")
        .never_prints("wrong")
        .kernel_log_is_clean();
    Ok(())
}

fn a_panicking_kernel_gives_back_the_machine(on: &str) -> Result<()> {
    let job = "
        for value in 0xdead 0xdeae; do
            boot
            kjump switch b $value
            echo status $? at $value
            kjump peers
            kjump drop b
            fine $value
        done";
    with_second_kernel(on, job)?
        .succeeded()
        .prints("b panicked after")
        .prints("b ends here")
        .prints("status 4 at 0xdead")
        .prints("status 4 at 0xdeae")
        .prints("dead             2")
        .prints("fine after 0xdead")
        .prints("fine after 0xdeae")
        .never_prints("wrong");
    Ok(())
}

/// It relies on what firmware leaves in the controllers, as after a reset.
fn a_kernel_that_does_not_use_the_local_apic_runs(on: &str) -> Result<()> {
    let job = "set -e
        append=nolapic
        boot
        kjump switch b 1
        kjump drop b
        fine nolapic
        boot --deadline 100
        kjump drop b
        fine 'guarded nolapic'";
    with_second_kernel(on, job)?
        .succeeded()
        .prints("fine after nolapic")
        .prints("fine after guarded nolapic")
        .never_prints("wrong")
        .kernel_log_is_clean();
    Ok(())
}

fn an_image_uses_the_interrupt_controllers_of_the_first_pcs(on: &str) -> Result<()> {
    // In some of the calls the kernel's own timer is pending when the image enables interrupts.
    let job = "set -e
        for time in 1 2 3 4 5 6 7 8; do
            kjump call --quiesce suspend --deadline none /lib/kjump/payloads/tick64 20
        done
        fine '8 times 20 ticks'";
    with_second_kernel(on, job)?
        .succeeded()
        .prints("returned 20 (0x14)")
        .prints("fine after 8 times 20 ticks")
        .never_prints("wrong")
        .kernel_log_is_clean();
    Ok(())
}

fn kjump_boot_explains_every_refusal(on: &str) -> Result<()> {
    let job = "
        refused() { kjump boot --kernel /boot/b \"$@\" && echo 'went on'; }
        refused --initrd /missing
        refused --memory 4G
        refused --memory 15M --window 0x1000000
        refused --window 0x1000
        refused --append 'quiet mem=64M'
        kjump boot --kernel /bin/busybox
        head -c 200000 /boot/b > /tmp/half; kjump boot --kernel /tmp/half
        zeros() {
            cp /boot/b /tmp/b
            dd if=/dev/zero of=/tmp/b bs=$1 seek=$2 count=1 conv=notrunc 2> /dev/null
        }
        zeros 1 $((0x236)); kjump boot --kernel /tmp/b && echo 'went on'
        zeros 64k 80; kjump boot --kernel /tmp/b && echo 'went on'
        refused --initrd /boot/b --initrd /boot/b --initrd /boot/b.cpio --memory 80M
        kjump return
        kjump boot --kernel /boot/b --dry-run --memory 128M > /dev/null
        true";
    with_second_kernel(on, job)?
        .succeeded()
        .prints("initrd /missing: No such file")
        .prints("no room for the window: 4 GiB")
        .prints("no room for kernel:")
        .prints("no room for initrd:")
        .prints("mem=64M on its command line hides memory of its window")
        .prints("kernel /tmp/b is damaged: the ")
        .prints("no 64-bit entry point")
        .never_prints("went on")
        .prints("window 0x1000")
        .prints("this kernel was not booted to return")
        .kernel_log_is_clean();
    Ok(())
}

/// Returns by the command lines of the 2008 kexec jump patches.
const INIT_OF_2008: &str = "
/bin/busybox insmod /kjump.ko
ENTRY=$(/bin/busybox sed 's/.*kexec_jump_back_entry=//; s/ .*//' /proc/cmdline)
kexec --load-jump-back-helper --entry=$ENTRY
while kexec -e; do :; done
";

fn command_lines_of_2008_jump_to_a_kernel_and_back(on: &str) -> Result<()> {
    let mut root = small_root(on, INIT_OF_2008)?;
    root.link("/bin/kexec", "kjump");
    let initrd = Scratch::archive("rootfs", &root)?;
    // no_timer_check: on a busy host the emulated timer is late, and a kernel would take it for
    // broken.
    let job = "
        cd /boot
        gzip < rootfs > rootfs.gz
        load() {
            kexec --load-preserve-context /boot/bzImage \"$@\" --initrd=rootfs.gz --append=no_timer_check
        }
        load --mem-min=0x100000 --mem-max=0xffffff
        echo \"status $?\"
        set -e
        load --mem-min=0x1000000 --mem-max=0x10ffffff
        for time in first second third; do kexec -e; echo \"back for the $time time\"; done
        kjump peers
        ! kexec -S -l
        kexec -u
        kexec -S -l
        nproc";
    vm(on)
        .smp(2)
        .mem(1024)
        .file(kernel_file(on), "/boot/bzImage")
        .file(&initrd, "/boot/rootfs")
        .run(job)?
        .succeeded()
        .prints("kexec: --mem-min=0x100000 --mem-max=0xffffff (15 MiB): no room for kernel: ")
        .prints("between 0x1000000 and 0xffffff")
        .prints("status 255")
        .prints("back for the third time")
        .prints("kexec: call 3 returned 0x")
        .prints("0x1000000-0x10ffffff")
        .prints("2\n")
        .kernel_log_is_clean();
    Ok(())
}

/// One bit of the loaded kernel is inverted.
fn a_kernel_damaged_in_memory_is_not_entered(on: &str) -> Result<()> {
    let mut root = small_root(on, INIT_OF_2008)?;
    root.link("/bin/kexec", "kjump");
    let initrd = Scratch::archive("b.cpio", &root)?;
    let job = "
        load() {
            kexec --load-preserve-context --console-serial \"$@\" --mem-min=0x10000000 --mem-max=0x1fffffff \
                /boot/b --initrd=/boot/b.cpio --append=no_timer_check
        }
        damage() { guest damage kexec 0x10500003; }
        set -e
        load; damage
        kexec -e || echo \"status $?\"
        kexec -e || echo \"again status $?\"
        kjump peers
        load -i; damage; kjump unload kexec
        load; kexec -e; kexec -e
        kexec -u";
    vm(on)
        .smp(2)
        .mem(768)
        .file(kernel_file(on), "/boot/b")
        .file(&initrd, "/boot/b.cpio")
        .run(job)?
        .succeeded()
        .prints("kexec was not entered: its memory changed since it was loaded; load it again")
        .prints("status 255")
        .prints("again status 255")
        .prints("dead             1")
        .prints("kexec: call 2 returned 0x")
        .kernel_logs("purgatory: what was loaded is damaged: its digest was ")
        .kernel_logs("purgatory: back to the kernel")
        .kernel_log_is_clean();
    Ok(())
}

/// The range is reserved, so only low memory is exchanged.
fn a_kernel_runs_in_a_window_above_4_gib(on: &str) -> Result<()> {
    let initrd = Scratch::archive("b.cpio", &small_root(on, INIT)?)?;
    let job = "set -e
        . /lib/lab.sh
        boot --window 0x110000000
        kjump switch b 1
        kjump switch b 2
        kjump peers";
    vm(on)
        .smp(2)
        .mem(4608)
        .append("memmap=512M$0x110000000")
        .file(kernel_file(on), "/boot/b")
        .file(&initrd, "/boot/b.cpio")
        .run(job)?
        .succeeded()
        .prints("b returned 0x2 after")
        .prints("b returned 0x3 after")
        .prints("0x110000000-0x11bffffff")
        .kernel_log_is_clean();
    Ok(())
}
