use std::fmt;

/// Counts of lists, moved pages and compared bytes.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) lists: u64,
    pub(crate) moved: u64,
    pub(crate) bytes: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.lists += other.lists;
        self.moved += other.moved;
        self.bytes += other.bytes;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lists, moved, bytes } = self;
        write!(f, "{lists:>6} lists, {moved:>8} pages moved, {:>6} MiB compared", bytes >> 20)
    }
}
