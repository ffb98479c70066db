//! Several images, processes and calls at once, with suspends in between.

use lab::stage::vm;
use lab::story::{EVERY, Story};
use lab::{Result, stories};

use crate::deadlines::NO_STALLS;

pub(crate) const STORIES: &[Story] = stories! {
    EVERY, first => several_processes_call_their_own_images,
    EVERY, last => calls_wait_for_each_other_in_order,
    EVERY => nothing_disturbs_a_call_in_progress,
    EVERY, first => a_kept_image_is_shared_by_all_processes,
    EVERY, last => images_are_loaded_and_unloaded_while_others_are_called,
    EVERY => callers_can_be_killed_at_any_moment,
    EVERY, long => callers_can_be_killed_for_minutes,
};

fn several_processes_call_their_own_images(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .run("guest several 8 100 none && guest several 4 4 none stop suspend auto")?
        .succeeded()
        .kernel_log_is_clean();
    Ok(())
}

fn calls_wait_for_each_other_in_order(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .append(NO_STALLS)
        .run(
            "# Eight processes, all of one file's image.
            payloads=/lib/kjump/payloads
            for n in 1 2 3 4 5 6 7; do
                (kjump call --repeat 100 $payloads/sum64 1 2 > /tmp/$n 2>&1; echo $n ended with $?) &
            done
            kjump call --quiesce suspend --repeat 5 $payloads/sum64 1 2 > /tmp/8; echo 8 ended with $?
            wait
            # During a long call, another one waits until it gets a signal; --no-wait does not wait.
            # The CPU that runs the image runs nothing else: the shell stays off it.
            taskset -p 1 $$ > /dev/null
            guest latch /tmp/latch & latch=$!
            until [ -e /tmp/latch ]; do :; done
            long='--deadline none --quiesce none'
            taskset 2 kjump call $long $payloads/await64 $(cat /tmp/latch) 900000000000 > /tmp/long &
            long=$!
            while kjump call --no-wait $payloads/sum64 > /tmp/other 2>&1; do :; done
            timeout 1 kjump call $payloads/sum64; echo a signal: $?
            kjump call --no-wait $payloads/sum64; echo without waiting: $?
            kill -0 $long && echo all of it during the call
            rm /tmp/latch
            wait $long; echo the long call ended with $?
            kill $latch
            cat /tmp/other /tmp/long
            kjump load --name a /lib/kjump/payloads/sum64
            kjump load --name b /lib/kjump/payloads/sum64
            kjump call --quiesce none --name b",
        )?
        .exited(1)
        .prints("7 ended with 0")
        .prints("8 ended with 0")
        .never_prints("ended with 1")
        .prints("a signal: 143")
        .prints("a request for another image is under way; try again when that is done")
        .prints("without waiting: 1")
        .prints("all of it during the call")
        .prints("the long call ended with 0")
        .prints("returned 1 (0x1)")
        .prints("b: 1 page (4 KiB), 1 in use, the first at 0x200000 by image a: calls suspend the system")
        .prints("image a has 0x200000, the first of 1 pages in use")
        .kernel_log_is_clean();
    Ok(())
}

fn nothing_disturbs_a_call_in_progress(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .append(NO_STALLS)
        .run("guest spinning")?
        .succeeded()
        .prints("nothing disturbed the call")
        .kernel_log_is_clean();
    Ok(())
}

fn a_kept_image_is_shared_by_all_processes(on: &str) -> Result<()> {
    vm(on).run("guest kept && rmmod kjump")?.succeeded().kernel_log_is_clean();
    Ok(())
}

fn images_are_loaded_and_unloaded_while_others_are_called(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .run(
            "guest loading 5 & loading=$!
            guest calls 200 none && guest calls 3 stop suspend || exit 1
            wait $loading",
        )?
        .succeeded()
        .kernel_log_is_clean();
    Ok(())
}

fn callers_can_be_killed_at_any_moment(on: &str) -> Result<()> {
    vm(on).smp(2).run("guest storm 8 1")?.succeeded().prints("CPUs online: 0-1").kernel_log_is_clean();
    Ok(())
}

fn callers_can_be_killed_for_minutes(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .timeout(std::time::Duration::from_secs(600))
        .run("guest storm 120 2 && guest storm 120 3")?
        .succeeded()
        .prints("CPUs online: 0-1")
        .kernel_log_is_clean();
    Ok(())
}
