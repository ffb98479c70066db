//! Random machines and images, too large for an exhaustive test.

// Machines of this size take Miri hours.
#![cfg(not(miri))]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod simulation;

use kimage::{Error, Frames, Image, Segment, Zone, model};
use phys::{PAGE_SIZE, Pfn, RangeSet};
use proptest::prelude::*;
use simulation::{FOUR_GIB, Machine, Owner, Randomly, slots, story, within};

#[derive(Clone, Debug)]
struct Plan {
    frames: usize,
    /// Frames of the machine below 4 GiB.
    low: u64,
    /// The number of frames that belong to the kernel, of every 16.
    taken: u64,
    seed: u64,
    /// The allocator fails after this many requests.
    times: usize,
    /// Pages of a segment and of the gap after it.
    pieces: Vec<(u64, u64)>,
    support: Vec<(u32, bool)>,
}

fn plans() -> impl Strategy<Value = Plan> {
    let support = prop::collection::vec((0_u32..4, any::<bool>()), 0..8);
    let pieces = prop::collection::vec((0_u64..300, 0_u64..60), 1..8);
    let times = prop_oneof![4 => Just(usize::MAX), 1 => 0_usize..1500];
    (1200_usize..2500, 0_u64..2500, 0_u64..12, any::<u64>(), times, pieces, support).prop_map(
        |(frames, low, taken, seed, times, pieces, support)| Plan {
            frames,
            low,
            taken,
            seed,
            times,
            pieces,
            support,
        },
    )
}

fn machine(plan: &Plan) -> Machine<Randomly> {
    let mut random = Randomly::from(plan.seed);
    let mut owner = || {
        let taken = simulation::Chooser::choose(&mut random, &[0; 16]).unwrap()
            < usize::try_from(plan.taken).unwrap();
        if taken { Owner::Kernel } else { Owner::Free }
    };
    let owners = (0..plan.frames).map(|_| owner()).collect();
    Machine::new(FOUR_GIB - plan.low, owners, Randomly { times: plan.times, ..Randomly::from(plan.seed) })
}

/// The plan's segments that fit into the machine, the last one first.
fn segments(plan: &Plan, machine: &Machine<Randomly>) -> Vec<Segment> {
    let mut next = machine.ram().first().number();
    let mut segments = Vec::new();
    for (index, &(pages, gap)) in (0..).zip(&plan.pieces) {
        if next + pages <= machine.ram().end_number() {
            segments.push(simulation::segment(index, Pfn::new(next).unwrap(), pages));
        }
        next += pages + gap;
    }
    segments.reverse();
    segments
}

/// The contents of the support frames during the calls.
fn mark(frame: Pfn) -> [u64; 512] {
    [0x5050_0000_0000_0000 | frame.number(); 512]
}

fn load_and_call(plan: &Plan, machine: &mut Machine<Randomly>) -> Result<(), Error> {
    let (ram, mut segments) = (machine.ram(), segments(plan, machine));
    let wanted: Vec<_> = segments.iter().filter_map(destination).collect();
    let mut image = Image::new(&mut segments, &within(&ram), &mut *machine)?;
    let mut support = Vec::new();
    for &(order, low) in &plan.support {
        let first = image.support(order, if low { Zone::Below4GiB } else { Zone::Any })?;
        assert!(first.number().is_multiple_of(1 << order));
        assert!(!low || first.number() + (1 << order) <= FOUR_GIB);
        support.extend((0..1 << order).map(|offset| first.checked_add(offset).unwrap()));
    }
    for &frame in &support {
        assert!(!wanted.iter().any(|range| range.contains(frame)), "{frame:?} is a destination");
        *image.frames_mut().words(frame) = mark(frame);
    }
    let mut image = image.seal()?;
    let held = image.pages() + image.support_frames();
    let machine = image.frames_mut();
    let owned = machine.owners.iter().filter(|&&owner| owner == Owner::Image).count();
    assert_eq!(owned as u64, held, "the image knows what it holds");
    story(&mut image, |head, machine| {
        let moved = model::exchange(head, machine);
        assert!(support.iter().all(|&frame| *machine.peek(frame) == mark(frame)), "support frames stay");
        moved
    })
    .unwrap();
    questions(&mut image);
    Ok(())
}

fn destination(segment: &Segment) -> Option<phys::PhysRange> {
    phys::PhysRange::from_bytes(segment.mem, segment.memsz).ok()
}

/// The image's answers about its slots agree with a visit of all of them.
fn questions(image: &mut kimage::SealedImage<&mut Vec<Segment>, &mut Machine<Randomly>>) {
    let slots = slots(image);
    assert_eq!(slots.len() as u64, image.pages());
    let foreign: Vec<_> = slots.iter().filter(|(destination, source)| destination != source).collect();
    assert_eq!(image.claimed(), image.pages() - foreign.len() as u64);
    for &(destination, source) in &slots {
        assert_eq!(image.source_of(destination), Some(source));
    }
    for frame in image.frames_mut().ram().first().number() - 1..FOUR_GIB + 2500 {
        let frame = Pfn::new(frame).unwrap();
        let slot = slots.iter().find(|slot| slot.0 == frame);
        assert_eq!(image.source_of(frame), slot.map(|slot| slot.1));
    }
    let half = phys::PhysRange::new(Pfn::new(0).unwrap(), FOUR_GIB).unwrap();
    for reserved in [RangeSet::EMPTY, RangeSet::of(&half)] {
        let first = foreign.iter().find(|(destination, _)| !reserved.contains(*destination));
        let found = image.first_unclaimed(reserved);
        assert_eq!(found.map(|slot| (slot.destination, slot.source)), first.copied().copied());
        if let Some(slot) = found {
            assert_eq!(slot.segment.mem + slot.offset, slot.destination.address().get());
            assert_eq!(slot.bytes_from_buffer(), PAGE_SIZE);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn an_image_arrives_and_leaves_no_trace(plan in plans()) {
        let mut machine = machine(&plan);
        let owners = machine.owners.clone();
        if let Err(error) = load_and_call(&plan, &mut machine) {
            prop_assert!(matches!(error, Error::NoMemory { .. }), "{}", error);
        }
        prop_assert!(machine.owners == owners, "the allocator is exactly as it was");
    }

    #[test]
    fn every_page_takes_one_frame_however_many_destinations_are_handed_out(plan in plans()) {
        let plan = Plan { times: usize::MAX, support: Vec::new(), ..plan };
        let mut machine = machine(&plan);
        let (ram, mut segments) = (machine.ram(), segments(&plan, &machine));
        let image = Image::new(&mut segments, &within(&ram), &mut machine).and_then(Image::seal);
        let held = image.map_or(u64::MAX, |image| image.pages() + image.support_frames());
        // The final check needs a few more frames for a moment.
        prop_assert!(machine.handed_out <= held.saturating_add(4), "{} for {held}", machine.handed_out);
    }
}
