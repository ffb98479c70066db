//! A kernel that was booted beside another sees the memory of that one, as it was left.

use lab::story::{EVERY, Scratch, Story, instrument, kernel_file, small_root, vm};
use lab::{Ended, Result};

pub(crate) const STORIES: &[Story] =
    &[Story::new("a_peer_sees_every_page_that_was_left", EVERY, a_peer_sees_every_page_that_was_left)];

/// Looks, and returns with what it saw.
const INIT: &str = "
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t sysfs none /sys
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox insmod /kjump.ko
kjump return --prepare
while true; do
    seen=$(guest find /proc/vmcore || echo 0xbad)
    kjump return $seen
done
";

/// A machine with a second kernel to boot, which looks back.
fn beside(on: &str, job: &str) -> Result<Ended> {
    let mut root = small_root(on, INIT)?;
    root.host_file("/bin/guest", &instrument(on, "guest"))?;
    let initrd = Scratch::archive("b.cpio", &root)?;
    vm(on).mem(640).file(kernel_file(on), "/boot/b").file(&initrd, "/boot/b.cpio").run(job)
}

fn a_peer_sees_every_page_that_was_left(on: &str) -> Result<()> {
    let job = "
        pages=51200
        guest fill $pages /tmp/filled &
        ready() { until [ -e /tmp/filled ]; do sleep 0.1; done; }
        seen() {
            value=$(sed -n 's/.* returned \\(0x[0-9a-f]*\\) .*/\\1/p')
            echo \"$((value & 0xffffffff)) of $pages, $((value >> 32)) of them waited elsewhere\"
            [ $((value & 0xffffffff)) = $pages ] && [ $((value >> 32)) -gt 1000 ] && echo \"fill $1 is seen\"
        }
        ready
        kjump boot --kernel /boot/b --initrd /boot/b.cpio --memory 192M --window 0xa000000 --append 'console=ttyS0 quiet' | seen 1
        rm /tmp/filled
        ready
        kjump switch b | seen 2
        touch /tmp/filled.end
        wait";
    beside(on, job)?.succeeded().says("fill 1 is seen").says("fill 2 is seen").kernel_is_content();
    Ok(())
}
