//! Lists built by kimage, with an allocator that hands out the arena's frames in random order.

use anyhow::{Result, anyhow};
use kimage::{Frames, Image, Rules, Segment, Zone};
use phys::{PAGE_SIZE, Pfn, PhysRange, RangeSet};

use crate::arena::{Arena, Page};
use crate::random::Random;

/// Builds an image of random segments in the arena. Returns the head of its page list.
pub(crate) fn list(arena: &mut Arena, random: &mut Random) -> Result<u64> {
    let range = arena.range();
    let mut segments = segments(range, random);
    let rules = Rules { allowed: RangeSet::of(&range), entry: None, max_pages: range.pages() };
    let frames = Allocator::new(arena, random);
    let mut image = Image::new(&mut segments, &rules, frames).map_err(|error| anyhow!("{error}"))?;
    for order in [0, 2, 0] {
        image.support(order, Zone::Any).map_err(|error| anyhow!("{error}"))?;
    }
    let sealed = image.seal().map_err(|error| anyhow!("{error}"))?;
    Ok(sealed.head())
}

/// Up to eight segments, together at most a third of the range: the rest is for sources and page
/// lists.
fn segments(range: PhysRange, random: &mut Random) -> Vec<Segment> {
    let count = 1 + random.below(8);
    let share = range.pages() / count;
    let segment = |index: u64| {
        let pages = 1 + random.below(share / 3);
        let start = range.start().get() + (index * share + random.below(share - pages)) * PAGE_SIZE;
        let size = pages * PAGE_SIZE;
        Segment::new(u32::try_from(index).unwrap_or(u32::MAX), 0, 0, start, size)
    };
    (0..count).map(segment).collect()
}

/// Hands out free frames in random order; some frames are not free.
struct Allocator<'a> {
    arena: &'a mut Arena,
    /// The free frames, in random order.
    free: Vec<Pfn>,
}

impl<'a> Allocator<'a> {
    fn new(arena: &'a mut Arena, random: &mut Random) -> Self {
        let mut free: Vec<Pfn> = arena.frames().filter(|_| !random.once_in(5)).collect();
        for last in (1..free.len()).rev() {
            let other = random.below(last as u64 + 1);
            free.swap(last, usize::try_from(other).unwrap_or(last));
        }
        Self { arena, free }
    }

    /// 2^`order` adjacent free frames, naturally aligned.
    fn find(&self, order: u32) -> Option<Pfn> {
        let is_start = |frame: &&Pfn| {
            frame.number().is_multiple_of(1 << order)
                && (0..1 << order).all(|n| frame.checked_add(n).is_some_and(|next| self.free.contains(&next)))
        };
        self.free.iter().find(is_start).copied()
    }
}

impl Frames for Allocator<'_> {
    fn alloc(&mut self, order: u32, _: Zone) -> Option<Pfn> {
        if order == 0 {
            return self.free.pop();
        }
        let first = self.find(order)?;
        let run = first.number()..first.number() + (1 << order);
        self.free.retain(|frame| !run.contains(&frame.number()));
        Some(first)
    }

    fn free(&mut self, frame: Pfn) {
        self.free.push(frame);
    }

    fn words(&mut self, frame: Pfn) -> &mut Page {
        self.arena.page(frame)
    }
}
