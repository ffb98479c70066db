//! A dump is written to a disk, with and without a file system, and read back.

use lab::stage::vm;
use lab::story::{EVERY, Story};
use lab::{Result, Scratch, stories};

pub(crate) const STORIES: &[Story] = stories! {
    EVERY, last => a_dump_is_written_straight_to_a_disk,
    &["6.12"] => threads_that_read_live_memory_do_not_mix_it_up,
    &["6.1"] => a_dump_fills_a_file_system,
    EVERY, first => raw_memory_is_the_same_image_as_a_vmcore,
    &["6.1"] => a_key_is_erased_from_every_form_of_a_dump,
};

/// Both disks have old content, which must not appear in the dump; one is too small, and later in
/// use. Then both have content of a known kind, which only `-f` overwrites.
fn a_dump_is_written_straight_to_a_disk(on: &str) -> Result<()> {
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
        for disk in vda vdb; do
            [ $disk = vdb ] || mke2fs /dev/vda
            before=$(head -c 1000000 /dev/$disk | md5sum)
            kjump dump save /dump /dev/$disk && exit 1
            makedumpfile -l -d 0 /dump /dev/$disk && exit 1
            echo 3 > /proc/sys/vm/drop_caches
            [ \"$before\" = \"$(head -c 1000000 /dev/$disk | md5sum)\" ]
            makedumpfile -f -l -d 31 /dump /dev/$disk || echo \"forced onto $disk: $?\"
            kjump dump info /dev/$disk
            mkswap /dev/$disk
            kjump dump save -f /dump /dev/$disk || echo \"forced onto $disk: $?\"
            kjump dump info /dev/$disk
        done
        mount -t tmpfs -o size=3m none /mnt
        kjump dump save --compress=raw /dump /mnt/full && exit 1
        ls -A /mnt
        kjump dump info /mnt/full.incomplete";
    let outcome = vm(on).smp(2).mem(256).disk(&disk).disk(&small).run(job)?.succeeded();
    let same = " 0 different, 0 only here, 0 only there, 0 unreadable";
    let count = |text| outcome.text().matches(text).count();
    assert_eq!(count(same), 2, "{}", outcome.text());
    // Each of two names is refused on each of two disks, and forced only one of them is too small.
    let errors = String::from_utf8_lossy(&outcome.err);
    assert_eq!(errors.matches("-f overwrites it").count(), 4, "{errors}");
    assert_eq!((count("forced onto vda"), count("forced onto vdb: 1")), (0, 2), "{}", outcome.text());
    outcome
        .prints("all checksums are right")
        .prints("/dev/vdb is an incomplete dump")
        .prints("/mnt/full.incomplete is an incomplete dump")
        .prints("\nfull.incomplete\n")
        .prints("INCOMPLETE")
        .prints("the disk is in use")
        .prints("the disk contains an ext2, ext3 or ext4 file system; -f overwrites it")
        .prints("the disk contains swap space; -f overwrites it")
        .kernel_log_is_clean();
    Ok(())
}

/// A dump file uses no more blocks than its size needs. When the file system is full, the part that
/// fitted is intact, although the kernel reports the error only after later writes.
fn a_dump_fills_a_file_system(on: &str) -> Result<()> {
    let large = Scratch::ext4("large", 512)?;
    let small = Scratch::ext4("small", 32)?;
    let job = "set -e
        mkdir /large /small
        mount -t ext4 /dev/vda /large
        mount -t ext4 /dev/vdb /small
        head -c 60000000 /dev/urandom > /noise
        kjump dump save -d 0 --compress=raw /proc/kcore /large/dump || [ $? = 1 ]
        kjump dump save -d 17 /large/dump /large/again
        ls -l /large/again
        stat -c 'blocks %b bytes %s' /large/again
        kjump dump save -d 17 /large/dump /small/dump && exit 1
        ls -A /small
        df -k /small
        mv /small/dump.incomplete /large
        rm -r /small/*
        kjump dump save -d 17 --resume-on-enospc /large/dump /small/enough || [ $? = 1 ]
        kjump dump verify /small/enough
        for way in vda:large vdb:small; do
            umount /${way#*:}
            mount -t ext4 -o ro /dev/${way%:*} /${way#*:}
        done
        kjump dump verify --against /large/dump /large/again
        kjump dump diff /large/dump /large/dump.incomplete || [ $? = 1 ]";
    let outcome = vm(on).smp(2).mem(256).disk(&large).disk(&small).run(job)?.succeeded();
    let text = outcome.text();
    let number = |after: &str| -> u64 {
        let rest = text.split_once(after).map_or("", |(_, rest)| rest);
        rest.split_whitespace().next().and_then(|word| word.parse().ok()).unwrap_or_else(|| panic!("{text}"))
    };
    assert!(number("blocks ") * 512 < number(" bytes ") + (64 << 10), "{text}");
    assert!(number("\nthe same ") > 4000 && number("\ndifferent ") == 0, "{text}");
    outcome
        .prints("all checksums are right")
        .prints("/small/dump.incomplete is an incomplete dump")
        .prints("\ndump.incomplete\n")
        .prints("no room for dump level 17: trying 31")
        .kernel_log_is_clean();
    Ok(())
}

/// The kernel copies what is read from an open /proc/kcore through one page. The kernel's code does
/// not change, so every dump has the same.
fn threads_that_read_live_memory_do_not_mix_it_up(on: &str) -> Result<()> {
    let job = "set -e
        mount -t tmpfs -o size=200m none /mnt
        code=$(sed -n 's/^ *\\([0-9a-f]*\\)-.*Kernel code$/\\1/p' /proc/iomem)
        code() {
            dd if=/mnt/flat bs=4096 skip=$((0x$code / 4096)) count=2048 2> /dev/null
        }
        ln -s /proc/kcore /mnt/memory
        for threads in 1 4 4 4; do
            kjump dump save --threads $threads -d 31 --flat /mnt/memory /mnt/flat || [ $? = 1 ]
            code | md5sum > /mnt/sum.$threads
            cmp /mnt/sum.1 /mnt/sum.$threads
        done
        [ $(code | od -An -tx1 -v | sort -u | wc -l) -gt 10000 ]
        kjump dump info /mnt/memory";
    let outcome = vm(on).smp(4).mem(320).without_module().run(job)?.succeeded();
    let messages = String::from_utf8_lossy(&outcome.err).into_owned();
    assert_eq!(messages.matches("WARNING: the dump is not consistent").count(), 4, "{messages}");
    outcome.prints("yes: the machine is running").kernel_log_is_clean();
    Ok(())
}

/// Memory as a file of nothing but pages is the same image as an ELF vmcore of it: the same pages,
/// the same log, and at level 31 the same pages are kept, although it has no notes.
fn raw_memory_is_the_same_image_as_a_vmcore(on: &str) -> Result<()> {
    let disk = Scratch::ext4("raw", 900)?;
    let job = "set -e
        mount -t ext4 /dev/vda /mnt
        cd /mnt
        kjump dump save -d 0 --elf /proc/kcore elf || [ $? = 1 ]
        kjump dump save -d 0 --flat elf flat
        ram=
        for range in $(sed -n 's/ : System RAM$//p' /proc/iomem); do
            from=$(((0x${range%-*} + 4095) / 4096))
            to=$(((0x${range#*-} + 1) / 4096))
            dd if=flat bs=4096 skip=$from count=$((to - from)) >> raw 2> /dev/null
            ram=$ram,$((from * 4096))-$((to * 4096))
        done
        raw=\"--raw --ram ${ram#,}\"
        rm flat
        kjump dump info $raw raw
        kjump dump verify $raw --against elf raw
        kjump dump verify --against raw --against-ram ${ram#,} elf
        kjump dump diff elf raw --second-ram ${ram#,}
        kjump dump save -d 31 elf elf31
        kjump dump save -d 31 $raw raw raw31
        kjump dump verify --against elf31 raw31
        kjump dump dmesg elf > elf.log
        kjump dump dmesg $raw raw > raw.log
        cmp elf.log raw.log
        grep 'Linux version' raw.log";
    let outcome = vm(on).smp(2).mem(192).disk(&disk).without_module().run(job)?.succeeded();
    let same = " 0 different, 0 only here, 0 only there, 0 unreadable";
    assert_eq!(outcome.text().matches(same).count(), 3, "{}", outcome.text());
    outcome.prints("raw memory").prints("Linux version").kernel_log_is_clean();
    Ok(())
}

/// The key is in a variable of the kernel and in an object that a list leads to. No part of it is
/// in any form of the dump, compressed or not; the kernel erases its own buffers.
fn a_key_is_erased_from_every_form_of_a_dump(on: &str) -> Result<()> {
    let job = r#"set -e
        key=$(echo "kept in the kernel only" | sha256sum | cut -c 1-32)
        printf %s $key > /proc/sys/kernel/core_pattern
        printf %s $key > /sys/class/net/lo/ifalias
        cat > /rules <<'END'
[vmlinux]
type core_pattern char [128]
type init_net struct net
erase core_pattern
for device in init_net.dev_base_head within net_device:dev_list
    erase device.ifalias.ifalias size 32
endfor
[kjump]
type __this_module struct module
erase __this_module.version
[absent]
erase anything
END
        mount -t tmpfs -o size=320m none /mnt
        cd /mnt
        # A part of the key that is left counts too.
        for from in $(seq 25); do
            echo $key | cut -c $from-$((from + 7))
        done > /parts
        [ $(sort -u /parts | wc -l) -eq 25 ]
        has_key() {
            kjump dump save -d 31 -c raw $1 again
            tr -d '\0' < again | grep -q -F -f /parts
        }
        kjump dump save -d 31 /proc/kcore whole || [ $? = 1 ]
        has_key whole
        for form in "" "-c raw" --elf --flattened "--flattened --elf"; do
            kjump dump save -d 31 --config /rules $form /proc/kcore dump || [ $? = 1 ]
            if has_key dump; then
                echo "the key is in the dump $form"
                exit 1
            fi
            kjump dump info dump | grep -F device.ifalias
        done
        kjump dump save --config /rules whole dump
        if has_key dump; then
            exit 1
        fi
        echo "erase core_patterns size 4" > /rules
        kjump dump save --config /rules whole wrong && exit 1
        ls wrong || echo "nothing was written""#;
    let outcome = vm(on).smp(2).mem(512).append("init_on_free=1").run(job)?.succeeded();
    let listed = "erase device.ifalias.ifalias size 32";
    assert_eq!(outcome.text().matches(listed).count(), 5, "{}", outcome.text());
    outcome
        .prints("the module absent is not loaded: its rules erase nothing")
        .prints("/rules: line 1: there is no symbol core_patterns")
        .prints("nothing was written")
        .kernel_log_is_clean();
    Ok(())
}
