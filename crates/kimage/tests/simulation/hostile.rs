//! Any bytes as a load: segments, allowed ranges, entry point, the allocator's choices. For the
//! fuzzer, and for tests that keep its findings.

use std::collections::BTreeSet;

use kimage::{Error, Frames, Image, Rules, SealedImage, Segment, Zone, model};
use phys::{ADDRESS_END, PAGE_SIZE, Pfn, PhysRange, RangeSet};

use super::{Chooser, FOUR_GIB, Machine, Owner, slots, story};

/// Frames of the machine, half of them below 4 GiB.
const FRAMES: u64 = 32;
const BASE: u64 = FOUR_GIB - FRAMES / 2;

/// The load that the bytes describe.
struct Load {
    segments: Vec<Segment>,
    allowed: Vec<PhysRange>,
    entry: Option<u64>,
    max_pages: u64,
    support: Vec<(u32, Zone)>,
}

/// The outcome of a load that kept all promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Refused,
    NoMemory,
    Sealed,
}

/// Loads what the bytes describe and asserts every promise about the outcome.
pub(crate) fn hostile_load(bytes: &[u8]) -> Outcome {
    let mut bytes = Bytes(bytes);
    let load = Load::read(&mut bytes);
    let owners: Vec<Owner> =
        (0..FRAMES).map(|_| if bytes.byte() % 4 == 3 { Owner::Kernel } else { Owner::Free }).collect();
    let mut machine = Machine::new(BASE, owners.clone(), bytes);
    let (mut segments, mut allowed) = (load.segments.clone(), load.allowed.clone());
    let rules = Rules { allowed: RangeSet::sort(&mut allowed), entry: load.entry, max_pages: load.max_pages };
    let outcome = match Image::new(&mut segments, &rules, &mut machine) {
        Ok(image) => go_on(image, &load),
        Err(Error::NoMemory { .. }) => Outcome::NoMemory,
        Err(error) => load.refused(error),
    };
    assert_eq!(outcome != Outcome::Refused, load.verdict() == Ok(()), "{:?}", load.verdict());
    assert_eq!(machine.owners, owners, "the allocator is exactly as it was");
    outcome
}

fn go_on(mut image: Image<&mut Vec<Segment>, &mut Machine<Bytes<'_>>>, load: &Load) -> Outcome {
    let mut support = Vec::new();
    for &(order, zone) in &load.support {
        match image.support(order, zone) {
            Ok(first) => support.extend((0..1 << order).filter_map(|offset| first.checked_add(offset))),
            Err(error) => assert!(matches!(error, Error::NoMemory { .. }), "{error}"),
        }
    }
    for &frame in &support {
        image.frames_mut().words(frame).fill(frame.number());
    }
    let mut image = match image.seal() {
        Ok(image) => image,
        Err(error) => {
            assert!(matches!(error, Error::NoMemory { .. }), "{error}");
            return Outcome::NoMemory;
        }
    };
    assert_sound(&mut image, &support);
    let machine = image.frames_mut().ram();
    if image.segments().iter().all(|segment| destination(segment).is_some_and(|d| machine.contains_range(d)))
    {
        story(&mut image, model::exchange).unwrap();
    }
    let words =
        support.iter().all(|&frame| image.frames_mut().words(frame).iter().all(|&w| w == frame.number()));
    assert!(words, "support frames stay as they are");
    Outcome::Sealed
}

/// The two invariants, and that support frames are not destinations.
fn assert_sound(image: &mut SealedImage<impl AsRef<[Segment]>, &mut Machine<Bytes<'_>>>, support: &[Pfn]) {
    let slots = slots(image);
    let destinations: BTreeSet<Pfn> = slots.iter().map(|slot| slot.0).collect();
    let sources: BTreeSet<Pfn> = slots.iter().map(|slot| slot.1).collect();
    assert_eq!((destinations.len(), sources.len()), (slots.len(), slots.len()));
    assert!(slots.iter().all(|&(to, from)| to == from || !destinations.contains(&from)));
    assert!(support.iter().all(|frame| !destinations.contains(frame) && !sources.contains(frame)));
}

fn destination(segment: &Segment) -> Option<PhysRange> {
    PhysRange::from_bytes(segment.mem, segment.memsz).ok()
}

impl Load {
    fn read(bytes: &mut Bytes<'_>) -> Self {
        let count = u32::from(bytes.byte() % 12);
        let segments = (0..count)
            .map(|index| Segment::new(index, bytes.number(), bytes.size(), bytes.number(), bytes.size()))
            .collect();
        let allowed = (0..bytes.byte() % 6)
            .filter_map(|_| PhysRange::around_bytes(bytes.number(), bytes.size()).ok())
            .chain(PhysRange::from_bytes(BASE * PAGE_SIZE, FRAMES * PAGE_SIZE))
            .collect();
        let entry = bytes.byte().is_multiple_of(4).then(|| bytes.number());
        let max_pages = if bytes.byte().is_multiple_of(4) { bytes.size() / PAGE_SIZE } else { u64::MAX };
        let zone = |byte| if byte & 1 == 0 { Zone::Any } else { Zone::Below4GiB };
        let support =
            (0..bytes.byte() % 4).map(|_| (u32::from(bytes.byte() % 13), zone(bytes.byte()))).collect();
        Self { segments, allowed, entry, max_pages, support }
    }

    /// Whether an image may be made of this, by rules in their simplest form.
    fn verdict(&self) -> Result<(), &'static str> {
        let owning = || self.segments.iter().filter(|segment| segment.memsz != 0);
        let wrong = |message, wrong: bool| if wrong { Err(message) } else { Ok(()) };
        wrong("alignment", self.segments.iter().any(unaligned))?;
        wrong("buffer", self.segments.iter().any(|segment| segment.bufsz > segment.memsz))?;
        wrong("end", owning().any(|segment| end(segment) > u128::from(ADDRESS_END)))?;
        wrong("allowed", owning().any(|segment| self.first_not_allowed(segment).is_some()))?;
        let overlaps = |a: &Segment| owning().any(|b| a.index != b.index && common(a, b).is_some());
        wrong("overlap", owning().any(overlaps))?;
        wrong("pages", owning().map(|segment| segment.memsz / PAGE_SIZE).sum::<u64>() > self.max_pages)?;
        let outside =
            |entry| !owning().any(|segment| segment.mem <= entry && u128::from(entry) < end(segment));
        wrong("entry", self.entry.is_some_and(outside))
    }

    /// The error is true of the segments.
    fn refused(&self, error: Error) -> Outcome {
        let segment = |index: u32| &self.segments[index as usize];
        let is_true = match error {
            Error::Unaligned { segment: index, .. } => unaligned(segment(index)),
            Error::BufferTooLong { segment: index, bufsz, memsz } => {
                bufsz > memsz && segment(index).bufsz == bufsz && segment(index).memsz == memsz
            }
            Error::TooHigh { segment: index, .. } => end(segment(index)) > u128::from(ADDRESS_END),
            Error::NotAllowed { segment: index, address, .. } => {
                self.first_not_allowed(segment(index)) == Some(address)
            }
            Error::Overlap { segments: [a, b], start, end } => {
                common(segment(a), segment(b)) == Some((start, u128::from(end)))
            }
            Error::TooManyPages { limit, .. } => limit == self.max_pages,
            Error::EntryOutside { entry } => self.entry == Some(entry),
            _ => false,
        };
        assert!(is_true, "{error}");
        Outcome::Refused
    }

    fn first_not_allowed(&self, segment: &Segment) -> Option<u64> {
        let mut address = segment.mem;
        while u128::from(address) < end(segment) {
            let holds = |range: &&PhysRange| range.start().get() <= address && address < range.end();
            match self.allowed.iter().find(holds) {
                Some(range) => address = range.end(),
                None => return Some(address),
            }
        }
        None
    }
}

fn unaligned(segment: &Segment) -> bool {
    !(segment.mem | segment.memsz).is_multiple_of(PAGE_SIZE)
}

fn end(segment: &Segment) -> u128 {
    u128::from(segment.mem) + u128::from(segment.memsz)
}

/// The bytes that both segments would occupy.
fn common(a: &Segment, b: &Segment) -> Option<(u64, u128)> {
    let (start, end) = (a.mem.max(b.mem), end(a).min(end(b)));
    (u128::from(start) < end).then_some((start, end))
}

/// The fuzzer's bytes, read one by one; zeros after the end.
pub(crate) struct Bytes<'b>(&'b [u8]);

impl Bytes<'_> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// An address: mostly a page of the machine, sometimes anything.
    fn number(&mut self) -> u64 {
        match self.byte() {
            255 => (0..8).fold(0, |number, _| number << 8 | u64::from(self.byte())),
            254 => 1_u64.rotate_right(u32::from(self.byte())).wrapping_sub(u64::from(self.byte())),
            253 => BASE * PAGE_SIZE + u64::from(self.byte()),
            page => (BASE + u64::from(page) % (FRAMES + 4) - 2) * PAGE_SIZE,
        }
    }

    /// A length: mostly a few pages, sometimes anything.
    fn size(&mut self) -> u64 {
        match self.byte() {
            byte @ 0..240 => u64::from(byte % 12) * PAGE_SIZE,
            byte @ 240..250 => u64::from(byte) * PAGE_SIZE,
            _ => self.number(),
        }
    }
}

/// The bytes decide what is handed out, and when there is no memory left.
impl Chooser for Bytes<'_> {
    fn choose(&mut self, runs: &[usize]) -> Option<usize> {
        match self.byte() {
            255 => None,
            byte => usize::from(byte).checked_rem(runs.len()),
        }
    }
}
