//! Machines that differ in CPU, levels of page tables, page table isolation and memory.

use lab::stage::vm;
use lab::story::{EVERY, Story};
use lab::{Result, Vm, stories};

use crate::switching::with_second_kernel_on;

pub(crate) const STORIES: &[Story] = stories! {
    EVERY, first => calls_work_with_four_levels_of_page_tables,
    EVERY, last => calls_work_with_five_levels_of_page_tables,
    EVERY, first => calls_work_on_an_old_cpu,
    &["6.12"] => a_qemu64_cpu_calls_and_switches,
    &["6.1"] => a_haswell_calls_and_switches,
    &["6.12"] => a_skylake_server_calls_and_switches,
    &["6.1"] => a_skylake_server_with_la57_calls_and_switches,
    EVERY, last => an_epyc_calls_and_switches,
    EVERY, first => calls_work_with_page_table_isolation,
    EVERY, last => images_above_4_gib_are_called,
    EVERY, first => an_image_over_400_mib_of_used_memory_is_called,
};

/// Every level, both modes, exceptions, and an image where the kernel runs.
fn everything_works(vm: Vm, machine: &str) -> Result<()> {
    vm.smp(2)
        .run(
            "set -e
            guest machine
            guest calls 50 none auto
            guest calls 3 stop suspend
            guest faults none suspend
            guest buffers none suspend
            guest in-use",
        )?
        .succeeded()
        .prints(machine)
        .kernel_log_is_clean();
    Ok(())
}

fn calls_work_with_four_levels_of_page_tables(on: &str) -> Result<()> {
    everything_works(vm(on).cpu("max,la57=off"), "4 levels of page tables, pages of 1 GiB")
}

fn calls_work_with_five_levels_of_page_tables(on: &str) -> Result<()> {
    everything_works(vm(on).cpu("max,la57=on"), "5 levels of page tables, pages of 1 GiB")
}

fn calls_work_on_an_old_cpu(on: &str) -> Result<()> {
    everything_works(vm(on).cpu("qemu64"), "4 levels of page tables, no pages of 1 GiB")
}

/// On this model of a CPU, calls leave its state as it was, and a second kernel boots and takes
/// turns.
fn a_cpu_calls_and_switches(on: &str, model: &str, machine: &str) -> Result<()> {
    let job = "set -e
        guest machine
        guest calls 20 none auto
        guest dirty 20 none
        guest dirty 2 stop suspend
        guest faults none
        guest buffers none
        boot
        for value in 1 2; do kjump switch b $value; done
        kjump drop b
        fine turns";
    with_second_kernel_on(vm(on).cpu(model).driver("msr"), on, job)?
        .succeeded()
        .prints(machine)
        .prints("b returned 0x2 after")
        .prints("b returned 0x3 after")
        .prints("fine after turns")
        .never_prints("wrong")
        .kernel_log_is_clean();
    Ok(())
}

/// No AVX, XSAVE, PCID or large pages of 1 GiB.
fn a_qemu64_cpu_calls_and_switches(on: &str) -> Result<()> {
    a_cpu_calls_and_switches(on, "qemu64", "4 levels of page tables, no pages of 1 GiB")
}

fn a_haswell_calls_and_switches(on: &str) -> Result<()> {
    a_cpu_calls_and_switches(on, "Haswell", "4 levels of page tables")
}

fn a_skylake_server_calls_and_switches(on: &str) -> Result<()> {
    a_cpu_calls_and_switches(on, "Skylake-Server", "4 levels of page tables, pages of 1 GiB")
}

fn a_skylake_server_with_la57_calls_and_switches(on: &str) -> Result<()> {
    a_cpu_calls_and_switches(on, "Skylake-Server,la57=on", "5 levels of page tables, pages of 1 GiB")
}

fn an_epyc_calls_and_switches(on: &str) -> Result<()> {
    a_cpu_calls_and_switches(on, "EPYC", "4 levels of page tables, pages of 1 GiB")
}

fn calls_work_with_page_table_isolation(on: &str) -> Result<()> {
    everything_works(vm(on).cpu("Nehalem").append("pti=on"), "no pages of 1 GiB, isolated")
}

/// Of 4.5 GiB, the PC's 3 lie below 4 GiB.
fn images_above_4_gib_are_called(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .mem(4608)
        .run("guest above 0x120000000 none stop suspend")?
        .succeeded()
        .prints("called at 0x120000000")
        .kernel_log_is_clean();
    Ok(())
}

fn an_image_over_400_mib_of_used_memory_is_called(on: &str) -> Result<()> {
    vm(on).smp(2).mem(1024).run("guest asleep 2 window64-400 200")?.succeeded().kernel_log_is_clean();
    Ok(())
}
