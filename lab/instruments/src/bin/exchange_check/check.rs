use std::fs;

use abi::control::mover;
use anyhow::{Context as _, Result, ensure};
use kimage::model;
use relocator::Direction;

use crate::arena::Arena;
use crate::kind::Kind;
use crate::random::Random;
use crate::tally::Tally;
use crate::window::Window;
use crate::{build, write};

/// A mover of pages.
#[derive(Clone, Copy)]
pub(crate) struct Mover {
    number: u64,
    name: &'static str,
}

impl Mover {
    const ALL: [Self; 3] = [
        Self { number: mover::WORD, name: "word" },
        Self { number: mover::SSE2, name: "sse2" },
        Self { number: mover::AVX, name: "avx" },
    ];

    /// The movers that this CPU supports, and the names of the others.
    pub(crate) fn of_this_cpu() -> Result<(Vec<Self>, Vec<&'static str>)> {
        let text = fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;
        let flags = text.lines().find(|line| line.starts_with("flags")).unwrap_or_default();
        let has_avx = flags.split_ascii_whitespace().any(|flag| flag == "avx");
        let (there, missing): (Vec<Self>, Vec<Self>) =
            Self::ALL.into_iter().partition(|mover| mover.number != mover::AVX || has_avx);
        Ok((there, missing.iter().map(|mover| mover.name).collect()))
    }
}

pub(crate) struct Check<'w> {
    pub(crate) window: &'w Window,
    pub(crate) movers: &'w [Mover],
    pub(crate) random: &'w mut Random,
    /// Whether to change a byte, so that the comparison must fail.
    pub(crate) mutant: bool,
}

impl Check<'_> {
    /// Tries this number of lists of a kind for every mover and direction.
    pub(crate) fn lists(&mut self, kind: Kind, lists: u64) -> Result<Tally> {
        let mut tally = Tally::default();
        for mover in self.movers {
            for direction in [Direction::Copy, Direction::Exchange] {
                for number in 1..=lists {
                    let place = || format!("{kind}: list {number}, {direction:?} by {}", mover.name);
                    tally.add(&self.list(kind, mover.number, direction).with_context(place)?);
                }
            }
        }
        ensure!(tally.moved > 0 || kind == Kind::Empty, "{kind}: no list moves a page");
        Ok(tally)
    }

    fn list(&mut self, kind: Kind, mover: u64, direction: Direction) -> Result<Tally> {
        let mut arena = Arena::random(self.window.arena(), self.random);
        let head = match kind {
            Kind::Kimage => build::list(&mut arena, self.random)?,
            _ => write::list(&mut arena, kind, self.random)?,
        };
        self.window.write(&arena)?;
        let before = arena.clone();
        let mut tally = self.step(head, mover, direction, &mut arena)?;
        if kind == Kind::Kimage && direction == Direction::Exchange {
            tally.add(&self.step(head, mover, direction, &mut arena)?);
            ensure!(arena == before, "in the model, two exchanges do not restore everything");
        }
        Ok(Tally { lists: 1, ..tally })
    }

    /// Moves pages of the window and of the arena, and compares them.
    fn step(&mut self, head: u64, mover: u64, direction: Direction, arena: &mut Arena) -> Result<Tally> {
        self.window.call(head, mover, direction)?;
        let moved = match direction {
            Direction::Copy => model::copy(head, arena),
            Direction::Exchange => model::exchange(head, arena),
        };
        if self.mutant {
            arena.damage(self.random);
        }
        self.window.compare(arena)?;
        Ok(Tally { lists: 0, moved, bytes: self.window.bytes() })
    }
}
