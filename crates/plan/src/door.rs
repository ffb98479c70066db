use phys::{PhysAddr, PhysRange};

use crate::purgatory::{self, Besides, Purgatory};
use crate::{Entry, Error, Goal, Segment, trampoline};

/// What leads from `kexec_load`'s way of entering an image to a [`Goal`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Door<'a> {
    /// A page of instructions, which checks nothing.
    #[default]
    Trampoline,
    /// A purgatory.
    Purgatory(Purgatory<'a>),
}

impl<'a> Door<'a> {
    /// Its name, as a demand and as a segment.
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::Trampoline => trampoline::NAME,
            Self::Purgatory(_) => purgatory::NAME,
        }
    }

    /// Bytes of memory for it.
    pub(crate) const fn size(&self) -> u64 {
        match self {
            Self::Trampoline => trampoline::SIZE,
            Self::Purgatory(_) => purgatory::SIZE,
        }
    }

    /// Its segment in a place, and where it is entered. Purgatory checks the other segments.
    pub(crate) fn open(
        &self,
        place: PhysRange,
        goal: &Goal,
        besides: &Besides,
        others: &[Segment<'_>],
    ) -> Result<(Segment<'a>, Entry), Error> {
        let (segment, entry) = match self {
            Self::Trampoline => (trampoline::segment(place, goal), place.start().get()),
            Self::Purgatory(purgatory) => {
                (purgatory.segment(place, goal, besides, others)?, Purgatory::entry(place))
            }
        };
        let address = PhysAddr::new(entry).ok_or(Error::EntryOutside { entry })?;
        Ok((segment, Entry { address, arguments: [0; 6] }))
    }
}
