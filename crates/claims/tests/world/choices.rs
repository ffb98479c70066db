use std::cell::{Cell, RefCell};

/// Makes the choices that a test leaves open.
pub(crate) struct Choices {
    /// The choices of this run, and the number of alternatives each time.
    taken: RefCell<Vec<(usize, usize)>>,
    next: Cell<usize>,
}

impl Choices {
    /// Runs the test once for every sequence of choices; returns the number of runs.
    pub(crate) fn every(mut test: impl FnMut(&Self)) -> u64 {
        let choices = Self { taken: RefCell::default(), next: Cell::default() };
        let mut runs = 0;
        loop {
            choices.next.set(0);
            test(&choices);
            runs += 1;
            let mut taken = choices.taken.borrow_mut();
            while taken.pop_if(|&mut (choice, alternatives)| choice + 1 == alternatives).is_some() {}
            match taken.last_mut() {
                Some((choice, _)) => *choice += 1,
                None => return runs,
            }
        }
    }

    /// These choices, then the first alternative each time.
    pub(crate) fn script(choices: &[u8]) -> Self {
        let taken = choices.iter().map(|&choice| (usize::from(choice), usize::MAX)).collect();
        Self { taken: RefCell::new(taken), next: Cell::default() }
    }

    /// Picks one of this many alternatives.
    pub(crate) fn pick(&self, alternatives: usize) -> usize {
        let mut taken = self.taken.borrow_mut();
        if self.next.get() == taken.len() {
            taken.push((0, alternatives));
        }
        let (choice, of) = taken[self.next.get()];
        assert!(of == alternatives || of == usize::MAX, "the same choices must lead to the same question");
        self.next.set(self.next.get() + 1);
        choice % alternatives
    }

    /// Whether something that can fail succeeds.
    pub(crate) fn succeeds(&self) -> bool {
        self.pick(2) == 0
    }
}
