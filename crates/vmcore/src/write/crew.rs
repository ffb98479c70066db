//! Threads that share units of pages until all are done or one of them fails.

use std::sync::{Mutex, PoisonError};
use std::thread::Builder;

use super::Progress;
use super::pages::{Unit, Units};
use crate::{FrameSet, Result};

/// Has each unit of these sets of pages processed by one of the threads. `state` makes the state of
/// each thread; the final states are returned.
///
/// # Errors
/// The first error of any thread; the others stop after their current unit.
pub(super) fn share<S: Send>(
    sets: &[FrameSet],
    threads: usize,
    progress: &Progress,
    state: impl Fn() -> S + Sync,
    work: impl Fn(&mut S, &Unit) -> Result<()> + Sync,
) -> Result<Vec<S>> {
    let units = Mutex::new(Units::new(sets));
    let member = || {
        let (mut own, mut unit) = (state(), Unit::default());
        while !progress.is_stopped() && units.lock().unwrap_or_else(PoisonError::into_inner).next(&mut unit) {
            work(&mut own, &unit).inspect_err(|_| progress.stop())?;
            progress.add(unit.pages.len());
        }
        Ok(own)
    };
    std::thread::scope(|scope| {
        // If no more threads can be started, those that there are do the work.
        let others = (1..threads).map_while(|_| Builder::new().spawn_scoped(scope, member).ok());
        let others: Vec<_> = others.collect();
        let own = member();
        let joined = others.into_iter().map(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        std::iter::once(own).chain(joined.collect::<Vec<_>>()).collect()
    })
}
