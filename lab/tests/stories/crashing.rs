//! A kernel crashes, and the crash kernel takes over.

use lab::stage::vm;
use lab::story::{EVERY, Story};
use lab::{Error, Job, Result, Vm, stories};

pub(crate) const STORIES: &[Story] = stories! {
    EVERY => a_crash_starts_the_crash_kernel,
    EVERY, long => a_crash_kernel_loaded_by_kexec_file_load_starts,
    &["6.12"] => excluded_pages_match_the_counts_of_the_kernel,
    &["5.10", "6.1", "newest", "newest-backport"], long => excluded_pages_match_the_counts_of_other_kernels,
    &["6.12"] => a_crash_kernel_starts_after_a_cpu_went_offline,
    &["6.1"] => a_damaged_crash_kernel_is_not_entered,
    EVERY, first => purgatory_enters_the_image_or_returns,
    &["6.1"] => a_crash_kernel_is_unloaded,
};

/// The first kernel logs this line before it crashes; the crash kernel finds it in memory.
const MARK: &str = "the first kernel logged";

fn crashing(on: &str) -> Vm {
    vm(on).smp(2).mem(640).append("crashkernel=192M nokaslr")
}

/// Loads a crash kernel, logs a line and crashes; the crash kernel finds the line.
fn crash(on: &str, load: &str) -> Result<()> {
    crash_after(on, load, "true")
}

/// The same, with commands between loading and crashing.
fn crash_after(on: &str, load: &str, then: &str) -> Result<()> {
    let find = format!(
        "set -e
        kjump dump info /proc/vmcore
        id=$(sed 's/.*id=\\([^ ]*\\).*/\\1/' /proc/cmdline)
        head -c 100m /proc/vmcore | tr '\\0' '\\n' | grep -q \"{MARK} $id\"
        echo found the line
        nproc"
    );
    let job = format!(
        "set -e
        id=$(cat /proc/sys/kernel/random/uuid)
        {load} /boot/next --initrd=/boot/next.cpio \\
            --command-line=\"console=ttyS0 panic=-1 nr_cpus=1 reset_devices no_timer_check id=$id\"
        [ $(cat /sys/kernel/kexec_crash_loaded) = 1 ]
        {then}
        echo \"{MARK} $id\" > /dev/kmsg
        echo c > /proc/sysrq-trigger"
    );
    let outcome = crashing(on).successor(Job::shell(find)).run(&job)?.succeeded();
    outcome.prints("found the line").prints("CPUs").kernel_logs("sysrq triggered crash");
    Ok(())
}

fn a_crash_starts_the_crash_kernel(on: &str) -> Result<()> {
    crash(on, "kexec -c -p --console-serial")
}

fn a_crash_kernel_loaded_by_kexec_file_load_starts(on: &str) -> Result<()> {
    crash(on, "kexec -s -p")
}

/// The running kernel updates the list of CPUs: within the room that it asked for, which the digest
/// leaves out.
fn a_crash_kernel_starts_after_a_cpu_went_offline(on: &str) -> Result<()> {
    crash_after(
        on,
        "kexec -c -p --hotplug --console-serial",
        "[ $(cat /sys/devices/system/cpu/crash_hotplug) = 1 ]
        echo 0 > /sys/devices/system/cpu/cpu1/online",
    )
}

fn excluded_pages_match_the_counts_of_other_kernels(on: &str) -> Result<()> {
    excluded_pages_match_the_counts_of_the_kernel(on)
}

/// The kernel's own counts, logged before it crashes, match the pages that are excluded by its page
/// structures.
fn excluded_pages_match_the_counts_of_the_kernel(on: &str) -> Result<()> {
    let job = format!(
        "set -e
        head -c 40000000 /dev/urandom > /tmp/file
        (head -c 60000000 /dev/urandom | tail -c 60000000 | sleep 999) &
        sleep 5
        kexec -p /boot/next --initrd=/boot/next.cpio \
            --command-line='console=ttyS0 panic=-1 nr_cpus=1 reset_devices no_timer_check'
        rm /tmp/file
        head -c 30000000 /dev/urandom > /tmp/other
        sum() {{
            awk -v names=\" $1 \" '{{ sub(\":\", \"\", $1); if (index(names, \" \" $1 \" \")) sum += $2 }}
                END {{ print sum / 4 }}' /proc/meminfo
        }}
        echo \"{MARK} free $(sum MemFree) cache $(sum 'Cached Buffers') user $(sum AnonPages)\" > /dev/kmsg
        echo c > /proc/sysrq-trigger"
    );
    let compare = format!(
        "set -e
        kjump dump save -d 31 --json /proc/vmcore /tmp/dump > /tmp/report
        kjump dump verify /tmp/dump
        number() {{
            awk -F: -v key=\"\\\"$1\\\"\" '$1 ~ key {{ found = $2 }} END {{ print found + 0 }}' /tmp/report
        }}
        near() {{
            echo \"$1: $2 by the kernel, $3 excluded\"
            [ $(($2 - $3)) -lt 2000 ] && [ $(($3 - $2)) -lt 2000 ]
        }}
        set -- $(kjump dump dmesg /proc/vmcore | sed -n 's/.*{MARK} //p')
        near $1 $2 $(number free)
        near $3 $4 $(($(number cache) + $(number 'private cache')))
        near $5 $6 $(number user)
        [ $(number unknown_pages) = 0 ]
        echo they agree"
    );
    // Most other stories have five levels of page tables.
    let four_levels = on == "6.12";
    let vm = if four_levels { crashing(on).cpu("max,la57=off") } else { crashing(on) };
    vm.successor(Job::shell(compare)).run(&job)?.succeeded().prints("they agree");
    Ok(())
}

/// One bit of the loaded kernel is inverted in reserved memory.
fn a_damaged_crash_kernel_is_not_entered(on: &str) -> Result<()> {
    let job = "set -e
        kexec -c -p --console-serial --purgatory-panic=1 /boot/next --initrd=/boot/next.cpio --command-line=x
        start=$(sed -n 's/ *\\([0-9a-f]*\\)-.*Crash kernel/\\1/p' /proc/iomem)
        kjump call /lib/kjump/payloads/flip64 $((0x$start + 0x500003)) 4
        echo c > /proc/sysrq-trigger";
    let ended = crashing(on).successor(Job::shell("true")).run(job);
    match ended {
        Err(Error::GuestEnded { log, .. }) => {
            for text in ["purgatory: what was loaded is damaged: its digest was", "purgatory: reset in 1 s"] {
                assert!(log.contains(text), "{text:?} was not logged: {log}");
            }
            Ok(())
        }
        other => panic!("the machine was not reset: {other:?}"),
    }
}

fn purgatory_enters_the_image_or_returns(on: &str) -> Result<()> {
    vm(on)
        .run("guest between 20")?
        .succeeded()
        .prints("20 calls gave 0x5eed")
        .prints("20 calls gave 0x64616d6167656421")
        .kernel_log_is_clean();
    Ok(())
}

fn a_crash_kernel_is_unloaded(on: &str) -> Result<()> {
    let job = "set -e
        loaded() { cat /sys/kernel/kexec_crash_loaded; }
        kexec -c -p /boot/next --command-line=x; loaded
        kexec -S && exit 1
        kexec -p -u; loaded
        kexec -S
        kexec --print-ckr-size
        kexec -c -p /boot/next --hotplug --command-line=x && exit 1
        true";
    crashing(on)
        .file(lab::stage::kernel_file(on), "/boot/next")
        .run(job)?
        .succeeded()
        .prints("1\n0\n201326592\n")
        .prints("--hotplug needs a kernel of 6.6 or newer")
        .kernel_log_is_clean();
    Ok(())
}
