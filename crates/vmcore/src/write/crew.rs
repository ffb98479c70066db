//! Threads that share units of pages until all are done or one of them fails.

use std::sync::{Mutex, PoisonError};

use super::Progress;
use super::pages::{Unit, Units};
use crate::{FrameSet, Result, threads};

/// Has each unit of these sets of pages processed by one of up to `number` threads. `state` makes
/// the state of each thread; the final states are returned.
///
/// # Errors
/// The first error of any thread; the others stop after their current unit.
pub(super) fn share<S: Send>(
    sets: &[FrameSet],
    number: usize,
    progress: &Progress,
    state: impl Fn() -> S,
    work: impl Fn(&mut S, &Unit) -> Result<()> + Sync,
) -> Result<Vec<S>> {
    let units = Mutex::new(Units::new(sets));
    let member = |mut own: S| {
        let mut unit = Unit::default();
        while !progress.is_stopped() && units.lock().unwrap_or_else(PoisonError::into_inner).next(&mut unit) {
            work(&mut own, &unit).inspect_err(|_| progress.stop())?;
            progress.add(unit.pages.len());
        }
        Ok(own)
    };
    threads::run(number, state, member).into_iter().collect()
}
