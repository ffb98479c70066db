//! Threads, as many as memory allows. One thread fewer is not a failure.

use std::thread::Builder;

/// Memory that must be left for each thread, in bytes: its stack, buffers that are allocated later,
/// and the tables of codecs.
const EACH: usize = 8 << 20;

/// Runs `work` on up to `threads` threads, one of which is the caller's, and returns their results.
/// `state` makes the state of each.
pub(crate) fn run<S: Send, R: Send>(
    threads: usize,
    state: impl Fn() -> S,
    work: impl Fn(S) -> R + Sync,
) -> Vec<R> {
    let own = state();
    let work = &work;
    std::thread::scope(|scope| {
        let another = |earlier: usize| {
            // The earlier ones may not have allocated theirs yet.
            if !is_available(EACH.saturating_mul(earlier + 1)) {
                return None;
            }
            let theirs = state();
            Builder::new().spawn_scoped(scope, move || work(theirs)).ok()
        };
        let others: Vec<_> = (1..threads).map_while(another).collect();
        let own = work(own);
        let joined = others.into_iter().map(|thread| match thread.join() {
            Ok(result) => result,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        std::iter::once(own).chain(joined.collect::<Vec<_>>()).collect()
    })
}

/// Whether this many bytes of memory can be allocated now; the program's limit may be lower than
/// the machine's memory.
#[must_use]
pub fn is_available(bytes: usize) -> bool {
    let mut memory = Vec::<u8>::new();
    let result = memory.try_reserve_exact(bytes);
    // An allocation that is not used may be removed by the compiler.
    std::hint::black_box(&memory);
    result.is_ok()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_thread_gets_a_state_and_returns_a_result() {
        let made = AtomicUsize::new(0);
        let state = || made.fetch_add(1, Ordering::Relaxed);
        let mut results = run(4, state, |number| number * 10);
        results.sort_unstable();
        assert_eq!(results, [0, 10, 20, 30]);
        assert_eq!(run(1, || 7, |number| number), [7]);
    }

    #[test]
    fn no_machine_has_half_of_the_address_space() {
        assert!(is_available(1 << 20) && !is_available(usize::MAX / 4));
    }
}
