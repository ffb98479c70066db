//! A kernel is hibernated by jump, the machine is powered off, and another boot resumes it.

use lab::stage::{release_of_last, vm};
use lab::story::Story;
use lab::{Ended, Error, Outcome, Result, Scratch, Vm, stories};

pub(crate) const STORIES: &[Story] = stories! {
    &["6.1+6.1"] => a_hibernated_kernel_goes_on_after_a_power_cycle,
    &["6.12+6.12"], long => an_image_is_refused_where_it_does_not_fit_and_resumed_where_it_does,
    &["6.1+6.1"] => a_kernel_that_cannot_be_saved_goes_on,
    &["6.1+6.1", "6.12+6.12"], first => a_prepared_kernel_writes_one_image_after_another,
    &["6.12+6.12"], long => snapshots_are_taken_between_work,
};

/// The machine: a disk with a file system, and one for the image.
struct Machine<'a> {
    on: &'a str,
    disk: Scratch,
    image: Scratch,
    key: Scratch,
}

impl<'a> Machine<'a> {
    fn new(on: &'a str) -> Result<Self> {
        Ok(Self {
            on,
            disk: Scratch::ext4("disk", 32)?,
            image: Scratch::empty("image", 400)?,
            key: Scratch::new("key", b"a key file of this story")?,
        })
    }

    fn vm(&self) -> Vm {
        vm(self.on).smp(2).mem(640).disk(&self.disk).disk(&self.image).file(&self.key, "/key")
    }

    /// Runs a job that hibernates the kernel.
    fn hibernate(&self, job: &str) -> Result<()> {
        let job = format!(". /lib/lab.sh\n{JOB}\n{job}");
        match self.vm().run(&job) {
            Err(Error::GuestEnded { why, log, .. }) if why == "it powered off" => {
                // The console shows the progress.
                assert!(log.contains("\nkjump hibernate: saved 100 %"), "{log}");
                Ok(())
            }
            Err(other) => Err(other),
            Ok(ended) => {
                let outcome = ended.into_outcome();
                let errors = String::from_utf8_lossy(&outcome.err).into_owned();
                panic!("it was not hibernated: {}{errors}", outcome.text())
            }
        }
    }

    /// Tries in vain to resume it with a wrong key, with a changed image, and with other memory.
    fn refused(&self) -> Result<()> {
        let outcome = self.vm().mem(704).run(REFUSED)?.succeeded();
        outcome
            .prints("the key is wrong: it opens none of the 1 key slots")
            .prints("was changed after it was written")
            .prints("not resumed: this machine has other memory than the hibernated kernel")
            .prints("was mounted or changed since")
            .prints("the header was changed after it was written")
            .prints("blocks verified")
            .prints("state: complete")
            .never_prints("went on");
        Ok(())
    }

    /// Resumes it; the outcome is that of its job.
    fn resume(&self, device: &str) -> Result<Ended> {
        let job = format!("kjump resume --from {device} --key-file /key; exit 99");
        self.vm().resumes().run(&job)
    }
}

const HIBERNATE: &str = "kjump hibernate --to /dev/vdb --key-file /key";

/// Fills memory, page cache and tmpfs; `same EVENT` checks them afterwards.
const JOB: &str = "
set -e
mount -t ext4 /dev/vda /mnt
dd if=/dev/urandom of=/mnt/file bs=1M count=8 2> /dev/null
dd if=/dev/urandom of=/tmp/file bs=1M count=24 2> /dev/null
cached=$(md5sum < /mnt/file)
in_memory=$(md5sum < /tmp/file)
guest remember 200 /tmp/memory &
until [ -e /tmp/memory ]; do sleep 0.1; done
cpus_then=$(nproc)
clock_then=$(clock_ahead)
uptime_then=$(uptime_ahead)
same() {
    touch /tmp/memory.check
    until [ -e /tmp/memory.checked ]; do sleep 0.1; done
    echo \"memory after $1: $(cat /tmp/memory.checked)\"
    [ \"$cached\" = \"$(md5sum < /mnt/file)\" ] || echo \"wrong: page cache after $1\"
    [ \"$in_memory\" = \"$(md5sum < /tmp/file)\" ] || echo \"wrong: tmpfs after $1\"
    echo 3 > /proc/sys/vm/drop_caches
    [ \"$cached\" = \"$(md5sum < /mnt/file)\" ] || echo \"wrong: disk after $1\"
    echo more > /mnt/more
    umount /mnt
    [ $cpus_then = $(nproc) ] || echo \"wrong: CPUs after $1\"
    ping -c 1 -W 9 10.0.2.2 > /dev/null || echo \"wrong: network after $1\"
    near $(clock_ahead) $clock_then || echo \"wrong: clock after $1\"
    near $(uptime_ahead) $uptime_then || echo \"wrong: uptime after $1\"
    clean || echo \"wrong: kernel log after $1\"
    echo \"checked after $1\"
}
";

/// The image is as before at the end.
const REFUSED: &str = "
tried() { kjump resume --from /dev/vdb --key-file /key && echo 'went on'; true; }
change() {
    dd if=/dev/vdb of=/tmp/page bs=4k skip=$1 count=1 2> /dev/null
    tr '\\000-\\377' '\\001-\\377\\000' < /tmp/page | dd of=/dev/vdb bs=4k seek=$1 count=1 2> /dev/null
}
restore() { dd if=/tmp/page of=/dev/vdb bs=4k seek=$1 count=1 2> /dev/null; }
echo 'another key file, as long' > /tmp/wrong
kjump resume --from /dev/vdb --key-file /tmp/wrong && echo 'went on'
kjump resume --from /dev/vdb --no-encryption && echo 'went on'
change 1000
kjump image verify /dev/vdb --key-file /key && echo 'went on'
restore 1000
change 3; tried; restore 3
kjump image verify /dev/vdb --key-file /key || exit 1
cat /dev/vda > /tmp/disk
mount -t ext4 /dev/vda /mnt; umount /mnt
tried
cat /tmp/disk > /dev/vda
sync
kjump image info /dev/vdb
";

/// The disk is a swap partition that is too small.
fn a_kernel_that_cannot_be_saved_goes_on(on: &str) -> Result<()> {
    let machine = Machine { image: Scratch::empty("small", 8)?, ..Machine::new(on)? };
    let job = format!(
        ". /lib/lab.sh
        {JOB}
        mkswap /dev/vdb > /dev/null
        kjump hibernate --check --to /dev/vdb --key-file /key
        {HIBERNATE} && echo 'went on'
        same failing
        kjump image info /dev/vdb || true
        swapon /dev/vdb && swapoff /dev/vdb
        kjump hibernate --prepare --to /dev/vdb
        kjump hibernate --to /dev/vdb --key-file /key && echo 'went on'
        kjump peers
        kjump drop hibernate
        kjump hibernate --to /dev/vda --key-file /key && echo 'went on'
        true"
    );
    machine
        .vm()
        .run(&job)?
        .succeeded()
        .prints(" can be hibernated")
        .prints("not hibernated, and this kernel goes on: hibernation file too small: ")
        .prints("memory after failing: all as it was")
        .prints("checked after failing")
        .prints("state: failed")
        .prints("resident ")
        .prints("/dev/vda contains an ext2, ext3 or ext4 file system; -f overwrites it")
        .never_prints("went on")
        .never_prints("wrong")
        .kernel_log_is_clean();
    Ok(())
}

fn a_hibernated_kernel_goes_on_after_a_power_cycle(on: &str) -> Result<()> {
    let machine = Machine::new(on)?;
    machine.hibernate(RESUMED)?;
    goes_on(machine.resume("/dev/vdb")?)?.prints(&release_of_last(on));
    Ok(())
}

fn an_image_is_refused_where_it_does_not_fit_and_resumed_where_it_does(on: &str) -> Result<()> {
    let machine = Machine::new(on)?;
    machine.hibernate(RESUMED)?;
    machine.refused()?;
    goes_on(machine.resume("/dev/vdb")?)?.prints(&release_of_last(on));
    Ok(())
}

const RESUMED: &str = "kjump hibernate --to /dev/vdb --key-file /key || exit 1; uname -r; same resuming";

fn goes_on(ended: Ended) -> Result<Outcome> {
    let outcome = ended
        .succeeded()
        .prints("hibernated and resumed")
        .prints("memory after resuming: all as it was")
        .prints("checked after resuming")
        .never_prints("wrong")
        .kernel_log_is_clean();
    Ok(outcome)
}

fn snapshots_are_taken_between_work(on: &str) -> Result<()> {
    let machine = Machine::new(on)?;
    let job = format!(
        ". /lib/lab.sh
        {JOB}
        snapshot() {{
            echo \"the marker of the $1 snapshot\" > /dev/kmsg
            kjump snapshot -d 31 /dev/vdb
            kjump dump verify /dev/vdb
            kjump dump dmesg /dev/vdb | grep 'the marker of the'
            dd if=/dev/urandom of=/tmp/work bs=1M count=4 2> /dev/null
        }}
        snapshot first
        snapshot second
        kjump dump info /dev/vdb
        same snapshots
        dd if=/dev/zero of=/dev/vdb bs=1M count=1 2> /dev/null
        kjump snapshot --memory 15M /dev/vdb && echo 'went on'
        kjump snapshot /dev/vda && echo 'went on'
        true"
    );
    machine
        .vm()
        .run(&job)?
        .succeeded()
        .prints("/dev/vdb: dump level 31: ")
        .prints("the marker of the first snapshot")
        .prints("the marker of the second snapshot")
        .prints(&release_of_last(on))
        .prints("memory after snapshots: all as it was")
        .prints("checked after snapshots")
        .prints("no room for kernel")
        .prints("/dev/vda contains an ext2, ext3 or ext4 file system; -f overwrites it")
        .never_prints("went on")
        .never_prints("wrong")
        .kernel_log_is_clean();
    Ok(())
}

/// The small kernel stays after a snapshot, and finds a partition that was made meanwhile. It is
/// gone after a power cycle, and can be booted again.
fn a_prepared_kernel_writes_one_image_after_another(on: &str) -> Result<()> {
    let machine = Machine::new(on)?;
    machine.hibernate(
        "kjump hibernate --prepare --to /dev/vdb
        kjump hibernate --prepare --to /dev/vdb
        kjump hibernate --memory 300M --to /dev/vdb --key-file /key && exit 1
        echo 'the marker' > /dev/kmsg
        kjump snapshot -d 31 /dev/vdb
        kjump dump dmesg /dev/vdb | grep -q 'the marker'
        dd if=/dev/zero of=/tmp/disk bs=1M count=1 2> /dev/null
        cat /tmp/disk > /dev/vdb
        {
            head -c 446 /dev/zero
            printf '\\000\\000\\000\\000\\203\\000\\000\\000\\000\\010\\000\\000\\000\\000\\014\\000'
            head -c 48 /dev/zero
            printf '\\125\\252'
        } > /tmp/table
        cat /tmp/table > /dev/vdb
        blockdev --rereadpt /dev/vdb
        [ \"$(kjump peers | grep -c '^hibernate .* resident')\" = 1 ]
        kjump hibernate --to /dev/vdb1 --key-file /key || exit 1
        kjump peers
        kjump hibernate --prepare --to /dev/vdb1
        same resuming",
    )?;
    goes_on(machine.resume("/dev/vdb1")?)?.prints("no other kernel is resident");
    Ok(())
}
