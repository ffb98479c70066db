//! Every behaviour of the allocator, on machines small enough to try them all.

mod simulation;

use kimage::{Error, Image, SealedImage, Segment, Zone, model};
use phys::Pfn;
use simulation::{Every, Machine, Owner, WORDS, segment, within};

/// Eight frames around 4 GiB, so that zones matter: four below, four above.
const BASE: u64 = 0x10_0000 - 4;

type World<'e> = Machine<&'e mut Every>;

/// Loads, calls twice and drops the image; checks all of memory after each step.
fn load_and_call(world: &mut World<'_>, segments: &mut [Segment]) -> Result<(), Error> {
    let ram = world.ram();
    let image = Image::new(segments, &within(&ram), &mut *world)?;
    let mut image = image.seal()?;
    fill(&mut image);
    let head = image.head();
    let slots = slots(&mut image);
    let world = image.frames_mut();
    let before = world.snapshot();
    for _ in 0..2 {
        model::exchange(head, *world);
        for &(destination, _) in &slots {
            assert_eq!(*world.peek(destination), contents(destination), "the image has arrived");
        }
        model::exchange(head, *world);
        assert!(world.snapshot() == before, "a second exchange restores every page");
    }
    for (frame, owner) in world.owners.iter().enumerate() {
        assert!(*owner != Owner::Kernel || world.snapshot()[frame] == before[frame]);
    }
    model::copy(head, *world);
    for (destination, _) in slots {
        assert_eq!(*world.peek(destination), contents(destination), "a copy arrives too");
    }
    Ok(())
}

fn contents(destination: Pfn) -> [u64; WORDS] {
    [0xabcd_0000 | destination.number(); WORDS]
}

fn fill(image: &mut SealedImage<'_, &mut World<'_>>) {
    let Ok(()) = image.visit(|world, slot| {
        *kimage::Frames::words(world, slot.source) = contents(slot.destination);
        Ok::<(), core::convert::Infallible>(())
    });
}

fn slots(image: &mut SealedImage<'_, &mut World<'_>>) -> Vec<(Pfn, Pfn)> {
    let mut slots = Vec::new();
    let Ok(()) = image.visit(|_, slot| {
        slots.push((slot.destination, slot.source));
        Ok::<(), core::convert::Infallible>(())
    });
    slots
}

#[test]
fn an_image_arrives_and_goes_for_every_order_of_allocation() {
    let mut arrived = 0;
    let runs = Every::sequence(|every| {
        let owners = vec![Owner::Free; 8];
        let mut world = Machine::new(BASE, owners.clone(), true, every);
        let mut segments = [segment(0, world.frame(1), 2), segment(1, world.frame(5), 1)];
        match load_and_call(&mut world, &mut segments) {
            Ok(()) => arrived += 1,
            Err(error) => assert!(matches!(error, Error::NoMemory { .. }), "{error}"),
        }
        assert_eq!(world.owners, owners, "the allocator is as it was");
    });
    println!("{runs} runs, {arrived} arrived");
    assert!(arrived > 1000);
}

#[test]
fn support_frames_are_no_destination_for_every_order_of_allocation() {
    Every::sequence(|every| {
        let owners = vec![Owner::Free; 8];
        let mut world = Machine::new(BASE, owners.clone(), true, every);
        let mut segments = [segment(0, world.frame(1), 1)];
        let ram = world.ram();
        let _ = Image::new(&mut segments, &within(&ram), &mut world).and_then(|mut image| {
            let first = image.support(1, Zone::Below4GiB)?;
            assert!(first.number() % 2 == 0 && first.number() + 2 <= 0x10_0000);
            image.seal().map(|_| ())
        });
        assert_eq!(world.owners, owners);
    });
}
