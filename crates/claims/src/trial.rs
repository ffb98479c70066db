//! Which ways of moving pages are tried, how often, and which one wins.

/// How often each is tried: the first time, caches are cold.
const ROUNDS: usize = 3;

/// The mover of attempt number `attempt`, or `None` after the last one. All movers take turns.
#[must_use]
pub fn mover(movers: &[u64], attempt: usize) -> Option<u64> {
    let turn = attempt.checked_rem(movers.len())?;
    if attempt / movers.len() < ROUNDS { movers.get(turn).copied() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn movers_take_turns() {
        let attempts = core::array::from_fn(|attempt| mover(&[0, 2], attempt));
        assert_eq!(attempts, [Some(0), Some(2), Some(0), Some(2), Some(0), Some(2), None, None]);
    }

    #[test]
    fn without_movers_nothing_is_tried() {
        assert_eq!(mover(&[], 0), None);
    }
}
