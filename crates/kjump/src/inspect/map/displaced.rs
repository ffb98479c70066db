//! The pages that an image displaces: memory of other owners, which is kept elsewhere during a
//! call.

use std::fmt;

use abi::device::SlotRun;
use abi::page_list::PAGE_SIZE;

use crate::terminal::quantity;

/// The places of displaced pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Displaced {
    pub(super) pages: u64,
    /// Runs of pages that stay adjacent.
    pub(super) pieces: u64,
    /// The first and the last byte of these places.
    pub(super) first: u64,
    pub(super) last: u64,
}

impl Displaced {
    /// The pages that an image with these slots displaces.
    pub(super) fn of(slots: &[SlotRun]) -> Self {
        let displacing = slots.iter().filter(|run| run.source != run.destination && run.pages > 0);
        displacing.fold(Self::default(), |sum, run| {
            let last = run.source.saturating_add(run.pages.saturating_mul(PAGE_SIZE)).saturating_sub(1);
            Self {
                pages: sum.pages.saturating_add(run.pages),
                pieces: sum.pieces + 1,
                first: if sum.pieces == 0 { run.source } else { sum.first.min(run.source) },
                last: sum.last.max(last),
            }
        })
    }

    /// The same as a short text.
    pub(super) fn brief(self) -> String {
        format!("{} displaced to {:#x}-{:#x}", self.pages, self.first, self.last)
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
    fn claimed_pages_displace_nothing() {
        let run = |destination, source, pages| SlotRun { destination, source, pages };
        let slots = [run(0x1000, 0x1000, 4), run(0x5000, 0x9000, 2), run(0x7000, 0x3000, 1)];
        let displaced = Displaced::of(&slots);
        assert_eq!(displaced, Displaced { pages: 3, pieces: 2, first: 0x3000, last: 0xafff });
        assert_eq!(displaced.to_string(), "3 pages displaced, 2 pieces in 0x3000-0xafff");
        assert!(Displaced::of(&slots[..1]).is_none());
    }
}
