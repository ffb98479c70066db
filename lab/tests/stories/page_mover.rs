//! The assembly that moves pages does what its model does.

use lab::stage::vm;
use lab::story::{EVERY, Story};
use lab::{Result, Vm, stories};

pub(crate) const STORIES: &[Story] = stories! {
    EVERY => the_assembly_moves_pages_like_the_model,
    &["6.1"] => a_misplaced_byte_is_detected,
};

/// A machine of one processor with memory that the kernel leaves alone.
fn machine(on: &str) -> Vm {
    // The kernel copies by `rep movsb` where a processor calls that fast, and the emulator is slow at it.
    vm(on).cpu("max,-cx16,-erms").mem(768).append("memmap=64M$0x10000000")
}

fn the_assembly_moves_pages_like_the_model(on: &str) -> Result<()> {
    machine(on)
        .run("exchange_check --vouch 0x10000000-0x14000000")?
        .succeeded()
        .says("reserved from the kernel")
        .says("claimed from the kernel")
        .never_says("not tried")
        .says("the same everywhere")
        .kernel_is_content();
    Ok(())
}

fn a_misplaced_byte_is_detected(on: &str) -> Result<()> {
    let mutant = "exchange_check --mutant --vouch 0x10000000-0x14000000";
    machine(on).run(mutant)?.exited(1).says("differs from the model at offset");
    Ok(())
}
