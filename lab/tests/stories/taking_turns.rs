//! Two kernels take turns while each uses disks and network; the memory of the resting one does not
//! change.

use std::time::Duration;

use lab::stage::{release_of_last, vm};
use lab::story::{PAIRS, Story};
use lab::{Result, Scratch, Vm, stories};

use crate::controllers::{DRIVERS, with_controllers};

pub(crate) const STORIES: &[Story] = stories! {
    &["6.1+6.12", "6.12+6.1"] => kernels_take_turns_and_keep_working,
    PAIRS, long => kernels_take_150_turns_and_keep_working,
    &["6.1+6.12", "6.12+6.1"], long => a_busy_kernel_takes_turns,
    FULL_PAIRS, long => all_controllers_work_in_both_kernels,
};

const FULL_PAIRS: &[&str] = &["6.1-full+6.1-full", "6.12-full+6.12-full"];

/// B in each turn: reads and compares everything, and 64 MiB of A's memory before and after that.
/// Returns seven times its value plus one, or 0 if a check failed.
const THERE: &str = r#"
bad() { echo "<1>wrong: $*" > /dev/kmsg; good=0; }
resting() { dd if=/dev/mem bs=1M skip=256 count=64 2> /dev/null | md5sum; }
disks() { echo 3 > /proc/sys/vm/drop_caches; cat $disks | md5sum; }
ip link set eth0 up; ip addr add 10.0.2.16/24 dev eth0
first=$(disks); value=1
while :; do
    line=$(kjump return $value) || exit 1
    given=$((${line##* })); good=1
    before=$(resting)
    [ "$(disks)" = "$first" ] || bad there: disks
    ping -c 1 -W 9 10.0.2.2 > /dev/null || bad there: network
    [ "$(resting)" = "$before" ] || bad there: the other kernel\'s memory
    dmesg | complaints; [ $? = 1 ] || bad there: kernel log
    value=$((good * (7 * given + 1)))
done
"#;

/// A in each turn.
const HERE: &str = r#"
disks() { echo 3 > /proc/sys/vm/drop_caches; cat $disks | md5sum; }
[ -e /tmp/first ] || disks > /tmp/first
[ "$(disks)" = "$(cat /tmp/first)" ] || { echo wrong: here: disks; exit 1; }
ping -c 1 -W 9 10.0.2.2 > /dev/null || { echo wrong: here: network; exit 1; }
[ "$(nproc)" = 2 ] || { echo wrong: here: CPUs; exit 1; }
"#;

/// Boots the last kernel from the first, and takes this number of turns.
fn turns(vm: Vm, on: &str, disks: &str, drivers: &[&str], turns: u32, work: &str) -> Result<()> {
    let scripts = [("there.sh", THERE), ("here.sh", HERE)]
        .map(|(name, script)| Scratch::new(name, format!("disks=\"{disks}\"\n{script}").as_bytes()));
    let [there, here] = scripts;
    let (there, here) = (there?, here?);
    let drivers: String = drivers.iter().map(|driver| format!("--driver {driver} ")).collect();
    let job = format!(
        "set -e
        kjump initramfs -o /tmp/b.cpio --kernel-version {release} {drivers} --disk first \\
            --add /there.sh:/there.sh --add /init:/bin/complaints -- sh /there.sh
        kjump boot --kernel /boot/vmlinuz-{release} --initrd /tmp/b.cpio --memory 256M \\
            --append 'console=ttyS0 loglevel=5 no_timer_check'
        rm /tmp/b.cpio
        {work}
        guest turns b {turns} 128 /here.sh",
        release = release_of_last(on),
    );
    vm.smp(2)
        .mem(1024)
        .timeout(Duration::from_secs(3600))
        .file(&there, "/there.sh")
        .file(&here, "/here.sh")
        .run(&job)?
        .succeeded()
        .prints(&format!("{turns} turns"))
        .never_prints("wrong")
        .kernel_log_is_clean();
    Ok(())
}

const VIRTIO: &[&str] = &["virtio_pci", "virtio_blk", "virtio_net"];

fn with_virtio(on: &str, count: u32, work: &str) -> Result<()> {
    let disk = Scratch::new("disk", &(0..=250).cycle().take(2 << 20).collect::<Vec<u8>>())?;
    turns(vm(on).disk(&disk), on, "/dev/vda", VIRTIO, count, work)
}

fn kernels_take_turns_and_keep_working(on: &str) -> Result<()> {
    with_virtio(on, 3, "")
}

fn kernels_take_150_turns_and_keep_working(on: &str) -> Result<()> {
    with_virtio(on, 150, "")
}

/// CPUs, memory and disk are busy all the time, and reads return the data written.
fn a_busy_kernel_takes_turns(on: &str) -> Result<()> {
    let scratch = Scratch::new("scratch", &vec![0; 8 << 20])?;
    let disk = Scratch::new("disk", &vec![0x5a; 2 << 20])?;
    let busy = r#"
        (while :; do :; done) &
        (while :; do head -c 48M /dev/urandom > /tmp/noise; md5sum < /tmp/noise > /tmp/sum
            [ "$(md5sum < /tmp/noise)" = "$(cat /tmp/sum)" ] || echo wrong: memory; done) &
        (while :; do head -c 4M /dev/urandom > /tmp/block
            dd if=/tmp/block of=/dev/vdb bs=1M conv=fsync 2> /dev/null; echo 3 > /proc/sys/vm/drop_caches
            [ "$(head -c 4M /dev/vdb | md5sum)" = "$(md5sum < /tmp/block)" ] || echo wrong: disk; done) &"#;
    turns(vm(on).disk(&disk).disk(&scratch), on, "/dev/vda", VIRTIO, 20, busy)
}

fn all_controllers_work_in_both_kernels(on: &str) -> Result<()> {
    let disk = |byte: u8| Scratch::new(&format!("disk{byte}"), &vec![byte; 4 << 20]);
    let disks = [disk(7)?, disk(8)?];
    let vm = with_controllers(vm(on), &disks).qemu("-device").qemu("usb-tablet");
    // The connected card comes first, so it is eth0.
    let drivers = [&["virtio_pci", "virtio_net"], &DRIVERS[..]].concat();
    turns(vm, on, "/dev/sda /dev/nvme0n1", &drivers, 10, "")
}
