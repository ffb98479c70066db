//! What an image displaces: others' memory, which waits elsewhere during a call.

use std::fmt;

use abi::device::SlotRun;
use abi::page_list::PAGE_SIZE;

use crate::terminal::quantity;

/// Where displaced pages wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Displaced {
    pub(super) pages: u64,
    /// Runs of neighbours that wait as neighbours.
    pub(super) pieces: u64,
    /// The first byte where one waits, and the last.
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Displaced {
    /// What the image with these slots displaces.
    pub(super) fn of(slots: &[SlotRun]) -> Self {
        let displacing = slots.iter().filter(|run| run.source != run.destination && run.pages > 0);
        displacing.fold(Self::default(), |so_far, run| {
            let last = run.source.saturating_add(run.pages.saturating_mul(PAGE_SIZE)).saturating_sub(1);
            Self {
                pages: so_far.pages.saturating_add(run.pages),
                pieces: so_far.pieces + 1,
                first: if so_far.pieces == 0 { run.source } else { so_far.first.min(run.source) },
                last: so_far.last.max(last),
            }
        })
    }

    /// The same in few words.
    pub(super) fn brief(self) -> String {
        format!("{} displaced, waiting in {:#x}-{:#x}", self.pages, self.first, self.last)
    }

    pub(super) const fn is_none(self) -> bool {
        self.pages == 0
    }
}

impl fmt::Display for Displaced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pages, pieces) = (quantity::count(self.pages, "page"), quantity::count(self.pieces, "piece"));
        write!(f, "{pages} displaced, {pieces} in {:#x}-{:#x}", self.first, self.last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_image_has_for_itself_displaces_nothing() {
        let run = |destination, source, pages| SlotRun { destination, source, pages };
        let slots = [run(0x1000, 0x1000, 4), run(0x5000, 0x9000, 2), run(0x7000, 0x3000, 1)];
        let displaced = Displaced::of(&slots);
        assert_eq!(displaced, Displaced { pages: 3, pieces: 2, first: 0x3000, last: 0xafff });
        assert_eq!(displaced.to_string(), "3 pages displaced, 2 pieces in 0x3000-0xafff");
        assert!(Displaced::of(&slots[..1]).is_none());
    }
}
