//! A second kernel runs under guard: whatever becomes of it, the first one goes on.

use lab::Result;
use lab::story::{EVERY, Story};

use crate::switching::{BOOT, beside};

pub(crate) const STORIES: &[Story] =
    &[Story::new("a_guarded_kernel_takes_turns", EVERY, a_guarded_kernel_takes_turns)];

fn a_guarded_kernel_takes_turns(on: &str) -> Result<()> {
    let job = format!(
        "set -e
        {BOOT} --deadline 100
        for value in 1 2 3; do kjump switch b $value --deadline none; done
        kjump peers
        kjump drop b
        nproc"
    );
    beside(on, &job)?.succeeded().says("b returned 0x2 after").says("2\n").kernel_is_content();
    Ok(())
}
