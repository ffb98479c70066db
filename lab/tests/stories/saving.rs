//! A dump goes to a disk without a file system, and is read from there.

use lab::Result;
use lab::story::{EVERY, Scratch, Story, vm};

pub(crate) const STORIES: &[Story] =
    &[Story::new("a_dump_goes_straight_to_a_disk", EVERY, a_dump_goes_straight_to_a_disk)];

/// Both disks have something on them that must not show through; one is too small, and then in use.
fn a_dump_goes_straight_to_a_disk(on: &str) -> Result<()> {
    let disk = Scratch::new("disk", &vec![0xee; 256 << 20])?;
    let small = Scratch::new("small", &vec![0xee; 3 << 20])?;
    let job = "set -e
        kjump dump save -d 31 /proc/kcore /dump || [ $? = 1 ]
        for form in --compress=auto --elf; do
            kjump dump save -d 0 $form /dump /dev/vda
            echo 3 > /proc/sys/vm/drop_caches
            kjump dump verify --against /dump /dev/vda
        done
        kjump dump save --compress=raw /dump /dev/vdb && exit 1
        echo 3 > /proc/sys/vm/drop_caches
        kjump dump info /dev/vdb
        mkswap /dev/vdb
        swapon /dev/vdb
        kjump dump save /dump /dev/vdb && exit 1
        swapoff /dev/vdb
        mount -t tmpfs -o size=3m none /mnt
        kjump dump save --compress=raw /dump /mnt/full && exit 1
        ls -A /mnt
        kjump dump info /mnt/full.incomplete";
    let outcome = vm(on).smp(2).mem(256).disk(&disk).disk(&small).run(job)?.succeeded();
    let same = " 0 different, 0 only here, 0 only there, 0 unreadable";
    assert_eq!(outcome.text().matches(same).count(), 2, "{}", outcome.text());
    outcome
        .says("all checksums are right")
        .says("/dev/vdb is an incomplete dump")
        .says("/mnt/full.incomplete is an incomplete dump")
        .says("\nfull.incomplete\n")
        .says("INCOMPLETE")
        .says("this disk is in use")
        .kernel_is_content();
    Ok(())
}
