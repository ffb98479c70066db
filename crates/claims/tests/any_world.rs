//! Images of any shape in worlds of any shape, with any outcome of every request.
#![allow(clippy::unwrap_used, reason = "a test of a few frames")]

mod world;

use proptest::prelude::*;

use phys::{Pfn, PhysRange};

use world::{BLOCK, Choices, Frame, Machine, Source, World, range};

const FRAMES: usize = 8 * BLOCK;

/// One image's life is several of these, in between those of others.
#[derive(Clone, Copy, Debug)]
enum Step {
    Load { wanted: [(usize, usize); 2], pages: u64 },
    Take { image: usize, order: u32 },
    End { image: usize },
    GiveBack { image: usize, frame: usize },
    Unload { image: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let wanted = || (0..FRAMES, 1..FRAMES).prop_map(|(first, pages)| (first, pages.min(FRAMES - first)));
    prop_oneof![
        1 => ([wanted(), wanted()], 0..20_u64).prop_map(|(wanted, pages)| Step::Load { wanted, pages }),
        8 => (0..4_usize, 0..3_u32).prop_map(|(image, order)| Step::Take { image, order: order / 2 }),
        1 => (0..4_usize).prop_map(|image| Step::End { image }),
        3 => (0..4_usize, 0..FRAMES).prop_map(|(image, frame)| Step::GiveBack { image, frame }),
        1 => (0..4_usize).prop_map(|image| Step::Unload { image }),
    ]
}

fn frame() -> impl Strategy<Value = Frame> {
    prop_oneof![8 => Just(Frame::Free), 3 => Just(Frame::Movable), 1 => Just(Frame::Bound)]
}

/// A loaded image: its supply and the frames that it holds.
type Image<'w> = (Source<'w>, Vec<Pfn>);

fn unload<'w>(machine: Machine<'w>, (supply, held): Image<'w>) {
    held.into_iter().for_each(|frame| machine.give_back(&supply, frame));
}

fn carry_out<'w>(machine: Machine<'w>, images: &mut Vec<Image<'w>>, step: Step) {
    let count = images.len();
    match step {
        Step::Load { wanted, pages } => {
            let wanted: Vec<PhysRange> = wanted.iter().map(|&(first, pages)| range(first, pages)).collect();
            images.push((machine.supply(pages, &wanted), Vec::new()));
        }
        Step::Take { image, order } if count > 0 => {
            let (supply, held) = &mut images[image % count];
            let first = machine.take(supply, order);
            held.extend(
                first.into_iter().flat_map(|first| (0..1 << order).filter_map(move |n| first.checked_add(n))),
            );
        }
        Step::End { image } if count > 0 => images[image % count].0.end(),
        Step::GiveBack { image, frame } if count > 0 => {
            let (supply, held) = &mut images[image % count];
            if !held.is_empty() {
                let frame = held.swap_remove(frame % held.len());
                machine.give_back(supply, frame);
            }
        }
        Step::Unload { image } if count > 0 => unload(machine, images.swap_remove(image % count)),
        _ => {}
    }
}

proptest! {
    #[test]
    #[cfg_attr(miri, ignore = "too many cases for it")]
    fn every_frame_goes_back_once_whatever_images_do(
        before in prop::collection::vec(frame(), FRAMES),
        outcomes in prop::collection::vec(any::<u8>(), 0..200),
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let choices = Choices::script(&outcomes);
        let world = World::new(&before, &choices);
        let machine = Machine(&world);
        let mut images = Vec::new();
        for step in steps {
            carry_out(machine, &mut images, step);
        }
        while let Some(image) = images.pop() {
            unload(machine, image);
        }
        world.assert_all_back(&before);
    }
}
