//! The program on a disk image runs in real mode, and Linux goes on when it ends.

use lab::stage::{LOADERS, loaders, vm};
use lab::story::{EVERY, Story};
use lab::{Machine, Result, Vm, stories};

pub(crate) const STORIES: &[Story] = stories! {
    EVERY, last => a_program_on_a_disk_runs_and_comes_back,
    &["6.1"] => grub_runs_and_comes_back,
    &["6.1"] => what_is_not_a_disk_that_fits_is_refused,
    EVERY, long => programs_on_disks_come_back_on_other_machines,
};

/// A floppy disk twice in a row, by its changed image; as a hard disk, without memory above 1 MiB;
/// then every other way to end. Nothing is left changed.
const RUNS: &str = r#". /lib/lab.sh
    clock_then=$(clock_ahead)
    # keeps FILE: prints what the program kept on its disk.
    kept() { dd if=$1 bs=512 skip=6 count=2 2> /dev/null | tr -d '\000\r'; }
    # ends CHARACTER STATUS TEXT: how the program ends, and what is reported.
    ends() {
        printf $1 | dd of=/tmp/disk bs=1 seek=2564 conv=notrunc 2> /dev/null
        kjump bios run /tmp/disk --deadline ${4:-60000} > /tmp/out
        [ $? = $2 ] && grep "^ended by $3" /tmp/out || { cat /tmp/out; exit 1; }
        grep changed /tmp/out && exit 1
        true
    }
    cp /lib/kjump/payloads/diskprogram /tmp/disk; truncate -s 1440K /tmp/disk; cp /tmp/disk /tmp/first
    kjump bios run /tmp/disk --deadline 60000 --disk-out /tmp/changed || exit 1
    cmp /tmp/disk /tmp/first || exit 1
    kept /tmp/changed > /tmp/kept
    for line in 'entered from disk 0x00' 'times run 0x01' 'the clock ticks' \
        'MiB above the first 0x0f' 'the A20 gate is closed' done; do
        grep "^disk program: $line$" /tmp/kept || { cat /tmp/kept; exit 1; }
    done
    kjump bios run /tmp/changed --deadline 60000 --write-back --json > /tmp/json || exit 1
    grep '"end": "INT 19h"' /tmp/json && grep '"changed": \[\]' /tmp/json || exit 1
    kept /tmp/changed | grep '^disk program: times run 0x02$' || exit 1
    ends 8 1 'INT 18h'
    ends h 5 'its deadline' 2000
    ends x 3 'exception 6 (invalid opcode)'
    ends r 0 'restart'
    ends k 0 'Ctrl-Alt-Del'
    truncate -s 8M /tmp/first
    kjump bios run /tmp/first --memory 0 --deadline 60000 --write-back || exit 1
    kept /tmp/first > /tmp/kept
    for line in 'entered from disk 0x80' 'extensions 0xaa' 'MiB above the first 0x00' done; do
        grep "^disk program: $line$" /tmp/kept || { cat /tmp/kept; exit 1; }
    done
    kjump bios e820 > /dev/null || exit 1
    near $(clock_ahead) $clock_then || { echo wrong: the clock; exit 1; }"#;

fn runs(vm: &Vm) -> Result<()> {
    vm.run(RUNS)?.succeeded().never_prints("wrong").never_prints("changed:").kernel_log_is_clean();
    Ok(())
}

fn a_program_on_a_disk_runs_and_comes_back(on: &str) -> Result<()> {
    runs(&vm(on).smp(2))
}

fn programs_on_disks_come_back_on_other_machines(on: &str) -> Result<()> {
    for (machine, cpus) in [(Machine::Q35, 4), (Machine::Q35, 1), (Machine::Pc, 1)] {
        runs(&vm(on).machine(machine).smp(cpus).mem(1024).qemu("-vga").qemu("std"))?;
    }
    Ok(())
}

/// It works in protected mode, above 1 MiB; its `exit` is INT 18h, its `reboot` a jump to the reset
/// vector. It finds the memory map that it is given.
fn grub_runs_and_comes_back(on: &str) -> Result<()> {
    let outcome = vm(on)
        .smp(2)
        .file(loaders(), LOADERS)
        .run(&format!(
            "cd {LOADERS}
            for time in 1 2; do
                kjump bios run grub-exits --deadline 60000; [ $? = 1 ] || exit 1
                kjump bios run grub-restarts --deadline 60000; [ $? = 0 ] || exit 1
            done
            kjump bios run grub-waits --deadline 8000; [ $? = 5 ]"
        ))?
        .succeeded()
        .prints("ended by INT 18h")
        .prints("ended by restart")
        .never_prints("changed")
        .kernel_log_is_clean();
    let log = outcome.kernel_log();
    for text in
        ["base_addr = 0x0, length = 0x9d000, available RAM", "length = 0xf00000, available RAM", "grub>"]
    {
        assert!(log.contains(text), "{text:?} was not printed\n{log}");
    }
    Ok(())
}

/// Each time with a reason, and before anything is suspended.
fn what_is_not_a_disk_that_fits_is_refused(on: &str) -> Result<()> {
    vm(on)
        .run(
            r#"refused() {
                wanted=$1; shift
                kjump bios run "$@" 2> /tmp/error; [ $? = 1 ] || exit 1
                cat /tmp/error; grep -q "$wanted" /tmp/error || exit 1
            }
            cp /lib/kjump/payloads/diskprogram /tmp/disk
            : > /tmp/empty; refused 'it is empty' /tmp/empty
            head -c 1000 /tmp/disk > /tmp/odd; refused 'it has 1000 bytes, and a disk has whole' /tmp/odd
            head -c 512 /dev/zero > /tmp/zeros; refused 'bytes 510 and 511 are 00 00' /tmp/zeros
            refused 'No such file' /tmp/nowhere
            refused 'not a regular file' /tmp
            refused 'not a regular file' /dev/zero
            truncate -s 400M /tmp/disk; refused 'no room for the disk\|400.* MiB of memory, and' /tmp/disk
            truncate -s 3T /tmp/disk && refused 'the largest disk has 2 TiB' /tmp/disk
            truncate -s 64M /tmp/disk; refused 'a floppy disk at most' /tmp/disk --as floppy
            refused 'of System RAM apart from the kernel' /tmp/disk --memory 4G
            dmesg | grep 'PM: suspend' && exit 1
            true"#,
        )?
        .succeeded();
    vm(on).uefi().run("kjump bios run /lib/kjump/payloads/bootsector")?.exited(1).prints("booted by UEFI");
    Ok(())
}
