//! Going to another kernel comes to nothing, and the running one stays as it was and says why.

use lab::story::{EVERY, Story};
use lab::{Result, stories};

use crate::switching::{BOOT, beside};

pub(crate) const STORIES: &[Story] = stories! {
    EVERY => a_failed_suspend_names_its_cause,
    &["6.1-full"] => a_suspend_in_test_mode_calls_nothing,
    &["6.1"] => a_kernel_without_a_driver_says_so_and_returns,
    &["6.1"] => a_kernel_that_cannot_be_recorded_is_not_loaded,
};

/// What is still as it was, each time.
const AS_IT_WAS: &str = "
as_it_was() {
    echo 3 > /proc/sys/vm/drop_caches
    [ \"$(md5sum < /dev/vda)\" = \"$first\" ] && ping -c 1 -W 9 10.0.2.2 > /dev/null && [ $(nproc) = 2 ] && return
    echo \"wrong: $*\"; exit 1
}
first=$(md5sum < /dev/vda)
";

fn a_failed_suspend_names_its_cause(on: &str) -> Result<()> {
    let job = format!(
        "{AS_IT_WAS}
        {BOOT} || exit 1
        for step in notifier freeze prepare suspend late noirq cpu core; do
            modprobe kjump_refuse step=$step || exit 1
            [ $step != freeze ] || echo 2000 > /sys/power/pm_freeze_timeout
            said=$(kjump switch b 7 2>&1) && {{ echo wrong: went through $step; exit 1; }}
            echo \"at $step: $said\"
            as_it_was $step
            kjump call --quiesce suspend /lib/kjump/payloads/sum64 > /dev/null 2>&1 && {{ echo wrong: called; exit 1; }}
            rmmod kjump_refuse || exit 1
            echo 20000 > /sys/power/pm_freeze_timeout
            kjump switch b 7 | grep -q 'b returned 0x8 ' || {{ echo wrong: no return after $step; exit 1; }}
            as_it_was after $step
        done
        kjump peers"
    );
    let mut outcome = beside(on, &job)?.succeeded().never_says("wrong").says("resident         9");
    for (step, said) in [
        ("notifier", "b: no task and no device refuses to rest"),
        ("freeze", "b: a task cannot be frozen: the system did not suspend"),
        ("prepare", "b: a device is not ready to rest: the system did not suspend"),
        ("suspend", "b: device kjump_refuse refuses to rest: the system did not suspend"),
        ("late", "b: device kjump_refuse refuses to rest, late: "),
        ("noirq", "b: device kjump_refuse refuses to rest without interrupts: "),
        (
            "cpu",
            "b: no task and no device refuses to rest, but a part of the kernel, or a CPU to go offline: ",
        ),
        ("core", "b: no task and no device refuses to rest"),
    ] {
        outcome = outcome.says(&format!("at {step}: kjump: {said}"));
    }
    Ok(())
}

fn a_suspend_in_test_mode_calls_nothing(on: &str) -> Result<()> {
    let job = format!(
        "{AS_IT_WAS}
        {BOOT} || exit 1
        echo 0 > /sys/module/suspend/parameters/pm_test_delay
        for level in freezer devices platform processors core; do
            echo $level > /sys/power/pm_test
            kjump switch b 7 && {{ echo wrong: went through $level; exit 1; }}
            as_it_was $level
        done
        echo none > /sys/power/pm_test
        kjump switch b 7
        as_it_was at last"
    );
    let mut outcome = beside(on, &job)?.succeeded().never_says("wrong").says("b returned 0x8 after");
    for level in ["freezer", "devices", "platform", "processors", "core"] {
        let said = format!("b: /sys/power/pm_test is `{level}`, so each suspend is only tried that far");
        outcome = outcome.says(&said);
    }
    outcome.kernel_is_content();
    Ok(())
}

/// Without a driver there is no disk, and what B says of it is what A shows.
fn a_kernel_without_a_driver_says_so_and_returns(on: &str) -> Result<()> {
    let job = format!(
        "{AS_IT_WAS}
        kjump initramfs -o /boot/b.cpio --kernel-version $(uname -r) --disk first -- true || exit 1
        {BOOT}
        echo \"status $?\"
        as_it_was
        kjump peers"
    );
    beside(on, &job)?
        .succeeded()
        .never_says("wrong")
        .says("no disk at all within 30 s")
        .says("status 4")
        .says("dead");
    Ok(())
}

/// In `/run/kjump` stands which kernel it is; here something else stands there.
fn a_kernel_that_cannot_be_recorded_is_not_loaded(on: &str) -> Result<()> {
    let job = format!(
        "rm -rf /run/kjump; touch /run/kjump
        {BOOT} && exit 1
        kexec --load-preserve-context /boot/b --mem-min=0x10000000 --mem-max=0x1bffffff \\
            --initrd=/boot/b.cpio && exit 1
        kexec -e && exit 1
        kjump status
        rm /run/kjump
        {BOOT}"
    );
    beside(on, &job)?
        .succeeded()
        .says("kjump: /run/kjump/peer-")
        .says("kexec: --mem-min=0x10000000 --mem-max=0x1bffffff (192 MiB): /run/kjump/peer-")
        .says("b returned 0xb000 after")
        .kernel_is_content();
    Ok(())
}
