//! The patterns. Each is written to a whole page and read back.

use abi::memtest::pattern;

use crate::{Machine, Page};

/// A word that was read back wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) address: u64,
    pub(crate) written: u64,
    pub(crate) read: u64,
    pub(crate) pattern: u32,
}

/// The page under test, and how.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Test {
    pub(crate) address: u64,
    pub(crate) flush: bool,
    pub(crate) seed: u64,
    /// Address of a word that is changed between writing and reading, 0 for none.
    pub(crate) inject: u64,
}

const FIVES: u64 = 0x5555_5555_5555_5555;

impl Test {
    /// Writes one pattern and reads it back.
    pub(crate) fn run(self, machine: &mut impl Machine, number: u32, report: &mut impl FnMut(Wrong)) {
        match number {
            pattern::ZEROS => self.same(machine, number, 0, report),
            pattern::ONES => self.same(machine, number, u64::MAX, report),
            pattern::FIVES => self.same(machine, number, FIVES, report),
            pattern::TENS => self.same(machine, number, !FIVES, report),
            pattern::INVERSIONS => self.inversions(machine, report),
            _ => self.varying(machine, number, report),
        }
    }

    fn same(self, machine: &mut impl Machine, number: u32, word: u64, report: &mut impl FnMut(Wrong)) {
        fill(machine.page(self.address), word);
        self.settle(machine);
        // The usual case is found quickly, and only then each word looked at.
        if differs(machine.page(self.address), word) {
            self.compare(machine, number, |_| word, report);
        }
    }

    /// Own addresses, or pseudo-random words.
    fn varying(self, machine: &mut impl Machine, number: u32, report: &mut impl FnMut(Wrong)) {
        let word = |index: usize| {
            let address = self.address + index as u64 * 8;
            if number == pattern::ADDRESS { address } else { mixed(address ^ self.seed) }
        };
        for (index, place) in machine.page(self.address).iter_mut().enumerate() {
            *place = word(index);
        }
        self.settle(machine);
        self.compare(machine, number, word, report);
    }

    /// Moving inversions: upwards each word is read and inverted, then downwards.
    fn inversions(self, machine: &mut impl Machine, report: &mut impl FnMut(Wrong)) {
        fill(machine.page(self.address), FIVES);
        self.settle(machine);
        let mut wrong = |index: usize, written, read| {
            let address = self.address + index as u64 * 8;
            report(Wrong { address, written, read, pattern: pattern::INVERSIONS });
        };
        for (index, word) in machine.page(self.address).iter_mut().enumerate() {
            if *word != FIVES {
                wrong(index, FIVES, *word);
            }
            *word = !FIVES;
        }
        machine.settle(self.address, self.flush);
        for (index, word) in machine.page(self.address).iter_mut().enumerate().rev() {
            if *word != !FIVES {
                wrong(index, !FIVES, *word);
            }
            *word = FIVES;
        }
        machine.settle(self.address, self.flush);
        for (index, word) in machine.page(self.address).iter().enumerate() {
            if *word != FIVES {
                wrong(index, FIVES, *word);
            }
        }
    }

    fn compare(
        self,
        machine: &mut impl Machine,
        number: u32,
        written: impl Fn(usize) -> u64,
        report: &mut impl FnMut(Wrong),
    ) {
        for (index, word) in machine.page(self.address).iter().enumerate() {
            if *word != written(index) {
                let address = self.address + index as u64 * 8;
                report(Wrong { address, written: written(index), read: *word, pattern: number });
            }
        }
    }

    /// Lets the words reach memory; changes one, if a fault is wanted.
    fn settle(self, machine: &mut impl Machine) {
        if self.inject & !0xfff == self.address && self.inject != 0 {
            let place = (self.address..).step_by(8);
            for (address, word) in place.zip(machine.page(self.address)) {
                *word ^= u64::from(address == self.inject) << 17;
            }
        }
        machine.settle(self.address, self.flush);
    }
}

/// Not inlined: the compiler must not know, when it reads the page, what was written.
#[inline(never)]
fn fill(page: &mut Page, word: u64) {
    for place in page {
        *place = word;
    }
}

#[inline(never)]
fn differs(page: &Page, word: u64) -> bool {
    page.iter().fold(0, |found, place| found | (place ^ word)) != 0
}

/// The finalizer of splitmix64 (Sebastiano Vigna), of a number.
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ number >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ number >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ number >> 31
}
