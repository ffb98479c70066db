//! Calls, faults and the BIOS on a second machine model, which interprets instructions by other
//! code than QEMU's and has another BIOS. A boot takes minutes, so each story does much.
//!
//! A story with `bochs` in its name needs Bochs. What cannot run there is listed with the reason in
//! `xtask/src/check/bochs.rs`.

use std::time::Duration;

use lab::stage::{kernel_file, release_of_last, small_root, vm};
use lab::story::Story;
use lab::{Job, Machine, Result, Scratch, Vm, stories};

use crate::switching::INIT;

pub(crate) const STORIES: &[Story] = stories! {
    &["6.1"], long => bochs_with_one_cpu_calls_images_and_its_bios,
    &["6.1"], long => bochs_with_two_cpus_calls_images_and_its_bios,
    &["6.1"], long => bochs_runs_two_kernels_that_take_turns,
    &["6.1"], long => bochs_starts_another_kernel_by_each_system_call,
};

/// A boot takes minutes.
fn bochs(on: &str, cpus: u32) -> Vm {
    vm(on).machine(Machine::Bochs).smp(cpus).timeout(Duration::from_secs(1800))
}

/// Every level and both modes, a hundred times in a row, ten through a suspend; a fault returns;
/// the BIOS agrees with the kernel. The machine's test finds the two mistakes of Bochs's BIOS,
/// which has less memory in its map (E820h) than INT 12h and E801h report, and no other.
fn calls_images_and_its_bios(on: &str, cpus: u32) -> Result<()> {
    bochs(on, cpus)
        .driver("msr")
        .run(
            "failed() { echo \"failed: $*\"; cat /tmp/out; exit 1; }
            # returns COUNT LEVEL IMAGE: this many calls in a row, each with the next result.
            returns() {
                expected=\"^$1 calls returned 1091 (0x443) to ${1}091 .*, each 1000 more\"
                kjump call --quiesce $2 --repeat $1 /lib/kjump/payloads/$3 1 2 3 4 5 6 > /tmp/out 2>&1 &&
                    grep \"$expected\" /tmp/out || failed $*
            }
            echo \"$(nproc) CPUs\"
            kjump check > /tmp/out 2>&1 && grep 'A call can work' /tmp/out || failed check
            for level in none stop; do
                for image in sum64 sum32; do returns 100 $level $image; done
            done
            returns 10 suspend sum64; returns 10 suspend sum32
            for image in fault64 fault32; do
                kjump call /lib/kjump/payloads/$image 0 > /tmp/out 2>&1
                [ $? = 3 ] && grep 'divide error' /tmp/out && grep -i 'rip\\|eip' /tmp/out || failed $image
            done
            set -e
            guest calls 20 none auto
            guest dirty 20 none
            guest faults none suspend
            guest buffers none suspend
            guest in-use
            set +e
            for level in none stop suspend; do
                kjump bios e820 --quiesce $level > /tmp/out 2>&1 || failed e820 $level
                grep 'equal to /sys/firmware/memmap' /tmp/out || failed e820 $level
                grep changed /tmp/out && failed e820 $level
            done
            kjump bios 0x1a --repeat 100 > /tmp/out 2>&1 && ! grep changed /tmp/out || failed clock
            kjump bios pci > /tmp/out 2>&1 && grep 'PCI BIOS 2.10' /tmp/out || failed pci
            kjump bios vbe > /tmp/out 2>&1 && grep 'VBE 2.0, 16 MiB' /tmp/out || failed vbe
            # A key that nobody presses.
            kjump bios 0x16 --deadline 300 > /tmp/out 2>&1
            [ $? = 5 ] && grep 'ended at f000:' /tmp/out && ! grep changed /tmp/out || failed deadline
            kjump test-machine --deadline 20000 > /tmp/out 2>&1
            [ $? = 1 ] && [ $(grep -c DIFFERENT /tmp/out) = 2 ] || failed test-machine
            grep '^base memory  *DIFFERENT .* 639 KiB  *636 KiB$' /tmp/out || failed test-machine
            grep '^memory size (E801h)  *DIFFERENT ' /tmp/out || failed test-machine
            tail -2 /tmp/out
            echo \"$(nproc) CPUs at the end\"",
        )?
        .succeeded()
        .prints(&format!("{cpus} CPUs\n"))
        .prints(&format!("{cpus} CPUs at the end\n"))
        .prints("nothing was left changed")
        .prints("25 as expected, 2 not, ")
        .kernel_log_is_clean();
    Ok(())
}

fn bochs_with_one_cpu_calls_images_and_its_bios(on: &str) -> Result<()> {
    calls_images_and_its_bios(on, 1)
}

fn bochs_with_two_cpus_calls_images_and_its_bios(on: &str) -> Result<()> {
    calls_images_and_its_bios(on, 2)
}

fn bochs_runs_two_kernels_that_take_turns(on: &str) -> Result<()> {
    let initrd = Scratch::archive("b.cpio", &small_root(on, INIT)?)?;
    bochs(on, 2)
        .mem(768)
        .file(kernel_file(on), "/boot/b")
        .file(&initrd, "/boot/b.cpio")
        .run(
            ". /lib/lab.sh; set -e
            boot
            for value in 1 0x10 -2; do kjump switch b $value; done
            kjump call /lib/kjump/payloads/sum64 1 2 3 4 5 6
            for value in 3 4 5; do kjump switch b $value; done
            kjump peers
            kjump drop b
            echo \"$(nproc) CPUs at the end\"",
        )?
        .succeeded()
        .prints("b returned 0xb000 after")
        .prints("b returned 0x2 after")
        .prints("b returned 0x11 after")
        .prints("b returned 0xffffffffffffffff after")
        .prints("returned 1091 (0x443)")
        .prints("b returned 0x6 after")
        .prints("2 CPUs at the end")
        .kernel_log_is_clean();
    Ok(())
}

fn bochs_starts_another_kernel_by_each_system_call(on: &str) -> Result<()> {
    for system_call in ["-c", "-s"] {
        let load = format!(
            "kexec -l {system_call} --initrd /boot/next.cpio \\
                --append 'console=ttyS0 loglevel=5 tsc=reliable no_timer_check marked' /boot/next || exit 9
            kexec -e; exit 8"
        );
        bochs(on, 2)
            .mem(768)
            .successor(Job::shell("uname -r; cat /proc/cmdline; nproc"))
            .run(&load)?
            .succeeded()
            .prints(&release_of_last(on))
            .prints("marked\n2\n");
    }
    Ok(())
}
