//! Memory is tested in place, and the kernel that uses it does not notice.

use std::time::Duration;

use lab::stage::vm;
use lab::story::{EVERY, Story};
use lab::{Result, Scratch, stories};

pub(crate) const STORIES: &[Story] = stories! {
    EVERY, last => wrong_words_are_found_exactly_and_right_ones_are_not,
    EVERY, first => all_memory_is_tested_under_a_working_kernel,
    EVERY, long => a_gibibyte_under_load_is_tested_again_and_again,
};

/// A ROM does not keep what is written to it. A bit that is inverted between writing and reading is
/// found by each of the seven patterns, at its address. The kernel's own text and data are right.
fn wrong_words_are_found_exactly_and_right_ones_are_not(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .run(
            "kjump memtest --range 0xf0000-0xf2000 > /tmp/rom; [ $? = 1 ] || exit 1
            grep 'page 0xf0000 ([a-z ]*): bits 0x' /tmp/rom || exit 1
            kjump memtest --range 0x4000000-0x4100000 --inject 0x4001238; [ $? = 1 ] || exit 1
            end() { awk \"/$1/ { split(\\$1, ends, \\\"-\\\"); print ends[$2]; exit }\" /proc/iomem; }
            first=$((0x$(end 'Kernel code' 1))); last=$((0x$(end 'Kernel bss' 2) | 4095))
            sum=$(sha256sum < /proc/kallsyms)
            kjump memtest --range $first-$last || exit 1
            [ \"$sum\" = \"$(sha256sum < /proc/kallsyms)\" ] && [ $(nproc) = 2 ]",
        )?
        .succeeded()
        .prints("7 wrong words:")
        .prints(
            "  0x000004001238: wrote 0x0000000000000000, read 0x0000000000020000, bits 0x0000000000020000",
        )
        .prints("page 0x4001000")
        .prints(": bits 0x20000; to leave it out: memmap=4K$0x4001000")
        .prints("no wrong word")
        .kernel_log_is_clean();
    Ok(())
}

fn all_memory_is_tested_under_a_working_kernel(on: &str) -> Result<()> {
    let disk = Scratch::numbered("disk", 8)?;
    vm(on)
        .smp(2)
        .mem(256)
        .disk(&disk)
        .run(
            ". /lib/lab.sh
            ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0 2> /dev/null
            head -c 32M /dev/urandom > /tmp/file; sum=$(sha256sum < /tmp/file)
            remember
            kjump memtest --slice 0.5 || exit 1
            fine test
            kjump memtest --slice 0.1 --for 0.2 | grep 'in 0 complete passes' || exit 1
            [ \"$sum\" = \"$(sha256sum < /tmp/file)\" ]",
        )?
        .succeeded()
        .prints("1 complete pass")
        .prints("each pass: 100 % of System RAM")
        .prints("no wrong word")
        .prints("fine after test")
        .never_prints("wrong:")
        .kernel_log_is_clean();
    Ok(())
}

/// Files in memory, a dirty page cache, a disk and a network that are used between the slices, and
/// a test that is killed.
fn a_gibibyte_under_load_is_tested_again_and_again(on: &str) -> Result<()> {
    let disk = Scratch::numbered("disk", 64)?;
    vm(on)
        .smp(2)
        .mem(1024)
        .disk(&disk)
        .timeout(Duration::from_secs(3000))
        .run(
            ". /lib/lab.sh
            ip link set eth0 up; ip addr add 10.0.2.15/24 dev eth0 2> /dev/null
            head -c 200M /dev/urandom > /tmp/file; sum=$(sha256sum < /tmp/file)
            remember
            (while [ ! -e /tmp/stop ]; do works load; done) &
            kjump memtest --slice 1 > /dev/null & sleep 10; kill -9 $!; wait $!
            kjump memtest --slice 1 --passes 20 || exit 1
            touch /tmp/stop; wait
            fine test
            [ \"$sum\" = \"$(sha256sum < /tmp/file)\" ]",
        )?
        .succeeded()
        .prints("20 complete passes")
        .prints("each pass: 100 % of System RAM")
        .prints("no wrong word")
        .prints("fine after test")
        .never_prints("wrong:")
        .kernel_log_is_clean();
    Ok(())
}
