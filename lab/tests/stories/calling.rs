//! Calls return right results in every mode and at every level, and leave the machine as it was.

use lab::stage::vm;
use lab::story::{OTHERS, Story, WITH_NEWEST};
use lab::{Result, stories};

pub(crate) const STORIES: &[Story] = stories! {
    &["6.1", "newest-backport"] => results_state_and_buffers_are_right_at_every_level,
    OTHERS, long => results_state_and_buffers_are_right_at_every_level,
    &["6.1"] => reserved_memory_is_called_in_place,
    &["6.1", "newest-backport"] => exceptions_are_reported_with_address_and_registers,
    OTHERS, long => exceptions_are_reported_with_address_and_registers,
    &["6.1"] => images_that_clobber_registers_leave_the_cpu_as_it_was,
    WITH_NEWEST => interrupts_during_a_call_reach_the_kernel,
    OTHERS, long => interrupts_during_a_call_reach_the_kernel,
    &["6.1", "6.12"] => nmis_arrive_at_any_instruction_of_a_call,
    &["6.1", "newest-backport"] => a_module_calls_an_image_like_a_function,
    OTHERS, long => a_module_calls_an_image_like_a_function,
};

fn results_state_and_buffers_are_right_at_every_level(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .run(
            "set -e
            guest calls 500 none auto
            guest calls 20 stop suspend none
            guest buffers none stop suspend
            guest wandering none stop suspend
            guest in-use
            kjump call --repeat 3 /lib/kjump/payloads/sum64 1 2 3 4 5 6 | grep -w 3091",
        )?
        .succeeded()
        .kernel_log_is_clean();
    Ok(())
}

fn reserved_memory_is_called_in_place(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .append("memmap=64M$0x10000000")
        .run("guest vouched 0x10000000 0x14000000 none stop auto suspend")?
        .succeeded()
        .kernel_log_is_clean();
    Ok(())
}

fn exceptions_are_reported_with_address_and_registers(on: &str) -> Result<()> {
    vm(on).smp(2).run("guest faults none stop auto suspend")?.succeeded().kernel_log_is_clean();
    Ok(())
}

fn images_that_clobber_registers_leave_the_cpu_as_it_was(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .driver("msr")
        .run(
            "guest dirty 100 none && guest dirty 5 stop suspend || exit 1
            trap 'echo a signal came' USR1
            kill -USR1 $$
            guest crash
            [ $? = 139 ] && echo an exception became a signal
            timeout 1 sleep 10
            [ $? = 143 ] && echo a timer ran out
            [ $(nproc) = 2 ]",
        )?
        .succeeded()
        .prints("a signal came")
        .prints("an exception became a signal")
        .prints("a timer ran out")
        .kernel_log_is_clean();
    Ok(())
}

fn interrupts_during_a_call_reach_the_kernel(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .run(
            "# listen IMAGE MANNER: afterwards timers fire on both CPUs. If an interrupt is expected,
            # it may take long on a busy host.
            listen() {
                ticks=4000000000; [ $2 != 0 ] || ticks=200000000
                taskset $mask kjump call --quiesce $level /lib/kjump/payloads/$1 $ticks $2 > /tmp/out 2>&1
                echo \"$1 $2 at $level on $mask: $? $(head -n 1 /tmp/out)\"
                for each in 1 2; do
                    timeout 20 taskset $each sleep 0.1 || { echo \"CPU $each is stuck\"; exit 1; }
                done
            }
            for level in none stop; do
                for mask in 1 2; do
                    for image in listen64 listen32; do
                        for manner in 0 1 2; do listen $image $manner; done
                    done
                    listen listen32 3
                done
            done | tee /tmp/calls
            # At priority 15 nothing is delivered. Without gates, the timer ends the image, or an
            # interrupt from the other CPU (real-time kernels send many).
            [ $(grep -c ' 0 at .*: 0 returned 0 ' /tmp/calls) = 8 ] &&
                [ $(grep -c ' 1 at .*: 3 interrupt 2[345][0-9] at ' /tmp/calls) = 8 ] &&
                [ $(grep -c ' [23] at .*: 0 returned [1-9]' /tmp/calls) = 12 ]",
        )?
        .succeeded()
        .kernel_log_is_clean();
    Ok(())
}

fn nmis_arrive_at_any_instruction_of_a_call(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .run(
            "set -e
            modprobe kjump_nmi
            taskset 1 guest calls 3000 none
            rmmod kjump_nmi
            sent=$(dmesg | sed -n 's/.*kjump_nmi: \\([0-9]*\\) NMIs sent.*/\\1/p')
            [ $sent -gt 100 ]",
        )?
        .succeeded()
        .kernel_log_is_clean();
    Ok(())
}

fn a_module_calls_an_image_like_a_function(on: &str) -> Result<()> {
    vm(on)
        .run("modprobe kjump_sample && ! rmmod kjump && rmmod kjump_sample && rmmod kjump")?
        .succeeded()
        .kernel_logs("1000 + 2 * 7 = 1014")
        .kernel_logs("2000 + 2 * 7 = 2014")
        .kernel_logs("the code counted 2 calls")
        .kernel_log_is_clean();
    Ok(())
}
