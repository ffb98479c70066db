//! The assembly that moves pages has the same effect as its model.

use lab::stage::vm;
use lab::story::{EVERY, Story};
use lab::{Result, Vm, stories};

pub(crate) const STORIES: &[Story] = stories! {
    EVERY, last => the_assembly_moves_pages_like_the_model,
    &["6.1"] => a_misplaced_byte_is_detected,
};

/// A machine with one CPU and memory that is reserved from the kernel.
fn machine(on: &str) -> Vm {
    // The kernel copies by `rep movsb` if the CPU claims that it is fast, and the emulator is slow
    // at it.
    vm(on).cpu("max,-cx16,-erms").mem(768).append("memmap=64M$0x10000000")
}

fn the_assembly_moves_pages_like_the_model(on: &str) -> Result<()> {
    machine(on)
        .run("exchange_check --vouch 0x10000000-0x14000000")?
        .succeeded()
        .prints("reserved from the kernel")
        .prints("claimed from the kernel")
        .never_prints("not tried")
        .prints("the same everywhere")
        .kernel_log_is_clean();
    Ok(())
}

fn a_misplaced_byte_is_detected(on: &str) -> Result<()> {
    let mutant = "exchange_check --mutant --vouch 0x10000000-0x14000000";
    machine(on).run(mutant)?.exited(1).prints("differs from the model at offset");
    Ok(())
}
