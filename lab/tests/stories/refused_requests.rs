//! Requests that are invalid, refused or interrupted do no harm and leave nothing allocated.

use std::time::Duration;

use lab::stage::{kernel_file, vm};
use lab::story::{EVERY, OTHERS, Story, WITH_NEWEST};
use lab::{Result, stories};

pub(crate) const STORIES: &[Story] = stories! {
    EVERY => invalid_requests_are_refused_and_do_no_harm,
    EVERY, long => random_requests_do_no_harm_for_minutes,
    WITH_NEWEST => unloading_frees_every_page_frame,
    OTHERS, long => unloading_frees_every_page_frame,
    EVERY, last => a_load_at_any_amount_of_free_memory_kills_no_process,
    EVERY, first => loading_without_permission_is_refused_with_a_reason,
    EVERY, last => a_kernel_locked_down_at_boot_loads_nothing,
    EVERY => the_module_cannot_be_removed_while_in_use,
};

fn invalid_requests_are_refused_and_do_no_harm(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .run("guest hostile && guest random 5000 1")?
        .succeeded()
        .prints("requests answered as expected")
        .kernel_log_is_clean();
    Ok(())
}

fn random_requests_do_no_harm_for_minutes(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .timeout(Duration::from_secs(900))
        .run("for seed in 2 3 4 5 6; do guest random 50000 $seed || exit 1; done")?
        .succeeded()
        .kernel_log_is_clean();
    Ok(())
}

fn unloading_frees_every_page_frame(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .run("guest rounds 30 100 && guest killed 20 100 && guest too-large 2")?
        .succeeded()
        .prints("30 rounds of 100 MiB")
        .kernel_log_is_clean();
    Ok(())
}

/// Memory is filled until images and a kernel in a window have too little or just enough; each load
/// works or is refused with amounts of memory, by itself and beside others. Without enough memory
/// for the kernel's own work, its log would have an allocation failure.
fn a_load_at_any_amount_of_free_memory_kills_no_process(on: &str) -> Result<()> {
    let job = "
        attempt() {
            text=$(\"$@\" 2>&1); status=$?
            case $status in
                0) echo loaded;;
                1|255)
                    echo $text | grep -qE ' are available|no memory for' && echo refused ||
                        echo wrong: $text;;
                *) echo wrong: status $status: $text;;
            esac
        }
        image() { attempt kjump load --name $1 /lib/kjump/payloads/window64-64; }
        kernel() {
            attempt kexec --load-preserve-context /boot/b --mem-min=0x10000000 --mem-max=0x17ffffff
        }
        for left in 40 60 68 128 200; do
            guest leave $left /tmp/left & holder=$!
            until [ -e /tmp/left ]; do sleep 0.1; done
            echo one at $left: $(image one)
            kjump unload one 2> /dev/null
            echo kernel at $left: $(kernel)
            kexec -u 2> /dev/null
            loads=
            for name in a b c d; do image $name > /tmp/$name & loads=\"$loads $!\"; done
            wait $loads
            echo four at $left: $(cat /tmp/[a-d])
            for name in a b c d; do kjump unload $name 2> /dev/null; done
            rm /tmp/left
            kill $holder || echo wrong: killed
            wait $holder
        done; true";
    vm(on)
        .smp(2)
        .file(kernel_file(on), "/boot/b")
        .run(job)?
        .succeeded()
        .prints("one at 40: refused")
        .prints("one at 128: loaded")
        .prints("kernel at 40: refused")
        .prints("kernel at 68: refused")
        .prints("kernel at 200: loaded")
        .prints("four at 60: refused refused refused refused")
        .never_prints("wrong")
        .kernel_log_is_clean();
    Ok(())
}

/// The module refuses, and before it the device file, which only root can open.
fn loading_without_permission_is_refused_with_a_reason(on: &str) -> Result<()> {
    vm(on)
        .run(
            "[ \"$(stat -c '%a %u %g' /dev/kjump)\" = '600 0 0' ] || exit 1
            mount -t securityfs securityfs /sys/kernel/security || exit 1
            guest without-capability && guest refused-by hidden disabled lockdown || exit 1
            kjump call /lib/kjump/payloads/sum64; echo status $?",
        )?
        .succeeded()
        .prints("refused without CAP_SYS_BOOT")
        .prints("refused: hidden")
        .prints("refused: disabled")
        .prints("refused: lockdown")
        .prints("the kernel is locked down")
        .never_prints("status 0")
        .kernel_log_is_clean();
    Ok(())
}

/// Such a kernel refuses unsigned modules too, so there is no kjump device.
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
        .prints("the kernel is locked down (integrity)")
        .kernel_log_is_clean();
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
        .prints("came and went")
        .kernel_log_is_clean();
    Ok(())
}
