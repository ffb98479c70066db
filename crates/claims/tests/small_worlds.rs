//! Every outcome of every request, in worlds of three blocks with four frames each.
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a test of a few frames")]

mod world;

use phys::{Pfn, PhysRange};

use world::{BLOCK, Choices, Frame, Machine, Source, World, range};

use Frame::{Bound, Free, Movable};

const FRAMES: usize = 3 * BLOCK;

/// Free memory, with one frame in another state at every place in turn, or pages that are in use
/// here and there.
fn worlds() -> Vec<[Frame; FRAMES]> {
    let one =
        |state| (0..FRAMES).map(move |place| std::array::from_fn(|i| if i == place { state } else { Free }));
    let scattered = [
        [Free; FRAMES],
        std::array::from_fn(|frame| if frame % 3 == 0 { Movable } else { Free }),
        std::array::from_fn(|frame| if frame < BLOCK { Bound } else { Free }),
        [Bound, Free, Free, Free, Movable, Movable, Free, Free, Free, Free, Bound, Free],
    ];
    let all = one(Bound).chain(one(Movable)).chain(scattered);
    all.collect()
}

/// Every range of the world.
fn ranges() -> impl Iterator<Item = PhysRange> {
    let step = if cfg!(miri) { 23 } else { 1 };
    (0..FRAMES).flat_map(|first| (1..=FRAMES - first).map(move |pages| range(first, pages))).step_by(step)
}

/// Takes up to `pages` frames.
fn fill<'w>(machine: Machine<'w>, supply: &mut Source<'w>, pages: usize) -> Vec<Pfn> {
    (0..pages).map_while(|_| machine.take(supply, 0)).collect()
}

#[test]
#[cfg_attr(miri, ignore = "too many cases for it")]
fn every_frame_goes_back_once_whatever_fails() {
    let mut runs = 0;
    for before in worlds() {
        for wanted in ranges() {
            runs += Choices::every(|choices| {
                let world = World::new(&before, choices);
                let machine = Machine(&world);
                let pages = (wanted.pages() as usize).min(5);
                let mut supply = machine.supply(pages as u64, &[wanted]);
                let held = fill(machine, &mut supply, pages);
                supply.end();
                held.into_iter().for_each(|frame| machine.give_back(&supply, frame));
                drop(supply);
                world.assert_all_back(&before);
            });
        }
    }
    assert!(runs > 10_000, "{runs}");
}

#[test]
#[cfg_attr(miri, ignore = "too many cases for it")]
fn images_share_spare_frames_and_give_all_back_in_any_order() {
    let before = [Free; FRAMES];
    let (mut runs, mut shared) = (0, 0);
    let pairs = [(range(1, 2), range(3, 2)), (range(5, 2), range(4, 1)), (range(2, 4), range(6, 1))];
    for (first, second) in pairs {
        for order in 0..6 {
            runs += Choices::every(|choices| {
                let world = World::new(&before, choices);
                let machine = Machine(&world);
                let mut images = [first, second].map(|wanted| {
                    let mut supply = machine.supply(wanted.pages(), &[wanted]);
                    let held = fill(machine, &mut supply, wanted.pages() as usize);
                    (supply, held)
                });
                shared += u64::from(images[1].1.iter().all(|frame| second.contains(*frame)));
                if order % 2 == 1 {
                    images.reverse();
                }
                for (mut supply, mut held) in images {
                    let rotation = order / 2 % held.len().max(1);
                    held.rotate_left(rotation);
                    held.into_iter().for_each(|frame| machine.give_back(&supply, frame));
                    supply.end();
                }
                world.assert_all_back(&before);
            });
        }
    }
    assert!(runs > 1000 && shared > 0, "{runs} {shared}");
}

#[test]
fn an_image_that_wants_the_spare_frames_of_another_gets_them() {
    let choices = Choices::script(&[]);
    let world = World::new(&[Free; FRAMES], &choices);
    let machine = Machine(&world);
    let mut first = machine.supply(1, &[range(1, 1)]);
    let mut second = machine.supply(2, &[range(2, 2)]);
    let held = [fill(machine, &mut first, 1), fill(machine, &mut second, 2)];
    assert_eq!(held, [vec![Pfn::new(1).unwrap()], vec![Pfn::new(2).unwrap(), Pfn::new(3).unwrap()]]);
    held[0].iter().for_each(|frame| machine.give_back(&first, *frame));
    assert_eq!(*world.whole_blocks.borrow(), 0, "two frames are in use");
    held[1].iter().for_each(|frame| machine.give_back(&second, *frame));
    assert_eq!(*world.whole_blocks.borrow(), 1);
}

#[test]
fn a_frame_that_cannot_move_costs_no_more_than_its_block() {
    for bound in 0..FRAMES {
        let mut before = [Free; FRAMES];
        before[bound] = Bound;
        for wanted in ranges() {
            let choices = Choices::script(&[]);
            let world = World::new(&before, &choices);
            let machine = Machine(&world);
            let mut supply = machine.supply(wanted.pages(), &[wanted]);
            let held = fill(machine, &mut supply, wanted.pages() as usize);
            let expected = (wanted.first().number()..wanted.end_number())
                .filter(|&frame| {
                    frame as usize / BLOCK != bound / BLOCK || is_low_and_free(&before, wanted, bound)
                })
                .count();
            let claimed = held.iter().filter(|frame| wanted.contains(**frame)).count();
            assert!(claimed >= expected, "{bound} {wanted}: {claimed} of {expected}");
        }
    }
}

/// Whether the piece of the range in the block of the bound frame can be claimed because it is low
/// and free.
fn is_low_and_free(before: &[Frame], wanted: PhysRange, bound: usize) -> bool {
    let piece = wanted.first().number() as usize..(wanted.end_number() as usize).min(BLOCK);
    bound < BLOCK && !piece.is_empty() && before[piece].iter().all(|&frame| frame == Free)
}

#[test]
fn destinations_are_claimed_in_order_before_free_memory_is_used() {
    let choices = Choices::script(&[]);
    let world = World::new(&[Free; FRAMES], &choices);
    let machine = Machine(&world);
    let mut supply = machine.supply(6, &[range(9, 2), range(1, 2)]);
    let held: Vec<_> = fill(machine, &mut supply, 5).iter().map(|frame| frame.number()).collect();
    assert_eq!(held[..4], [9, 10, 1, 2]);
    assert!(![0, 3, 8, 11].contains(&held[4]), "spare frames are not free memory: {held:?}");
}

#[test]
fn only_system_ram_is_claimed() {
    let choices = Choices::script(&[]);
    let world = World::new(&[Movable; FRAMES], &choices);
    world.frames.borrow_mut()[2 * BLOCK..].fill(Free);
    let machine = Machine(&world);
    let ram = range(BLOCK, BLOCK);
    let mut supply =
        machine.supply_of_ram(0, &[range(0, BLOCK), range(2, BLOCK), range(2 * BLOCK - 1, 2)], ram);
    let claimed = machine.take(&mut supply, 0);
    assert_eq!(claimed, Pfn::new(BLOCK as u64), "the second range, from where RAM starts");
}

#[test]
fn no_more_free_memory_is_taken_than_the_image_needs() {
    for pages in 1..=if cfg!(miri) { 3 } else { FRAMES } {
        Choices::every(|choices| {
            let world = World::new(&[Free; FRAMES], choices);
            let machine = Machine(&world);
            let mut supply = machine.supply(pages as u64, &[]);
            let held = fill(machine, &mut supply, pages);
            let taken = world.frames.borrow().iter().filter(|&&frame| frame == Frame::Taken).count();
            if held.len() == pages {
                assert_eq!(taken, pages);
            }
        });
    }
}

#[test]
fn runs_of_frames_are_neighbours_and_go_back_one_by_one() {
    let before = [Free; FRAMES];
    Choices::every(|choices| {
        let world = World::new(&before, choices);
        let machine = Machine(&world);
        let mut supply = machine.supply(2, &[range(1, 2)]);
        let single = machine.take(&mut supply, 0);
        let run = machine.take(&mut supply, 1);
        let frames = run.into_iter().flat_map(|first| [Some(first), first.checked_add(1)]).flatten();
        frames.chain(single).for_each(|frame| machine.give_back(&supply, frame));
        drop(supply);
        world.assert_all_back(&before);
    });
}
