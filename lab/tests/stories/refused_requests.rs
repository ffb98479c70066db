//! Requests that are wrong, refused, or ended halfway do no harm and leave nothing behind.

use std::time::Duration;

use lab::stage::vm;
use lab::story::{EVERY, Story};
use lab::{Result, stories};

pub(crate) const STORIES: &[Story] = stories! {
    EVERY => invalid_requests_are_refused_and_do_no_harm,
    EVERY, long => random_requests_do_no_harm_for_minutes,
    EVERY => unloading_frees_every_page_frame,
    EVERY => loading_without_permission_is_refused_with_a_reason,
    EVERY => a_kernel_locked_down_at_boot_loads_nothing,
    EVERY => the_module_cannot_be_removed_while_in_use,
};

fn invalid_requests_are_refused_and_do_no_harm(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .run("guest hostile && guest random 5000 1")?
        .succeeded()
        .says("requests, as they should be")
        .kernel_is_content();
    Ok(())
}

fn random_requests_do_no_harm_for_minutes(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .timeout(Duration::from_secs(900))
        .run("for seed in 2 3 4 5 6; do guest random 50000 $seed || exit 1; done")?
        .succeeded()
        .kernel_is_content();
    Ok(())
}

fn unloading_frees_every_page_frame(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .run("guest rounds 30 100 && guest killed 20 100 && guest too-large 2")?
        .succeeded()
        .says("30 rounds of 100 MiB")
        .kernel_is_content();
    Ok(())
}

/// Beside the module, the device is nobody else's than root's.
fn loading_without_permission_is_refused_with_a_reason(on: &str) -> Result<()> {
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
fn a_kernel_locked_down_at_boot_loads_nothing(on: &str) -> Result<()> {
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

fn the_module_cannot_be_removed_while_in_use(on: &str) -> Result<()> {
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
