use phys::Pfn;

use crate::frames::{Frames, WORDS, link, linked, place};

/// Bits of an index that one level of the tree resolves.
const LEVEL_BITS: u32 = 9;

/// A sparse array of 64-bit words, kept in frames: a radix tree of 512-way nodes. Words that were
/// not set are 0.
///
/// ```text
///   level 1 (root)      [ n0  -  n2  - ... ]            nodes: frames
///                         |       |
///   level 0       [0 .. 511]     [1024 .. 1535]         words
/// ```
///
/// The tree does not take frames itself: where a node is missing, [`Tree::word`] returns `None`,
/// and the owner passes a frame to [`Tree::attach`], several times for a deeper gap.
#[derive(Default)]
pub(crate) struct Tree {
    root: Option<Pfn>,
    height: u32,
}

impl Tree {
    /// The word `index`, or `None` while a node is missing on the way to it.
    pub(crate) fn word<'f>(&self, index: u64, frames: &'f mut impl Frames) -> Option<&'f mut u64> {
        let leaf = self.node(0, index, frames)?;
        frames.words(leaf).get_mut(digit(index, 0))
    }

    /// Adds a node where the way to word `index` lacks one, from the root downwards.
    pub(crate) fn attach(&mut self, node: Pfn, index: u64, frames: &mut impl Frames) {
        frames.words(node).fill(0);
        if !self.spans(index) {
            self.grow(node, index, frames);
            return;
        }
        let missing = (0..self.height).rev().find(|&level| self.node(level, index, frames).is_none());
        if let Some(level) = missing
            && let Some(parent) = self.node(level + 1, index, frames)
        {
            frames.words(parent)[digit(index, level + 1)] = link(Some(node));
        }
    }

    /// Visits the tree's own frames, children before their parents. Stops at the first error.
    pub(crate) fn each_node<F: Frames, E>(
        &self,
        frames: &mut F,
        visit: &mut impl FnMut(&mut F, Pfn) -> Result<(), E>,
    ) -> Result<(), E> {
        match self.root {
            Some(root) => each_below(root, self.height, frames, visit),
            None => Ok(()),
        }
    }

    /// Gives the tree's own frames back.
    pub(crate) fn free(&mut self, frames: &mut impl Frames) {
        let Ok(()) = self.each_node(frames, &mut |frames, node| {
            frames.free(node);
            Ok::<(), core::convert::Infallible>(())
        });
        *self = Self::default();
    }

    /// The node at `level` (0 for the leaves) on the way to word `index`.
    fn node(&self, level: u32, index: u64, frames: &mut impl Frames) -> Option<Pfn> {
        if level >= self.height || !self.spans(index) {
            return None;
        }
        let mut node = self.root?;
        for above in (level + 1..self.height).rev() {
            node = linked(frames.words(node)[digit(index, above)])?;
        }
        Some(node)
    }

    /// Whether the tree is high enough for word `index`.
    #[inline]
    fn spans(&self, index: u64) -> bool {
        index.unbounded_shr(LEVEL_BITS * self.height) == 0 && self.root.is_some()
    }

    /// Puts a new root on top; the first one at the height that `index` needs.
    fn grow(&mut self, root: Pfn, index: u64, frames: &mut impl Frames) {
        if self.root.is_some() {
            frames.words(root)[0] = link(self.root);
            self.height += 1;
        } else {
            self.height = (u64::BITS - index.leading_zeros()).div_ceil(LEVEL_BITS).max(1);
        }
        self.root = Some(root);
    }
}

/// Visits a node of `height` levels after everything below it. The depth of recursion is the height
/// of the tree.
fn each_below<F: Frames, E>(
    node: Pfn,
    height: u32,
    frames: &mut F,
    visit: &mut impl FnMut(&mut F, Pfn) -> Result<(), E>,
) -> Result<(), E> {
    if height > 1 {
        for child in 0..WORDS {
            if let Some(child) = linked(frames.words(node)[child]) {
                each_below(child, height - 1, frames, visit)?;
            }
        }
    }
    visit(frames, node)
}

/// The place in a node at `level` on the way to word `index`.
#[inline]
const fn digit(index: u64, level: u32) -> usize {
    place(index.unbounded_shr(LEVEL_BITS * level))
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashMap};

    use proptest::prelude::*;

    use super::*;
    use crate::frames::Zone;

    /// Frames of which only those in use exist.
    #[derive(Default)]
    struct Sparse {
        frames: HashMap<Pfn, [u64; WORDS]>,
        next: u64,
    }

    impl Frames for Sparse {
        fn alloc(&mut self, _: u32, _: Zone) -> Option<Pfn> {
            self.next += 1;
            let frame = Pfn::new(self.next)?;
            self.frames.insert(frame, [u64::MAX; WORDS]);
            Some(frame)
        }

        fn free(&mut self, frame: Pfn) {
            assert!(self.frames.remove(&frame).is_some(), "{frame:?} was not handed out");
        }

        fn words(&mut self, frame: Pfn) -> &mut [u64; WORDS] {
            self.frames.get_mut(&frame).unwrap()
        }
    }

    fn word<'f>(tree: &mut Tree, index: u64, frames: &'f mut Sparse) -> &'f mut u64 {
        while tree.word(index, frames).is_none() {
            let node = frames.alloc(0, Zone::Any).unwrap();
            tree.attach(node, index, frames);
        }
        tree.word(index, frames).unwrap()
    }

    /// Indexes of every magnitude, and neighbours.
    fn indexes() -> impl Strategy<Value = Vec<u64>> {
        prop::collection::vec((any::<u64>(), 0_u32..64).prop_map(|(index, shift)| index >> shift), 1..40)
    }

    proptest! {
        #[test]
        #[cfg_attr(miri, ignore = "too many cases for it")]
        fn words_are_found_again_and_every_node_is_given_back(indexes in indexes()) {
            let (mut tree, mut frames, mut expected) = (Tree::default(), Sparse::default(), BTreeMap::new());
            for (value, &index) in (1..).zip(&indexes) {
                let place = word(&mut tree, index, &mut frames);
                prop_assert_eq!(*place, expected.insert(index, value).unwrap_or(0));
                *place = value;
            }
            for (&index, &value) in &expected {
                prop_assert_eq!(tree.word(index, &mut frames).copied(), Some(value));
            }
            tree.free(&mut frames);
            prop_assert!(frames.frames.is_empty());
        }
    }

    #[test]
    fn a_tree_is_as_high_as_its_largest_index_needs() {
        for (index, nodes) in [(0, 1), (511, 1), (512, 2), ((1 << 18) - 1, 2), (1 << 18, 3), (u64::MAX, 8)] {
            let (mut tree, mut frames) = (Tree::default(), Sparse::default());
            word(&mut tree, index, &mut frames);
            assert_eq!(frames.frames.len(), nodes, "for word {index}");
        }
    }
}
