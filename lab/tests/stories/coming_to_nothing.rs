//! Requests that are wrong, refused, or ended halfway do no harm and leave nothing behind.

use std::time::Duration;

use lab::Result;
use lab::story::{EVERY, Story, vm};

pub(crate) const STORIES: &[Story] = &[
    Story::new("wrong_requests_are_refused_and_do_no_harm", EVERY, wrong_requests_are_refused),
    Story::new("random_requests_do_no_harm_for_minutes", EVERY, random_requests_do_no_harm).long(),
    Story::new("what_was_loaded_is_given_back_to_the_frame", EVERY, what_was_loaded_is_given_back),
    Story::new("who_may_not_load_is_refused_and_told_why", EVERY, who_may_not_load_is_refused),
    Story::new(
        "a_locked_down_kernel_loads_nothing_from_its_start",
        EVERY,
        a_locked_down_kernel_loads_nothing,
    ),
    Story::new("the_module_stays_while_it_is_in_use", EVERY, the_module_stays_while_it_is_in_use),
];

fn wrong_requests_are_refused(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .run("guest hostile && guest random 5000 1")?
        .succeeded()
        .says("requests, as they should be")
        .kernel_is_content();
    Ok(())
}

fn random_requests_do_no_harm(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .timeout(Duration::from_secs(900))
        .run("for seed in 2 3 4 5 6; do guest random 50000 $seed || exit 1; done")?
        .succeeded()
        .kernel_is_content();
    Ok(())
}

fn what_was_loaded_is_given_back(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .run("guest rounds 30 100 && guest killed 20 100 && guest too-large 2")?
        .succeeded()
        .says("30 rounds of 100 MiB")
        .kernel_is_content();
    Ok(())
}

/// Beside the module, the device is nobody else's than root's.
fn who_may_not_load_is_refused(on: &str) -> Result<()> {
    vm(on)
        .run(
            "[ \"$(stat -c '%a %u %g' /dev/kjump)\" = '600 0 0' ] || exit 1
            mount -t securityfs securityfs /sys/kernel/security || exit 1
            guest without-capability && guest refused-by hidden disabled lockdown || exit 1
            kjump call /lib/kjump/payloads/sum64; echo status $?",
        )?
        .succeeded()
        .says("refused without CAP_SYS_BOOT")
        .says("refused: hidden")
        .says("refused: disabled")
        .says("refused: lockdown")
        .says("the kernel is locked down")
        .never_says("status 0")
        .kernel_is_content();
    Ok(())
}

/// Nor does it take a module that nobody signed: kjump is not even there.
fn a_locked_down_kernel_loads_nothing(on: &str) -> Result<()> {
    vm(on)
        .append("lockdown=integrity")
        .run(
            "mount -t securityfs securityfs /sys/kernel/security || exit 9
            [ ! -e /dev/kjump ] || exit 9
            kjump call /lib/kjump/payloads/sum64 && exit 9
            kjump check",
        )?
        .exited(1)
        .says("the kernel is locked down (integrity)")
        .kernel_is_content();
    Ok(())
}

fn the_module_stays_while_it_is_in_use(on: &str) -> Result<()> {
    vm(on)
        .run(
            "(exec 3< /dev/kjump; ! rmmod kjump) || exit 1
            kexec --load-preserve-context --args-none /lib/kjump/payloads/phy_mode && ! rmmod kjump || exit 1
            kexec -e && kexec -u && rmmod kjump && [ ! -e /dev/kjump ] || exit 1
            modprobe kjump && guest calls 20 none && rmmod kjump && echo came and went",
        )?
        .succeeded()
        .says("came and went")
        .kernel_is_content();
    Ok(())
}
