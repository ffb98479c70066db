//! Threads that share work until it is done or one of them fails.

use std::sync::{Mutex, PoisonError};

use super::Progress;
use super::pages::{Unit, Units};
use crate::{FrameSet, Result};

/// Hands each unit of these sets of pages to one of the threads. `hand` makes what a thread needs for itself; the answers are what is
/// left of that.
///
/// # Errors
/// The first error of any thread; the others end after the unit they have.
pub(super) fn share<H: Send>(
    sets: &[FrameSet],
    threads: usize,
    progress: &Progress,
    hand: impl Fn() -> H + Sync,
    work: impl Fn(&mut H, &Unit) -> Result<()> + Sync,
) -> Result<Vec<H>> {
    let units = Mutex::new(Units::new(sets));
    let member = || {
        let (mut own, mut unit) = (hand(), Unit::default());
        while !progress.is_stopped() && units.lock().unwrap_or_else(PoisonError::into_inner).next(&mut unit) {
            work(&mut own, &unit).inspect_err(|_| progress.stop())?;
            progress.add(unit.pages.len());
        }
        Ok(own)
    };
    std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(member)).collect();
        let own = member();
        let joined = others.into_iter().map(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        std::iter::once(own).chain(joined.collect::<Vec<_>>()).collect()
    })
}
