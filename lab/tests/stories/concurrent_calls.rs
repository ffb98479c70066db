//! Several images, processes and calls at once, with suspends in between.

use lab::stage::vm;
use lab::story::{EVERY, Story};
use lab::{Result, stories};

pub(crate) const STORIES: &[Story] = stories! {
    EVERY => several_processes_call_their_own_images,
    EVERY => nothing_disturbs_a_call_in_progress,
    EVERY => a_kept_image_is_shared_by_all_processes,
    EVERY => images_are_loaded_and_unloaded_while_others_are_called,
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

fn nothing_disturbs_a_call_in_progress(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
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
