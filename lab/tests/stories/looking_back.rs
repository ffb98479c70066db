//! A second kernel reads the memory of the one that booted it.

use lab::stage::{instrument, kernel_file, small_root, vm};
use lab::story::{OTHERS, Story, WITH_NEWEST};
use lab::{Ended, Result, Scratch, stories};

pub(crate) const STORIES: &[Story] = stories! {
    WITH_NEWEST => a_peer_sees_every_page_of_the_resting_kernel,
    OTHERS, long => a_peer_sees_every_page_of_the_resting_kernel,
    &["6.1"] => a_peer_boots_on_a_uefi_machine,
};

/// Searches the memory and returns the counts.
const INIT: &str = "
/bin/busybox insmod /kjump.ko
kjump return --prepare
while true; do
    seen=$(guest find /proc/vmcore || echo 0xbad)
    kjump return $seen
done
";

/// A machine with a second kernel to boot, which reads the memory of the first.
fn with_second_kernel(on: &str, job: &str) -> Result<Ended> {
    let mut root = small_root(on, INIT)?;
    root.host_file("/bin/guest", &instrument(on, "guest"))?;
    let initrd = Scratch::archive("b.cpio", &root)?;
    vm(on).smp(2).mem(672).file(kernel_file(on), "/boot/b").file(&initrd, "/boot/b.cpio").run(job)
}

fn a_peer_sees_every_page_of_the_resting_kernel(on: &str) -> Result<()> {
    let job = "
        . /lib/lab.sh
        pages=51200
        guest fill $pages /tmp/filled &
        ready() { until [ -e /tmp/filled ]; do sleep 0.1; done; }
        seen() {
            value=$(sed -n 's/.* returned \\(0x[0-9a-f]*\\) .*/\\1/p')
            echo \"$((value & 0xffffffff)) of $pages, $((value >> 32)) of them waited elsewhere\"
            [ $((value & 0xffffffff)) = $pages ] && [ $((value >> 32)) -gt 1000 ] && echo \"fill $1 is seen\"
        }
        ready
        boot --window 0xa000000 | seen 1
        rm /tmp/filled
        ready
        kjump switch b | seen 2
        kjump drop b
        rm /tmp/filled
        ready
        boot --window 0xa000000 --deadline 300 | seen 3
        touch /tmp/filled.end
        wait";
    with_second_kernel(on, job)?
        .succeeded()
        .prints("fill 1 is seen")
        .prints("fill 2 is seen")
        .prints("fill 3 is seen")
        .kernel_log_is_clean();
    Ok(())
}

/// Returns whether it found its ACPI tables: without the root pointer it has none.
const UEFI_INIT: &str = "
/bin/busybox insmod /kjump.ko
kjump return --prepare
while true; do
    [ -e /sys/firmware/acpi/tables/APIC ] && kjump return 0xac91 || kjump return 0xbad
done
";

fn a_peer_boots_on_a_uefi_machine(on: &str) -> Result<()> {
    let initrd = Scratch::archive("b.cpio", &small_root(on, UEFI_INIT)?)?;
    let job = "
        set -e
        . /lib/lab.sh
        [ -d /sys/firmware/efi ]
        boot
        kjump switch b
        [ -e /sys/firmware/efi/systab ]
        nproc";
    vm(on)
        .uefi()
        .smp(2)
        .mem(768)
        .file(kernel_file(on), "/boot/b")
        .file(&initrd, "/boot/b.cpio")
        .run(job)?
        .succeeded()
        .prints("b returned 0xac91")
        .never_prints("0xbad")
        .prints("2\n")
        .kernel_log_is_clean();
    Ok(())
}
