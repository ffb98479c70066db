//! Time and memory of a load, from 10^4 to 10^7 pages, and the growth between them.
//!
//! The allocator is simulated: it hands out the free frames of a machine in random order, half of
//! the destinations among them, and keeps contents only for frames that are accessed. Its own time
//! is printed separately.
//!
//! Times are CPU time of the thread, where Linux reports it: on a busy machine most of the elapsed
//! time goes to other programs.
//!
//! `--json` prints a JSON array of `{"name", "value", "unit"}` and nothing else.

use std::sync::LazyLock;
use std::time::Instant;

use kimage::{Error, Frames, Image, Rules, Segment, Zone};
use phys::{PAGE_SIZE, Pfn, PhysRange, RangeSet};

/// Pages and rounds. The fastest round counts: other programs on the machine can only add time.
const SIZES: [(u64, usize); 4] = [(10_000, 99), (100_000, 33), (1_000_000, 11), (10_000_000, 3)];

/// Segments of an image. The gaps between them are of the segments' size.
const SEGMENTS: u64 = 100;

fn main() -> Result<(), Error> {
    let json = std::env::args().any(|argument| argument == "--json");
    let mut figures = Vec::new();
    let mut smaller: Option<f64> = None;
    for (pages, rounds) in SIZES {
        let sample = measure(pages, rounds)?;
        sample.figures(pages, smaller, &mut figures);
        smaller = Some(sample.load);
    }
    if json {
        print_json(&figures);
    } else {
        print_text(&figures);
    }
    Ok(())
}

/// The costs of one size.
struct Sample {
    /// Seconds to load: check the segments, allocate, build the list, check it.
    load: f64,
    /// Seconds to visit every slot.
    visit: f64,
    /// Seconds to give everything back.
    release: f64,
    /// Seconds that the simulated allocator takes for the same frames alone.
    allocator: f64,
    /// The most frames held, in addition to the source pages.
    bookkeeping: u64,
    /// Pages that were their own source.
    claimed: u64,
}

struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
}

impl Sample {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn figures(&self, pages: u64, smaller: Option<f64>, figures: &mut Vec<Figure>) {
        let mut add = |name: &str, value, unit| {
            figures.push(Figure { name: format!("{pages} pages, {name}"), value, unit });
        };
        add("load", self.load, "s");
        if let Some(smaller) = smaller {
            add("growth of load to 10 times the pages", self.load / smaller, "x");
        }
        add("visit", self.visit, "s");
        add("release", self.release, "s");
        add("simulated allocator alone", self.allocator, "s");
        add("bookkeeping", (self.bookkeeping * PAGE_SIZE) as f64 / pages as f64, "bytes/page");
        add("claimed", self.claimed as f64 * 100.0 / pages as f64, "%");
    }
}

fn measure(pages: u64, rounds: usize) -> Result<Sample, Error> {
    let mut allocator = Allocator::new(pages);
    let mut best = load_once(&mut allocator, pages)?;
    for _ in 1..rounds {
        let next = load_once(&mut allocator, pages)?;
        best.load = best.load.min(next.load);
        best.visit = best.visit.min(next.visit);
        best.release = best.release.min(next.release);
        best.allocator = best.allocator.min(next.allocator);
    }
    Ok(best)
}

fn load_once(allocator: &mut Allocator, pages: u64) -> Result<Sample, Error> {
    let ranges = destinations(pages);
    let mut segments: Vec<Segment> = (0..).zip(&ranges).map(|(index, range)| segment(index, range)).collect();
    let mut allowed = ranges.clone();
    let rules = Rules { allowed: RangeSet::sort(&mut allowed), entry: None, max_pages: pages };

    let alone = allocator.time_alone(pages);
    allocator.reset();
    let start = seconds();
    let mut image = Image::new(&mut segments, &rules, &mut *allocator)?.seal()?;
    let load = seconds() - start;
    let (claimed, peak) = (image.claimed(), image.frames_mut().peak);

    let start = seconds();
    let mut visited = 0;
    image.visit(|_, slot| {
        visited += u64::from(slot.bytes_from_buffer() == PAGE_SIZE);
        Ok::<(), Error>(())
    })?;
    assert_eq!(visited, pages);
    let visit = seconds() - start;

    let start = seconds();
    drop(image);
    let release = seconds() - start;
    assert_eq!(allocator.held, 0, "every frame came back");
    Ok(Sample { load, visit, release, allocator: alone, bookkeeping: peak - pages, claimed })
}

/// A clock, in seconds.
fn seconds() -> f64 {
    // Yielding updates the kernel's count of CPU time, which otherwise is as old as the last timer
    // tick.
    std::thread::yield_now();
    let account = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let spent = account.split(' ').next().and_then(|nanoseconds| nanoseconds.parse::<f64>().ok());
    spent.map_or_else(|| START.elapsed().as_secs_f64(), |nanoseconds| nanoseconds / 1e9)
}

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

fn segment(index: u32, range: &PhysRange) -> Segment {
    Segment::new(index, 0, range.bytes(), range.start().get(), range.bytes())
}

/// The destinations: every other piece of memory, from 1 GiB on.
fn destinations(pages: u64) -> Vec<PhysRange> {
    let each = pages / SEGMENTS;
    let first = |number: u64| Pfn::new(FIRST_DESTINATION + number * each * 2);
    let range = |number| first(number).and_then(|first| PhysRange::new(first, each).ok());
    (0..SEGMENTS).filter_map(range).collect()
}

const FIRST_DESTINATION: u64 = 0x4_0000;

/// A simulated page allocator, fast compared with the measured code.
struct Allocator {
    /// The free frames in the order in which they are handed out, `next` first. Frames that come
    /// back go in front.
    order: Vec<u32>,
    next: usize,
    held: u64,
    peak: u64,
    /// For every frame the number of its contents, 0 for none.
    backing: Vec<u32>,
    contents: Vec<[u64; 512]>,
}

impl Allocator {
    /// Half of the destinations are free, and slightly more other frames.
    fn new(pages: u64) -> Self {
        let end = FIRST_DESTINATION + pages * 2;
        let each = pages / SEGMENTS;
        let is_destination = |frame: u64| ((frame - FIRST_DESTINATION) / each).is_multiple_of(2);
        let mut random = Random(1);
        let few_others = |random: &mut Random| random.below(100) < 53;
        let half = |random: &mut Random| random.below(2) == 0;
        let mut order: Vec<u32> = (FIRST_DESTINATION..end)
            .filter(|&frame| if is_destination(frame) { half(&mut random) } else { few_others(&mut random) })
            .filter_map(|frame| u32::try_from(frame).ok())
            .collect();
        for last in (1..order.len()).rev() {
            order.swap(last, random.below(last + 1));
        }
        let frames = usize::try_from(end).unwrap_or(0);
        // Reserved in one piece: untouched memory costs nothing, and nothing is moved as it grows.
        let mut contents = Vec::with_capacity(frames / 100 + 100);
        contents.push([0; 512]);
        Self { order, next: 0, held: 0, peak: 0, backing: vec![0; frames], contents }
    }

    /// Forgets which frames had contents.
    fn reset(&mut self) {
        self.peak = 0;
        self.backing.fill(0);
        self.contents.truncate(1);
    }

    /// The time to hand out this many frames and to take them back.
    fn time_alone(&mut self, pages: u64) -> f64 {
        let start = seconds();
        let mut taken = Vec::new();
        for _ in 0..pages {
            taken.extend(self.alloc(0, Zone::Any));
        }
        for frame in taken.into_iter().rev() {
            self.free(frame);
        }
        seconds() - start
    }
}

impl Frames for Allocator {
    fn alloc(&mut self, order: u32, _: Zone) -> Option<Pfn> {
        let frame = *self.order.get(self.next).filter(|_| order == 0)?;
        self.next += 1;
        self.held += 1;
        self.peak = self.peak.max(self.held);
        Pfn::new(frame.into())
    }

    fn free(&mut self, frame: Pfn) {
        self.next -= 1;
        self.held -= 1;
        self.order[self.next] = u32::try_from(frame.number()).unwrap_or(0);
    }

    fn words(&mut self, frame: Pfn) -> &mut [u64; 512] {
        let backing = &mut self.backing[usize::try_from(frame.number()).unwrap_or(0)];
        if *backing == 0 {
            *backing = u32::try_from(self.contents.len()).unwrap_or(0);
            self.contents.push([0; 512]);
        }
        &mut self.contents[*backing as usize]
    }
}

/// xorshift64* (Vigna 2016): the same numbers every time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let number = u128::from(self.0.wrapping_mul(0x2545_f491_4f6c_dd1d));
        usize::try_from((number * limit as u128) >> 64).unwrap_or(0)
    }
}

fn print_text(figures: &[Figure]) {
    for Figure { name, value, unit } in figures {
        println!("{name:<60} {value:>12.6} {unit}");
    }
}

fn print_json(figures: &[Figure]) {
    let entry = |Figure { name, value, unit }: &Figure| {
        format!("  {{\"name\": \"{name}\", \"value\": {value}, \"unit\": \"{unit}\"}}")
    };
    let entries: Vec<String> = figures.iter().map(entry).collect();
    println!("[\n{}\n]", entries.join(",\n"));
}
