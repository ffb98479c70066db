/// Numbers that look random and are the same for the same seed: splitmix64 (Steele, Lea, Flood 2014).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    /// A number below the limit, which is not 0.
    pub(crate) const fn below(&mut self, limit: u64) -> u64 {
        self.word() % limit
    }

    /// True once in so many times.
    pub(crate) const fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// Some entry of a list, if there is one.
    pub(crate) fn pick<T: Copy>(&mut self, list: &[T]) -> Option<T> {
        let index = self.word().checked_rem(list.len() as u64)?;
        list.get(usize::try_from(index).ok()?).copied()
    }
}
