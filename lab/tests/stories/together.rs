//! Several images, several processes, several calls at once, and sleep in between.

use lab::Result;
use lab::story::{EVERY, Story, vm};

pub(crate) const STORIES: &[Story] = &[
    Story::new(
        "several_processes_call_images_of_their_own",
        EVERY,
        several_processes_call_images_of_their_own,
    ),
    Story::new("nothing_gets_in_the_way_of_a_call", EVERY, nothing_gets_in_the_way_of_a_call),
    Story::new("a_kept_image_is_the_same_for_everybody", EVERY, a_kept_image_is_the_same_for_everybody),
    Story::new(
        "images_come_and_go_while_others_are_called",
        EVERY,
        images_come_and_go_while_others_are_called,
    ),
    Story::new("callers_may_be_killed_at_any_moment", EVERY, callers_may_be_killed_at_any_moment),
    Story::new("callers_may_be_killed_for_minutes", EVERY, callers_may_be_killed_for_minutes).long(),
];

fn several_processes_call_images_of_their_own(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .run("guest several 8 100 none && guest several 4 4 none stop suspend auto")?
        .succeeded()
        .kernel_is_content();
    Ok(())
}

fn nothing_gets_in_the_way_of_a_call(on: &str) -> Result<()> {
    vm(on).smp(2).run("guest spinning")?.succeeded().says("nothing got in the way").kernel_is_content();
    Ok(())
}

fn a_kept_image_is_the_same_for_everybody(on: &str) -> Result<()> {
    vm(on).run("guest kept && rmmod kjump")?.succeeded().kernel_is_content();
    Ok(())
}

fn images_come_and_go_while_others_are_called(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .run(
            "guest loading 5 & loading=$!
            guest calls 200 none && guest calls 3 stop suspend || exit 1
            wait $loading",
        )?
        .succeeded()
        .kernel_is_content();
    Ok(())
}

fn callers_may_be_killed_at_any_moment(on: &str) -> Result<()> {
    vm(on).smp(2).run("guest storm 8 1")?.succeeded().says("CPUs online: 0-1").kernel_is_content();
    Ok(())
}

fn callers_may_be_killed_for_minutes(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .timeout(std::time::Duration::from_secs(600))
        .run("guest storm 120 2 && guest storm 120 3")?
        .succeeded()
        .says("CPUs online: 0-1")
        .kernel_is_content();
    Ok(())
}
