//! An image that does not return is stopped at its deadline, and the machine goes on.

use lab::stage::vm;
use lab::story::{EVERY, Story};
use lab::{Result, stories};

pub(crate) const STORIES: &[Story] = stories! {
    &["6.1"] => images_that_hang_are_stopped_by_another_cpu,
    EVERY => images_that_hang_are_stopped_by_a_timer,
    &["6.1"], long => without_a_timer_only_another_cpu_can_stop_an_image,
    &["6.1"] => calls_that_end_near_their_deadline_end_well,
    EVERY => a_long_call_is_not_taken_for_a_lockup,
};

/// `hang LEVEL IMAGE MANNER`: the image is stopped; then timers and calls work on each CPU.
const HANG: &str = r#"
payloads=/lib/kjump/payloads
hang() {
    kjump call --quiesce $1 --deadline 0.3 $payloads/$2 $3 > /tmp/out 2>&1
    echo "$2 $3 at $1: $? $(head -n 1 /tmp/out)"
    for each in $(seq 0 $(($(nproc) - 1))); do
        taskset $((1 << each)) timeout 20 sleep 0.01 || { echo "wrong: CPU $each is stuck"; exit 1; }
    done
    kjump call --quiesce none $payloads/sum64 1 2 3 4 5 6 > /tmp/out || echo "wrong: $(cat /tmp/out)"
}
everything() {
    for level; do
        for manner in 0 1 2; do
            for image in hang64 hang32; do hang $level $image $manner; done
        done
    done | tee /tmp/calls
    [ $(grep -cE ': 5 took longer than 0.3 s, stopped at [er]ip 0x3[12]00' /tmp/calls) = $(($# * 6)) ] ||
        echo wrong: calls
}
"#;

/// An emulator whose host is busy takes long enough for all the hangs to look like a stall; the
/// timer of each CPU is checked after each of them instead.
pub(crate) const NO_STALLS: &str = "rcupdate.rcu_cpu_stall_timeout=300";

fn images_that_hang_are_stopped_by_another_cpu(on: &str) -> Result<()> {
    let job = "
        everything none stop
        # Also on the CPU on which the watching work runs.
        for each in 1 2 1; do taskset $each kjump call --deadline 0.3 $payloads/hang64 1; done
        # The default.
        start=$(cut -d. -f1 /proc/uptime)
        kjump call $payloads/hang64 0 | grep 'took longer than 10 s' || echo wrong: default
        took=$(($(cut -d. -f1 /proc/uptime) - start))
        [ $took -ge 10 ] && [ $took -le 15 ] || echo wrong: default took $took s";
    vm(on)
        .smp(2)
        .append(NO_STALLS)
        .run(&format!("{HANG}{job}"))?
        .succeeded()
        .never_prints("wrong")
        .kernel_log_is_clean();
    Ok(())
}

fn images_that_hang_are_stopped_by_a_timer(on: &str) -> Result<()> {
    let job = "
        everything none stop suspend
        kjump call --quiesce suspend --deadline 100 $payloads/hang64 0; echo status $?
        [ $(nproc) = 1 ] && grep -E '^ +[02]:' /proc/interrupts";
    vm(on)
        .append(NO_STALLS)
        .run(&format!("{HANG}{job}"))?
        .succeeded()
        .never_prints("wrong")
        .prints("a deadline of 100000 ms is too late: the machine's timer counts 21474 ms at most")
        .prints("status 1")
        .kernel_log_is_clean();
    Ok(())
}

fn without_a_timer_only_another_cpu_can_stop_an_image(on: &str) -> Result<()> {
    let job = "
        everything none stop
        kjump call --quiesce suspend --deadline 1 $payloads/hang64; echo status $?
        kjump call --quiesce suspend $payloads/sum64 1 2 3 4 5 6";
    vm(on)
        .smp(2)
        .append("hpet=disable")
        .run(&format!("{HANG}{job}"))?
        .succeeded()
        .never_prints("wrong")
        .prints("nothing can stop the image at a deadline at this level on this machine")
        .prints("status 1")
        .prints("returned 1091")
        .kernel_log_is_clean();
    Ok(())
}

/// The NMI may arrive when the image has just returned, on either side of the exchange of pages.
fn calls_that_end_near_their_deadline_end_well(on: &str) -> Result<()> {
    let job = "
        khz=$(kjump status --json | grep tsc_khz | tr -dc 0-9)
        for level in none stop; do
            for step in $(seq 0 40); do
                ticks=$(((98000 + step * 100) * khz / 1000))
                kjump call --quiesce $level --deadline 0.1 $payloads/spin64 $ticks
            done
        done > /tmp/calls
        [ $(grep -cE '^(returned|took longer)' /tmp/calls) = 82 ] || echo wrong: $(cat /tmp/calls)
        hang none hang64 0";
    vm(on).smp(2).run(&format!("{HANG}{job}"))?.succeeded().never_prints("wrong").kernel_log_is_clean();
    Ok(())
}

/// A kernel that is configured to panic at a lockup would panic: here it takes a CPU for locked up
/// after two seconds.
fn a_long_call_is_not_taken_for_a_lockup(on: &str) -> Result<()> {
    let job = "
        echo 1 > /proc/sys/kernel/watchdog_thresh
        khz=$(kjump status --json | grep tsc_khz | tr -dc 0-9)
        call='kjump call --deadline none --quiesce'
        for level in none stop; do
            for mask in 1 2; do
                taskset $mask $call $level /lib/kjump/payloads/spin64 $((3000 * khz))
                taskset $mask sleep 1
            done
        done | grep -c returned";
    vm(on).smp(2).append(NO_STALLS).run(job)?.succeeded().prints("4").kernel_log_is_clean();
    Ok(())
}
