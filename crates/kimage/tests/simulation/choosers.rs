/// Decides what the allocator does next.
pub(crate) trait Chooser {
    /// Picks one of these runs, which start at the given frames, or `None` to have no memory.
    fn choose(&mut self, runs: &[usize]) -> Option<usize>;
}

/// Tries every sequence of choices, one run of the test after the other. "No memory" is always one
/// of the choices.
#[derive(Default)]
pub(crate) struct Every {
    /// The choices of this run, and the number of alternatives each time.
    taken: Vec<(usize, usize)>,
    next: usize,
}

impl Every {
    /// Runs the test once for every sequence of choices; returns the number of runs.
    pub(crate) fn sequence(mut test: impl FnMut(&mut Self)) -> u64 {
        let mut every = Self::default();
        let mut runs = 0;
        loop {
            every.next = 0;
            test(&mut every);
            runs += 1;
            while every.taken.pop_if(|&mut (choice, choices)| choice + 1 == choices).is_some() {}
            match every.taken.last_mut() {
                Some((choice, _)) => *choice += 1,
                None => return runs,
            }
        }
    }
}

impl Chooser for &mut Every {
    fn choose(&mut self, runs: &[usize]) -> Option<usize> {
        if self.next == self.taken.len() {
            self.taken.push((0, runs.len() + 1));
        }
        let (choice, choices) = self.taken[self.next];
        assert_eq!(choices, runs.len() + 1, "the same choices must lead to the same question");
        self.next += 1;
        choice.checked_sub(1)
    }
}

/// Hands out the frames of a list, then none.
pub(crate) struct Script(pub(crate) Vec<usize>);

impl Chooser for Script {
    fn choose(&mut self, runs: &[usize]) -> Option<usize> {
        if self.0.is_empty() {
            return None;
        }
        let wanted = self.0.remove(0);
        runs.iter().position(|&run| run == wanted)
    }
}

/// Picks at random, the same way for the same seed, and has no memory after `times` requests.
pub(crate) struct Randomly {
    pub(crate) state: u64,
    pub(crate) times: usize,
}

impl Randomly {
    pub(crate) const fn from(seed: u64) -> Self {
        Self { state: seed | 1, times: usize::MAX }
    }
}

impl Chooser for Randomly {
    fn choose(&mut self, runs: &[usize]) -> Option<usize> {
        self.times = self.times.checked_sub(1)?;
        self.state = self.state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        usize::try_from(self.state >> 33).ok()?.checked_rem(runs.len())
    }
}
