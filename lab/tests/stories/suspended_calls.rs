//! Calls while the system is suspended: two CPUs, the disk, the network and the clocks are as
//! before.

use std::time::Duration;

use lab::stage::vm;
use lab::story::{EVERY, OTHERS, Story, WITH_NEWEST};
use lab::{Outcome, Result, Scratch, stories};

pub(crate) const STORIES: &[Story] = stories! {
    WITH_NEWEST => disk_and_network_work_after_suspended_calls,
    OTHERS, long => disk_and_network_work_after_suspended_calls,
    EVERY, first => clocks_include_the_time_of_a_call,
    EVERY, long => thousands_of_calls_leave_the_machine_as_it_was,
};

fn disk_and_network_work_after_suspended_calls(on: &str) -> Result<()> {
    calls_during_work(on, 50, 10, Duration::from_secs(300))
}

fn thousands_of_calls_leave_the_machine_as_it_was(on: &str) -> Result<()> {
    calls_during_work(on, 10_000, 1000, Duration::from_secs(3600))
}

fn clocks_include_the_time_of_a_call(on: &str) -> Result<()> {
    vm(on).smp(2).run("guest away 3 && date")?.succeeded().kernel_log_is_clean();
    Ok(())
}

/// Quick calls of a 64-bit and a 32-bit image, then suspended calls of one that lies in used
/// memory, while the disk is read and written and the network answers. Half of the disk is only
/// read.
fn calls_during_work(on: &str, quick: u32, asleep: u32, timeout: Duration) -> Result<()> {
    let bytes: Vec<u8> = (0..=250).cycle().take(HALF).chain(std::iter::repeat_n(0, HALF)).collect();
    let disk = Scratch::new("disk", &bytes)?;
    let outcome = vm(on).smp(2).disk(&disk).timeout(timeout).run(&script(quick, asleep))?.succeeded();
    work_was_done(&outcome);
    outcome.prints(&format!("{asleep} calls;")).never_prints("wrong").kernel_log_is_clean();
    let after = disk.bytes()?;
    assert!(after[..HALF] == bytes[..HALF], "the half that is only read has changed");
    assert!(after[HALF..].iter().all(|byte| *byte == b'x'), "the last write is missing");
    Ok(())
}

/// The first half of the disk is read, the second is written.
const HALF: usize = 2 << 20;

/// Every read and write goes to the disk itself.
fn script(quick: u32, asleep: u32) -> String {
    format!(
        "half() {{ dd if=/dev/vda bs=1M count=2 skip=$1 2> /dev/null | md5sum; }}
        filled() {{ head -c 2097152 /dev/zero | tr '\\0' $1; }}
        fill() {{ filled $1 | dd of=/dev/vda bs=1M seek=2 conv=fsync 2> /dev/null; }}
        work() {{
            echo 3 > /proc/sys/vm/drop_caches
            [ \"$(half 0)\" = \"$first\" ] || echo wrong: the disk
            fill $1; echo 3 > /proc/sys/vm/drop_caches
            [ \"$(half 2)\" = \"$(filled $1 | md5sum)\" ] \\
                || echo wrong: the write
            ping -c 1 -W 9 10.0.2.2 > /dev/null || echo wrong: the network
        }}
        first=$(half 0)
        (n=0; while [ ! -e /tmp/stop ]; do work y; n=$((n + 1)); done; echo $n times worked) & working=$!
        guest calls {quick} none || exit 1
        guest asleep {asleep} window64-64 200 || exit 1
        touch /tmp/stop; wait $working
        work x
        [ $(nproc) = 2 ]"
    )
}

fn work_was_done(outcome: &Outcome) {
    let text = outcome.text();
    let times = text.lines().find_map(|line| line.strip_suffix(" times worked"));
    let times: u32 = times.and_then(|number| number.parse().ok()).unwrap_or(0);
    assert!(times > 1, "no work was done during the calls:\n{text}");
}
