use phys::Pfn;

use crate::frames::{Frames, link, linked};
use crate::list::{self, SOURCE};
use crate::tree::Tree;

/// The image's table of its support frames: a growing array of frame numbers.
///
/// The first entries are the frames of the page list, which makes the ledger the index into the
/// list as well.
#[derive(Default)]
pub(crate) struct Ledger {
    tree: Tree,
    len: u64,
}

impl Ledger {
    pub(crate) const fn len(&self) -> u64 {
        self.len
    }

    pub(crate) fn get(&self, entry: u64, frames: &mut impl Frames) -> Option<Pfn> {
        self.tree.word(entry, frames).and_then(|word| linked(*word))
    }

    /// The word of the page list with this number, links not counted.
    pub(crate) fn list_word<'f>(&self, position: u64, frames: &'f mut impl Frames) -> Option<&'f mut u64> {
        let list_frame = self.get(list::frame_of(position), frames)?;
        frames.words(list_frame).get_mut(list::place(position))
    }

    /// The source page of the slot with this word.
    pub(crate) fn source(&self, position: u64, frames: &mut impl Frames) -> Option<Pfn> {
        self.list_word(position, frames).and_then(|word| list::frame(*word, SOURCE))
    }

    /// Whether `entry` has a place already, or needs [`Ledger::attach`] first.
    pub(crate) fn has_place(&self, entry: u64, frames: &mut impl Frames) -> bool {
        self.tree.word(entry, frames).is_some()
    }

    /// Enlarges the ledger towards `entry` by a frame of its own.
    pub(crate) fn attach(&mut self, node: Pfn, entry: u64, frames: &mut impl Frames) {
        self.tree.attach(node, entry, frames);
    }

    /// Appends an entry, whose place must exist.
    pub(crate) fn push(&mut self, frame: Pfn, frames: &mut impl Frames) {
        if let Some(word) = self.tree.word(self.len, frames) {
            *word = link(Some(frame));
            self.len += 1;
        }
    }

    /// Visits every support frame: those entered here and the ledger's own. Stops at the first
    /// error.
    pub(crate) fn each<F: Frames, E>(
        &self,
        frames: &mut F,
        mut visit: impl FnMut(&mut F, Pfn) -> Result<(), E>,
    ) -> Result<(), E> {
        for entry in 0..self.len {
            if let Some(frame) = self.get(entry, frames) {
                visit(frames, frame)?;
            }
        }
        self.tree.each_node(frames, &mut visit)
    }

    /// Gives every support frame back.
    pub(crate) fn free(&mut self, frames: &mut impl Frames) {
        let Ok(()) = self.each(frames, |frames, frame| {
            frames.free(frame);
            Ok::<(), core::convert::Infallible>(())
        });
        *self = Self::default();
    }
}
