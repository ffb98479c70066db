//! Machines that differ: in levels of page tables, in how the kernel is kept apart from programs, in memory.

use lab::story::{EVERY, Story, vm};
use lab::{Result, Vm};

pub(crate) const STORIES: &[Story] = &[
    Story::new("four_levels_of_page_tables_do", EVERY, four_levels_of_page_tables_do),
    Story::new("five_levels_of_page_tables_do", EVERY, five_levels_of_page_tables_do),
    Story::new("an_old_processor_does", EVERY, an_old_processor_does),
    Story::new("page_table_isolation_does", EVERY, page_table_isolation_does),
    Story::new("memory_above_4_gib_can_be_called", EVERY, memory_above_4_gib_can_be_called),
    Story::new("400_mib_of_used_memory_are_exchanged", EVERY, used_memory_is_exchanged),
];

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
        .says(machine)
        .kernel_is_content();
    Ok(())
}

fn four_levels_of_page_tables_do(on: &str) -> Result<()> {
    everything_works(vm(on).cpu("max,la57=off"), "4 levels of page tables, pages of 1 GiB")
}

fn five_levels_of_page_tables_do(on: &str) -> Result<()> {
    everything_works(vm(on).cpu("max,la57=on"), "5 levels of page tables, pages of 1 GiB")
}

fn an_old_processor_does(on: &str) -> Result<()> {
    everything_works(vm(on).cpu("qemu64"), "4 levels of page tables, no pages of 1 GiB")
}

fn page_table_isolation_does(on: &str) -> Result<()> {
    everything_works(vm(on).cpu("Nehalem").append("pti=on"), "no pages of 1 GiB, isolated")
}

/// Of 4.5 GiB, the PC's 3 lie below 4 GiB.
fn memory_above_4_gib_can_be_called(on: &str) -> Result<()> {
    vm(on)
        .smp(2)
        .mem(4608)
        .run("guest above 0x120000000 none stop suspend")?
        .succeeded()
        .says("called at 0x120000000")
        .kernel_is_content();
    Ok(())
}

fn used_memory_is_exchanged(on: &str) -> Result<()> {
    vm(on).smp(2).mem(1024).run("guest asleep 2 window64-400 200")?.succeeded().kernel_is_content();
    Ok(())
}
