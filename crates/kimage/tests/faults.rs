//! The tests and the final check can fail: they detect a faulty page mover and all damage to a page
//! list.

// Machines of this size take Miri hours.
#![cfg(not(miri))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on has failed")]

mod simulation;

use kimage::list::{DESTINATION, DONE, INDIRECTION, SOURCE, TAG_MASK, address};
use kimage::model::{self, Memory};
use kimage::{Error, Frames, Image, ListFault, SealedImage, Segment, Zone};
use phys::{Pfn, PhysAddr};
use simulation::{FOUR_GIB, Machine, Owner, Randomly, segment, slots, story, within};

type World = Machine<Randomly>;

/// Words in a list frame before its link.
const LINK: usize = 511;

/// A machine of which every fifth frame is taken, and two segments that need two list frames. Some
/// of their pages are claimed and some are not.
fn world() -> (World, [Segment; 2]) {
    let owners = (0..1600).map(|frame| if frame % 5 == 0 { Owner::Kernel } else { Owner::Free }).collect();
    let world = Machine::new(0x200, owners, Randomly::from(7));
    let segments = [segment(0, world.frame(700), 40), segment(1, world.frame(10), 500)];
    (world, segments)
}

type Sealed<'a> = SealedImage<&'a mut [Segment], &'a mut World>;

fn sealed<'a>(world: &'a mut World, segments: &'a mut [Segment]) -> Sealed<'a> {
    let ram = world.ram();
    let image = Image::new(segments, &within(&ram), world).unwrap().seal().unwrap();
    assert!(image.claimed() > 50 && image.claimed() + 50 < image.pages());
    image
}

#[test]
fn a_sound_mover_passes() {
    let (mut world, mut segments) = world();
    story(&mut sealed(&mut world, &mut segments), model::exchange).unwrap();
}

#[test]
fn a_mover_that_only_copies_is_noticed() {
    let (mut world, mut segments) = world();
    let fault = story(&mut sealed(&mut world, &mut segments), model::copy).unwrap_err();
    assert_eq!(fault, "memory is not as it was");
}

/// Memory in which a mover makes a mistake.
struct Faulty<'w> {
    world: &'w mut World,
    fault: fn(&mut World, Pfn, Pfn),
}

impl Memory for Faulty<'_> {
    fn word(&mut self, address: PhysAddr) -> u64 {
        self.world.word(address)
    }

    fn copy(&mut self, destination: Pfn, source: Pfn) {
        self.world.copy(destination, source);
    }

    fn exchange(&mut self, destination: Pfn, source: Pfn) {
        (self.fault)(self.world, destination, source);
    }
}

#[test]
fn a_mover_with_a_fault_in_a_single_page_is_noticed() {
    let faults: [fn(&mut World, Pfn, Pfn); 4] = [
        |world, to, from| world.exchange(to.checked_add(1).unwrap(), from),
        |world, to, from| {
            if to.number() != 0x200 + 700 {
                world.exchange(to, from);
            }
        },
        |world, to, from| {
            world.exchange(to, from);
            let last = world.peek(to)[511];
            world.poke(to, 511, last ^ 1);
        },
        |world, to, from| {
            world.exchange(to, from);
            world.poke(world.frame(0), 3, from.number());
        },
    ];
    for fault in faults {
        let (mut world, mut segments) = world();
        world.owners[700] = Owner::Kernel;
        let mut image = sealed(&mut world, &mut segments);
        story(&mut image, |head, world| model::exchange(head, &mut Faulty { world, fault })).unwrap_err();
    }
}

#[test]
fn a_mover_that_forgets_the_link_between_list_frames_is_noticed() {
    let (mut world, mut segments) = world();
    let mut image = sealed(&mut world, &mut segments);
    let first = address(image.head());
    let unlinked = |head, world: &mut &mut World| {
        let frame = Pfn::starting_at(first).unwrap();
        let link = world.poke(frame, LINK, DONE);
        let moved = model::exchange(head, *world);
        world.poke(frame, LINK, link);
        moved
    };
    story(&mut image, |head, world| unlinked(head, &mut &mut *world)).unwrap_err();
}

/// Changes a word of a sealed list and returns the result of the check. The damaged image is
/// leaked.
fn verdict(damage: impl FnOnce(&mut List<'_, '_>)) -> Result<(), Error> {
    let (mut world, mut segments) = world();
    let mut image = sealed(&mut world, &mut segments);
    let held = image.pages() + image.support_frames();
    damage(&mut List { frames: list_frames(&mut image), slots: slots(&mut image), image: &mut image });
    let verdict = image.verify();
    drop(image);
    let kept = world.owners.iter().filter(|&&owner| owner == Owner::Image).count();
    assert_eq!(kept as u64, if verdict.is_ok() { 0 } else { held }, "a list that is wrong frees nothing");
    verdict
}

fn fault(damage: impl FnOnce(&mut List<'_, '_>)) -> ListFault {
    match verdict(damage) {
        Err(Error::List { fault, .. }) => fault,
        other => panic!("{other:?}"),
    }
}

struct List<'l, 'i> {
    frames: [Pfn; 2],
    slots: Vec<(Pfn, Pfn)>,
    image: &'l mut Sealed<'i>,
}

fn list_frames(image: &mut Sealed<'_>) -> [Pfn; 2] {
    let first = Pfn::starting_at(address(image.head())).unwrap();
    let link = image.frames_mut().words(first)[LINK];
    assert_eq!(link & TAG_MASK, INDIRECTION);
    [first, Pfn::starting_at(address(link)).unwrap()]
}

impl List<'_, '_> {
    /// The word with this number, links not counted.
    fn word(&mut self, position: usize) -> &mut u64 {
        &mut self.image.frames_mut().words(self.frames[position / LINK])[position % LINK]
    }

    fn link(&mut self, frame: usize) -> &mut u64 {
        &mut self.image.frames_mut().words(self.frames[frame])[LINK]
    }

    /// The word of the first slot whose source is (or is not) its destination. The first segment's
    /// 500 slots follow its destination.
    fn slot(&self, claimed: bool) -> usize {
        1 + self.slots.iter().position(|(destination, source)| (destination == source) == claimed).unwrap()
    }
}

#[test]
fn a_list_as_it_was_built_passes() {
    assert_eq!(verdict(|_| ()), Ok(()));
}

#[test]
fn a_source_used_twice_is_refused() {
    let found = fault(|list| {
        let (first, other) = (list.slot(false), 1 + 500 + 1);
        *list.word(other) = *list.word(first);
    });
    assert_eq!(found, ListFault::Doubled);
}

#[test]
fn a_source_that_is_the_destination_of_another_slot_is_refused() {
    let found = fault(|list| {
        let (claimed, other) = (list.slot(true), list.slot(false));
        *list.word(other) = *list.word(claimed);
    });
    assert_eq!(found, ListFault::Stolen);
}

#[test]
fn a_source_that_is_a_support_frame_is_refused() {
    let found = fault(|list| {
        let (position, frame) = (list.slot(false), list.frames[1]);
        *list.word(position) = frame.address().get() | SOURCE;
    });
    assert_eq!(found, ListFault::Doubled);
}

#[test]
fn a_list_without_its_end_is_refused() {
    for instead in [0, SOURCE, DONE | SOURCE, 0x1000 | DONE] {
        assert_eq!(fault(|list| *list.word(542) = instead), ListFault::Done);
    }
}

#[test]
fn a_list_that_ends_early_is_refused() {
    assert_eq!(fault(|list| *list.word(100) = DONE), ListFault::Source);
    assert_eq!(fault(|list| *list.word(501) = DONE), ListFault::Destination);
    assert_eq!(fault(|list| *list.link(0) = DONE), ListFault::Chain);
}

#[test]
fn a_chain_that_runs_in_a_circle_or_away_is_refused() {
    let found = fault(|list| *list.link(0) = list.frames[0].address().get() | INDIRECTION);
    assert_eq!(found, ListFault::Chain, "a circle of one frame");
    let found = fault(|list| *list.word(200) = list.frames[0].address().get() | INDIRECTION);
    assert_eq!(found, ListFault::Source, "a circle from the middle of a frame");
    let found = fault(|list| *list.link(0) = list.slots[0].1.address().get() | INDIRECTION);
    assert_eq!(found, ListFault::Chain, "into a source page");
    assert_eq!(fault(|list| *list.link(0) = INDIRECTION), ListFault::Chain);
    assert_eq!(fault(|list| *list.link(0) = 0), ListFault::Chain);
}

#[test]
fn a_destination_that_no_segment_has_is_refused() {
    assert_eq!(fault(|list| *list.word(0) += 0x1000), ListFault::Destination);
    assert_eq!(fault(|list| *list.word(501) = 0x1000 | DESTINATION), ListFault::Destination);
}

#[test]
fn no_flipped_bit_goes_unnoticed() {
    // A flip in the address of a source may name another unused frame, so only its tag is tried.
    for bit in 0..64 {
        for (position, bits) in [(0, 64), (1, 12), (510, 12), (511, 12), (541, 12), (542, 64)] {
            if bit < bits {
                fault(|list| *list.word(position) ^= 1 << bit);
            }
        }
        fault(|list| *list.link(0) ^= 1 << bit);
    }
    for bit in 52..64 {
        assert_eq!(fault(|list| *list.word(1) ^= 1 << bit), ListFault::Source);
    }
}

/// Hands out the frames of a list, whatever the request.
struct Careless {
    words: [[u64; 512]; 8],
    to_hand_out: Vec<u64>,
    given_back: Vec<u64>,
}

impl Frames for Careless {
    fn alloc(&mut self, _: u32, _: Zone) -> Option<Pfn> {
        if self.to_hand_out.is_empty() { None } else { Pfn::new(self.to_hand_out.remove(0)) }
    }

    fn free(&mut self, frame: Pfn) {
        self.given_back.push(frame.number());
    }

    fn words(&mut self, frame: Pfn) -> &mut [u64; 512] {
        &mut self.words[usize::try_from(frame.number()).unwrap()]
    }
}

/// Loads an image of the frames 3 and 4 from an allocator that hands out these frames, with a run
/// of two frames as support if asked. Returns the error and the frames given back.
fn careless(to_hand_out: &[u64], support: Option<Zone>) -> (Error, Vec<u64>) {
    let mut frames =
        Careless { words: [[0; 512]; 8], to_hand_out: to_hand_out.to_vec(), given_back: Vec::new() };
    let ram = phys::PhysRange::from_bytes(0, 0x8000).unwrap();
    let mut segments = [segment(0, Pfn::new(3).unwrap(), 2)];
    let mut load = |frames| {
        let mut image = Image::new(&mut segments, &within(&ram), frames)?;
        if let Some(zone) = support {
            image.support(1, zone)?;
        }
        image.seal().map(|_| ())
    };
    let error = load(&mut frames).unwrap_err();
    (error, frames.given_back)
}

#[test]
fn an_allocator_that_hands_out_a_destination_twice_is_noticed() {
    let bad = Error::BadFrame { frame: 3, order: 0, zone: Zone::Any };
    assert_eq!(careless(&[1, 2, 3, 3], None), (bad, vec![]), "once the list stands");
    assert_eq!(careless(&[1, 3, 3, 2], None), (bad, vec![]), "before");
}

#[test]
fn an_allocator_that_hands_out_a_source_or_support_frame_twice_is_noticed() {
    let doubled = |position, word| Error::List { fault: ListFault::Doubled, position, word };
    assert_eq!(careless(&[1, 2, 5, 5, 6], None), (doubled(2, 0x5008), vec![6]));
    assert_eq!(careless(&[1, 2, 2, 5, 6], None), (doubled(1, 0x2008), vec![6]));
}

#[test]
fn a_run_that_is_not_as_promised_goes_back() {
    let given_back = vec![5, 6, 2, 1];
    let bad = Error::BadFrame { frame: 5, order: 1, zone: Zone::Any };
    assert_eq!(careless(&[1, 2, 5], Some(Zone::Any)), (bad, given_back));
    let bad = Error::BadFrame { frame: FOUR_GIB, order: 1, zone: Zone::Below4GiB };
    assert_eq!(careless(&[1, 2, FOUR_GIB], Some(Zone::Below4GiB)), (bad, vec![FOUR_GIB, FOUR_GIB + 1, 2, 1]));
}
