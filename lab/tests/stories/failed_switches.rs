//! Going to another kernel fails; the running kernel reports why and keeps working.

use lab::story::{OTHERS, Story, WITH_NEWEST};
use lab::{Result, stories};

use crate::switching::with_second_kernel;

pub(crate) const STORIES: &[Story] = stories! {
    WITH_NEWEST => a_failed_suspend_names_its_cause,
    OTHERS, long => a_failed_suspend_names_its_cause,
    &["6.1-full"] => a_suspend_in_test_mode_calls_nothing,
    &["6.1"] => a_kernel_without_a_driver_says_so_and_returns,
    &["6.1"] => a_kernel_that_cannot_be_recorded_is_not_loaded,
};

fn a_failed_suspend_names_its_cause(on: &str) -> Result<()> {
    let job = "
        boot || exit 1
        for step in notifier freeze prepare suspend late noirq cpu core; do
            modprobe kjump_refuse step=$step || exit 1
            [ $step != freeze ] || echo 2000 > /sys/power/pm_freeze_timeout
            error=$(kjump switch b 7 2>&1) && { echo wrong: went through $step; exit 1; }
            echo \"at $step: $error\"
            works $step
            kjump call --quiesce suspend /lib/kjump/payloads/sum64 > /dev/null 2>&1 &&
                { echo wrong: called; exit 1; }
            rmmod kjump_refuse || exit 1
            echo 20000 > /sys/power/pm_freeze_timeout
            kjump switch b 7 | grep -q 'b returned 0x8 ' || { echo wrong: no return after $step; exit 1; }
            works \"$step and a return\"
        done
        kjump peers";
    let mut outcome =
        with_second_kernel(on, job)?.succeeded().never_prints("wrong").prints("resident         9");
    for (step, error) in [
        ("notifier", "b: neither a task nor a device failed to suspend"),
        ("freeze", "b: a task cannot be frozen: the system did not suspend"),
        ("prepare", "b: a device is not ready to suspend: the system did not suspend"),
        ("suspend", "b: device kjump_refuse failed to suspend: the system did not suspend"),
        ("late", "b: device kjump_refuse failed to suspend in the late phase: "),
        ("noirq", "b: device kjump_refuse failed to suspend in the noirq phase: "),
        (
            "cpu",
            "b: neither a task nor a device failed to suspend: another part of the kernel did, or a CPU \
             did not go offline: ",
        ),
        ("core", "b: neither a task nor a device failed to suspend"),
    ] {
        outcome = outcome.prints(&format!("at {step}: kjump: {error}"));
    }
    Ok(())
}

fn a_suspend_in_test_mode_calls_nothing(on: &str) -> Result<()> {
    let job = "
        boot || exit 1
        echo 0 > /sys/module/suspend/parameters/pm_test_delay
        for level in freezer devices platform processors core; do
            echo $level > /sys/power/pm_test
            kjump switch b 7 && { echo wrong: went through $level; exit 1; }
            works $level
        done
        echo none > /sys/power/pm_test
        kjump switch b 7
        works 'test mode'";
    let mut outcome =
        with_second_kernel(on, job)?.succeeded().never_prints("wrong").prints("b returned 0x8 after");
    for level in ["freezer", "devices", "platform", "processors", "core"] {
        let error = format!("b: /sys/power/pm_test is `{level}`, so each suspend stops at that level");
        outcome = outcome.prints(&error);
    }
    outcome.kernel_log_is_clean();
    Ok(())
}

/// Without a driver B finds no disk, and A prints the message of B about it.
fn a_kernel_without_a_driver_says_so_and_returns(on: &str) -> Result<()> {
    let job = "
        kjump initramfs -o /boot/b.cpio --kernel-version $(uname -r) --disk first -- true || exit 1
        boot
        echo \"status $?\"
        works status
        kjump peers";
    with_second_kernel(on, job)?
        .succeeded()
        .never_prints("wrong")
        .prints("no disk at all within 30 s")
        .prints("status 4")
        .prints("dead");
    Ok(())
}

/// Resident kernels are recorded in the directory `/run/kjump`; here a file has its name.
fn a_kernel_that_cannot_be_recorded_is_not_loaded(on: &str) -> Result<()> {
    let job = "rm -rf /run/kjump; touch /run/kjump
        boot && exit 1
        kexec --load-preserve-context /boot/b --mem-min=0x10000000 --mem-max=0x1bffffff \\
            --initrd=/boot/b.cpio && exit 1
        kexec -e && exit 1
        kjump status
        rm /run/kjump
        boot";
    with_second_kernel(on, job)?
        .succeeded()
        .prints("kjump: /run/kjump/peer-")
        .prints("kexec: --mem-min=0x10000000 --mem-max=0x1bffffff (192 MiB): /run/kjump/peer-")
        .prints("b returned 0xb000 after")
        .kernel_log_is_clean();
    Ok(())
}
