//! A virtual machine computes in each kernel, through calls at every level and switches.

use std::time::Duration;

use lab::stage::{release_of_last, vm};
use lab::story::Story;
use lab::{Machine, Result, Scratch, stories};

pub(crate) const STORIES: &[Story] = stories! {
    &["6.1-full", "6.12-full"], long => a_virtual_machine_runs_through_calls,
    &["6.1-full+6.12-full"], long => virtual_machines_run_in_kernels_that_take_turns,
    &["6.1-full"], long => bochs_calls_images_while_vmx_is_on,
};

/// Starts the virtual machine, and defines `computes EVENT`: it has completed more rounds, without
/// a mistake.
const VIRTUAL_MACHINE: &str = "
guest virtual-machine /tmp/end > /tmp/rounds 2>&1 &
machine=$!
computes() {
    goal=$(($(wc -l < /tmp/rounds) + 2))
    until [ $(wc -l < /tmp/rounds) -ge $goal ]; do
        kill -0 $machine 2> /dev/null || {
            echo \"wrong: virtual machine after $1\"; cat /tmp/rounds; return 1
        }
        sleep 0.1
    done
}
";

fn a_virtual_machine_runs_through_calls(on: &str) -> Result<()> {
    let job = format!(
        "set -e
        {VIRTUAL_MACHINE}
        computes its start
        for level in none stop suspend; do
            for image in sum64 sum32; do
                kjump call --quiesce $level --repeat 10 /lib/kjump/payloads/$image 1 2 3 4 5 6
                computes \"$image at $level\"
            done
        done
        guest calls 20 none auto; computes calls
        guest faults none suspend; computes faults
        kjump bios 0x1a && echo wrong: a BIOS call at none
        kjump bios 0x1a --quiesce suspend; computes 'a BIOS call'
        touch /tmp/end; wait $machine; tail -1 /tmp/rounds"
    );
    vm(on)
        .smp(2)
        .driver("kvm_amd")
        .run(&job)?
        .succeeded()
        .prints("end them and unload kvm_intel or kvm_amd")
        .prints("rounds of the virtual machine were right")
        .never_prints("wrong")
        .kernel_log_is_clean();
    Ok(())
}

fn virtual_machines_run_in_kernels_that_take_turns(on: &str) -> Result<()> {
    let there = format!(
        "{VIRTUAL_MACHINE}
        turn=0
        while computes there; do
            turn=$((turn + 1))
            kjump return $turn || exit 1
        done
        echo '<1>wrong: the virtual machine of the second kernel' > /dev/kmsg
        cat /tmp/rounds > /dev/kmsg
        kjump return 0xbad"
    );
    let there = Scratch::new("there.sh", there.as_bytes())?;
    let job = format!(
        "set -e
        {VIRTUAL_MACHINE}
        kjump initramfs -o /tmp/b.cpio --kernel-version {release} --driver kvm_amd \\
            --add /there.sh:/there.sh --add /usr/bin/guest:/bin/guest -- sh /there.sh
        kjump boot --kernel /boot/vmlinuz-{release} --initrd /tmp/b.cpio --memory 256M \\
            --append 'console=ttyS0 loglevel=5 no_timer_check'
        for turn in $(seq 2 12); do
            computes \"turn $turn\"
            kjump switch b | grep \"b returned $(printf %#x $turn) after\"
        done
        computes 'the last turn'
        kjump drop b
        touch /tmp/end; wait $machine; tail -1 /tmp/rounds",
        release = release_of_last(on),
    );
    vm(on)
        .smp(2)
        .mem(1024)
        .driver("kvm_amd")
        .timeout(Duration::from_secs(900))
        .file(&there, "/there.sh")
        .run(&job)?
        .succeeded()
        .prints("b returned 0xc after")
        .prints("rounds of the virtual machine were right")
        .never_prints("wrong")
        .kernel_log_is_clean();
    Ok(())
}

/// A CPU with VMX on cannot leave 64-bit mode. KVM turns it off for a suspend.
fn bochs_calls_images_while_vmx_is_on(on: &str) -> Result<()> {
    let job = format!(
        "set -e
        {VIRTUAL_MACHINE}
        computes its start
        for level in none stop suspend; do
            kjump call --quiesce $level --repeat 10 /lib/kjump/payloads/sum64 1 2 3 4 5 6
            computes \"sum64 at $level\"
        done
        for level in none stop; do
            if kjump call --quiesce $level /lib/kjump/payloads/sum32 1 2 3 4 5 6; then
                echo wrong: sum32 at $level
            fi
            computes \"the refusal at $level\"
        done
        kjump call --quiesce suspend --repeat 10 /lib/kjump/payloads/sum32 1 2 3 4 5 6
        computes 'sum32 at suspend'
        kjump bios 0x1a && echo wrong: a BIOS call at none
        kjump bios 0x1a --quiesce suspend
        computes 'a BIOS call'
        touch /tmp/end; wait $machine; tail -1 /tmp/rounds"
    );
    vm(on)
        .machine(Machine::Bochs)
        .driver("kvm_intel")
        .timeout(Duration::from_secs(1800))
        .run(&job)?
        .succeeded()
        .prints("unload kvm_intel")
        .prints("rounds of the virtual machine were right")
        .never_prints("wrong")
        .kernel_log_is_clean();
    Ok(())
}
