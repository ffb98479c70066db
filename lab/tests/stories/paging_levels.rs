//! Two kernels whose page tables have different numbers of levels take turns.

use lab::Result;
use lab::stage::vm;
use lab::stories;
use lab::story::Story;

use crate::switching::with_second_kernel_on;

pub(crate) const STORIES: &[Story] = stories! {
    &["6.1"], long => kernels_with_four_levels_each_take_turns,
    &["6.1"] => a_kernel_with_four_levels_and_one_with_five_take_turns,
    &["6.1"] => a_kernel_with_five_levels_and_one_with_four_take_turns,
    &["6.1"], long => kernels_with_five_levels_each_take_turns,
    &["6.1"], long => kernels_with_different_levels_jump_by_the_command_lines_of_2008,
};

/// Whether to use five levels is a kernel's choice; the CPU has them.
const fn choice(levels: u32) -> &'static str {
    if levels == 4 { "no5lvl" } else { "" }
}

fn take_turns(on: &str, levels: u32, others: u32) -> Result<()> {
    let job = format!(
        "set -e
        guest machine
        append={}
        boot
        for value in 1 2; do kjump switch b $value; done
        kjump drop b
        fine turns
        boot --deadline 300
        for value in 3 4; do kjump switch b $value --deadline none; done
        kjump drop b
        fine 'guarded turns'",
        choice(others)
    );
    with_second_kernel_on(vm(on).cpu("max,-cx16,la57=on").append(choice(levels)), on, &job)?
        .succeeded()
        .prints(&format!("{levels} levels of page tables"))
        .prints("b returned 0x3 after")
        .prints("fine after turns")
        .prints("b returned 0x5 after")
        .prints("fine after guarded turns")
        .never_prints("wrong")
        .kernel_log_is_clean();
    Ok(())
}

fn kernels_with_four_levels_each_take_turns(on: &str) -> Result<()> {
    take_turns(on, 4, 4)
}

fn a_kernel_with_four_levels_and_one_with_five_take_turns(on: &str) -> Result<()> {
    take_turns(on, 4, 5)
}

fn a_kernel_with_five_levels_and_one_with_four_take_turns(on: &str) -> Result<()> {
    take_turns(on, 5, 4)
}

fn kernels_with_five_levels_each_take_turns(on: &str) -> Result<()> {
    take_turns(on, 5, 5)
}

/// The other kernel's program finds the jump-back entry on its command line.
fn kernels_with_different_levels_jump_by_the_command_lines_of_2008(on: &str) -> Result<()> {
    for (levels, others) in [(4, 5), (5, 4)] {
        let job = format!(
            "set -e
            kexec --load-preserve-context /boot/b --mem-min=0x10000000 --mem-max=0x1bffffff \\
                --initrd=/boot/b.cpio --append='console=ttyS0 quiet panic=0 no_timer_check {}'
            kexec -e
            kexec -e
            fine jumps",
            choice(others)
        );
        with_second_kernel_on(vm(on).cpu("max,-cx16,la57=on").append(choice(levels)), on, &job)?
            .succeeded()
            .prints("fine after jumps")
            .never_prints("wrong")
            .kernel_log_is_clean();
    }
    Ok(())
}
