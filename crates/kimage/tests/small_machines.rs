//! Every behaviour of the allocator, on machines small enough to try them all: which frame it hands
//! out each time, and when it runs out.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod simulation;

use kimage::{Error, Image, Segment, Zone, model};
use phys::Pfn;
use simulation::{Every, FOUR_GIB, Machine, Owner, Randomly, Script, segment, slots, story, within};

type World<'e> = Machine<&'e mut Every>;

#[test]
fn an_image_arrives_and_leaves_whatever_frames_are_free_and_wherever_it_goes() {
    let (mut loads, mut arrived) = (0, 0);
    for (free, wanted) in worlds() {
        for joined in [false, true] {
            loads +=
                Every::sequence(|every| arrived += u64::from(load_small(0, &free, &wanted, joined, every)));
        }
    }
    println!("{loads} loads, {arrived} arrived");
    assert!(arrived > if cfg!(miri) { 10 } else { 50_000 } && loads > arrived);
}

/// Which frames are free and which are destinations: every case with six frames. For Miri, one case
/// with four.
fn worlds() -> Vec<(Vec<bool>, Vec<bool>)> {
    if cfg!(miri) {
        return vec![(vec![true; 4], vec![false, true, false, false])];
    }
    let subsets = || (0..64).map(|bits| (0..6).map(|bit| bits >> bit & 1 == 1).collect());
    subsets().flat_map(|free: Vec<bool>| subsets().map(move |wanted| (free.clone(), wanted))).collect()
}

#[test]
#[cfg_attr(miri, ignore = "too many cases for it")]
fn an_image_of_two_segments_around_4_gib_arrives_and_leaves() {
    let wanted = [false, true, true, false, false, true, false, false];
    let mut arrived = 0;
    Every::sequence(|every| {
        arrived += u64::from(load_small(FOUR_GIB - 4, &[true; 8], &wanted, true, every));
    });
    assert!(arrived > 10_000, "{arrived}");
}

/// Loads an image and calls it. Returns whether memory sufficed.
fn load_small(base: u64, free: &[bool], wanted: &[bool], joined: bool, every: &mut Every) -> bool {
    let owners: Vec<Owner> =
        free.iter().map(|&free| if free { Owner::Free } else { Owner::Kernel }).collect();
    let mut world = Machine::new(base, owners.clone(), every);
    let before = world.snapshot();
    let result = load_and_call(&mut world, &mut segments(base, wanted, joined));
    assert_eq!(world.owners, owners, "the allocator is exactly as it was");
    for (frame, &free) in free.iter().enumerate() {
        assert!(free || world.snapshot()[frame] == before[frame], "the kernel's frame {frame} is as it was");
    }
    match result {
        Ok(()) => true,
        Err(Error::NoMemory { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

fn load_and_call(world: &mut World<'_>, segments: &mut [Segment]) -> Result<(), Error> {
    let ram = world.ram();
    let mut image = Image::new(segments, &within(&ram), &mut *world)?.seal()?;
    let exchanged = slots(&mut image).iter().filter(|(destination, source)| destination != source).count();
    assert_eq!(image.claimed() + exchanged as u64, image.pages());
    assert_eq!(image.first_unclaimed(phys::RangeSet::EMPTY).is_some(), exchanged > 0);
    story(&mut image, |head, world| {
        let moved = model::exchange(head, world);
        assert_eq!(moved, exchanged as u64);
        moved
    })
    .map_err(|fault| panic!("{fault}"))
}

/// Segments for the wanted frames: one for each, or one for neighbours together.
fn segments(base: u64, wanted: &[bool], joined: bool) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    let frames = (base..).zip(wanted).filter_map(|(number, &wanted)| Pfn::new(number).filter(|_| wanted));
    for frame in frames {
        let (index, address) = (u32::try_from(segments.len()).unwrap(), frame.address().get());
        match segments.last_mut() {
            Some(last) if joined && last.mem + last.memsz == address => last.memsz += phys::PAGE_SIZE,
            _ => segments.push(segment(index, frame, 1)),
        }
    }
    for segment in &mut segments {
        segment.bufsz = segment.memsz;
    }
    segments.reverse();
    segments
}

#[test]
fn support_frames_are_not_destinations_and_survive_the_exchange() {
    let mut arrived = 0;
    for wanted in 0..if cfg!(miri) { 1 } else { 8 } {
        Every::sequence(|every| {
            let owners = vec![Owner::Free; if cfg!(miri) { 5 } else { 8 }];
            let mut world = Machine::new(FOUR_GIB - 4, owners.clone(), every);
            let wanted = world.frame(wanted);
            arrived += u64::from(load_with_support(&mut world, wanted).is_ok());
            assert_eq!(world.owners, owners, "the allocator is exactly as it was");
        });
    }
    assert!(cfg!(miri) || arrived > 1000, "{arrived}");
}

fn load_with_support(world: &mut World<'_>, wanted: Pfn) -> Result<(), Error> {
    let ram = world.ram();
    let mut segments = [segment(0, wanted, 1)];
    let mut image = Image::new(&mut segments, &within(&ram), &mut *world)?;
    let run = image.support(1, Zone::Below4GiB)?;
    assert!(run.number().is_multiple_of(2) && run.number() + 2 <= FOUR_GIB);
    assert!(run != wanted && run.checked_add(1) != Some(wanted));
    let mut image = image.seal()?;
    assert_eq!(image.support_frames(), 4, "a ledger frame, a list frame and the run");
    story(&mut image, model::exchange).map_err(|fault| panic!("{fault}"))
}

#[test]
fn a_failed_request_for_support_leaves_the_image_usable() {
    let mut recovered = 0;
    Every::sequence(|every| {
        let owners = vec![Owner::Free; if cfg!(miri) { 4 } else { 6 }];
        let mut world = Machine::new(0, owners.clone(), every);
        let ram = world.ram();
        let mut segments = [segment(0, world.frame(1), 1)];
        if let Ok(mut image) = Image::new(&mut segments, &within(&ram), &mut world)
            && image.support(1, Zone::Any).is_err()
            && let Ok(mut image) = image.seal()
        {
            recovered += 1;
            story(&mut image, model::exchange).unwrap();
        }
        assert_eq!(world.owners, owners);
    });
    assert!(cfg!(miri) || recovered > 10, "{recovered}");
}

#[test]
fn the_rest_of_a_run_with_a_destination_in_it_becomes_a_source() {
    let mut world = Machine::new(0, vec![Owner::Free; 8], Script(vec![5, 6, 2, 0, 4]));
    let (ram, mut segments) = (world.ram(), [3, 7].map(|frame| segment(0, world.frame(frame), 1)));
    let mut image = Image::new(&mut segments, &within(&ram), &mut world).unwrap();
    assert_eq!(image.support(1, Zone::Any), Ok(Pfn::new(0).unwrap()), "not 2 and 3, handed out first");
    let mut image = image.seal().unwrap();
    let pair = |destination, source| (Pfn::new(destination).unwrap(), Pfn::new(source).unwrap());
    assert_eq!(slots(&mut image), [pair(3, 3), pair(7, 2)]);
}

#[test]
fn the_rest_of_a_run_above_4_gib_is_not_handed_out_below() {
    let mut world = Machine::new(FOUR_GIB - 4, vec![Owner::Free; 12], Script(vec![10, 11, 4, 0, 2, 6, 7, 8]));
    let (ram, mut segments) = (world.ram(), [segment(0, world.frame(5), 1)]);
    let mut image = Image::new(&mut segments, &within(&ram), &mut world).unwrap();
    assert_eq!(image.support(1, Zone::Any), Ok(Pfn::new(FOUR_GIB - 4).unwrap()), "not 4 and 5");
    assert_eq!(
        image.support(0, Zone::Below4GiB),
        Ok(Pfn::new(FOUR_GIB - 2).unwrap()),
        "not the rest of them"
    );
    assert_eq!(image.seal().unwrap().claimed(), 1);
}

#[test]
#[cfg_attr(miri, ignore = "too large for it")]
fn a_list_takes_a_frame_for_511_words() {
    for (pages, list_frames) in [(0, 1), (509, 1), (510, 2), (1020, 2), (1021, 3)] {
        let mut world = Machine::new(0, vec![Owner::Free; 1100], Randomly::from(1));
        let (ram, mut segments) = (world.ram(), [segment(0, world.frame(20), pages)]);
        let image = Image::new(&mut segments, &within(&ram), &mut world).unwrap().seal().unwrap();
        assert_eq!(image.support_frames(), list_frames + 1, "with the ledger, for {pages} pages");
    }
}

#[test]
fn an_unneeded_rest_of_a_run_goes_back() {
    let mut world = Machine::new(0, vec![Owner::Free; 12], Script(vec![10, 11, 4, 0, 9]));
    let (ram, mut segments) = (world.ram(), [segment(0, world.frame(5), 1)]);
    let mut image = Image::new(&mut segments, &within(&ram), &mut world).unwrap();
    assert_eq!(image.support(2, Zone::Any), Ok(Pfn::new(0).unwrap()), "not 4 to 7, handed out first");
    let mut image = image.seal().unwrap();
    assert_eq!((image.claimed(), image.support_frames()), (1, 6));
    let owners = &image.frames_mut().owners;
    let held: Vec<_> = (0..12).filter(|&frame| owners[frame] == Owner::Image).collect();
    assert_eq!(held, [0, 1, 2, 3, 5, 10, 11]);
}

#[test]
fn the_drawn_example_happens_as_drawn() {
    let mut world = Machine::new(0, vec![Owner::Free; 8], Script(vec![5, 6, 7, 2, 0]));
    let (ram, mut segments) = (world.ram(), [segment(0, world.frame(2), 2)]);
    let mut image = Image::new(&mut segments, &within(&ram), &mut world).unwrap().seal().unwrap();
    let pair = |destination, source| (Pfn::new(destination).unwrap(), Pfn::new(source).unwrap());
    assert_eq!(slots(&mut image), [pair(2, 2), pair(3, 7)]);
    assert_eq!(image.head(), 0x6002);
    let words = image.frames_mut().peek(Pfn::new(6).unwrap());
    assert_eq!(words[..4], [0x2001, 0x2008, 0x7008, 4]);
}
