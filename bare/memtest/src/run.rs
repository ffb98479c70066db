//! The walk through the ranges.

use abi::Field;
use abi::memtest::{
    self as field, BAD, BAD_MAX, ENTRY, LEFT_OUT, LEFT_OUT_MAX, MAGIC, MAGIC_NUMBER, RANGES, RANGES_MAX,
    WRONGS, WRONGS_MAX, bad, pattern, verdict, wrong,
};

use crate::patterns::{Test, Wrong};
use crate::tables::InUse;
use crate::{Machine, PAGE};

/// Tests the ranges of a block, from its position on, until its budget is used up. Returns one of
/// [`verdict`].
pub fn run(block: &mut [u8; ENTRY], machine: &mut impl Machine) -> u64 {
    let start = machine.time();
    let ranges = get(block, field::RANGE_COUNT);
    if MAGIC.read(block) != Some(MAGIC_NUMBER) || ranges > RANGES_MAX as u64 {
        return verdict::SENSELESS;
    }
    let mut pages = [0; LEFT_OUT_MAX];
    let Some(in_use) = InUse::find(machine, &mut pages) else { return verdict::TOO_MANY };
    set(block, field::TESTED, 0);
    let budget = get(block, field::BUDGET);
    let mut number = get(block, field::POSITION_RANGE);
    let mut at = get(block, field::POSITION);
    while number < ranges {
        let (first, end) = range(block, number);
        at = at.max(first);
        if at >= end {
            number += 1;
            at = 0;
            continue;
        }
        let next = match left_out(machine, &in_use, at) {
            Some(end_of_use) => {
                note_left_out(block, at);
                end_of_use
            }
            None => {
                test(block, machine, at);
                let tested = get(block, field::TESTED);
                set(block, field::TESTED, tested + 1);
                at + PAGE
            }
        };
        at = next;
        set(block, field::POSITION_RANGE, number);
        set(block, field::POSITION, at);
        if budget != 0 && machine.time().wrapping_sub(start) >= budget {
            return verdict::MORE;
        }
    }
    set(block, field::POSITION_RANGE, number);
    set(block, field::POSITION, 0);
    verdict::DONE
}

fn range(block: &[u8], number: u64) -> (u64, u64) {
    let place = RANGES + usize::try_from(number).unwrap_or(0) * 16;
    let page = |offset| get(block, Field::at(offset)) & !(PAGE - 1);
    // The first page of memory has address 0, and is not System RAM.
    (page(place).max(PAGE), page(place + 8))
}

/// The end of a page that is in use by the test; `None` if it is not.
fn left_out(machine: &impl Machine, in_use: &InUse<'_>, at: u64) -> Option<u64> {
    let (first, end) = machine.own();
    ((first..end).contains(&at) || in_use.contains(at)).then_some(at + PAGE)
}

/// Remembers a page that was left out, once.
fn note_left_out(block: &mut [u8], page: u64) {
    let count = get(block, field::LEFT_OUT_COUNT);
    let index = usize::try_from(count).unwrap_or(usize::MAX);
    if index < LEFT_OUT_MAX {
        set(block, Field::at(LEFT_OUT + index * 8), page);
    }
    set(block, field::LEFT_OUT_COUNT, count.saturating_add(1));
}

fn test(block: &mut [u8], machine: &mut impl Machine, address: u64) {
    let patterns = get(block, field::PATTERNS);
    let test = Test {
        address,
        flush: get(block, field::FLUSH) != 0,
        seed: get(block, field::SEED),
        inject: get(block, field::INJECT),
    };
    machine.keep(address);
    let (mut before, mut bits) = (machine.time(), 0);
    for number in (0..pattern::COUNT).filter(|number| patterns & 1 << number != 0) {
        test.run(machine, number, &mut |wrong| {
            bits |= wrong.written ^ wrong.read;
            store(block, wrong);
        });
        let after = machine.time();
        let place = Field::at(field::TIMES + number as usize * 8);
        let time = get(block, place).wrapping_add(after.wrapping_sub(before));
        set(block, place, time);
        before = after;
    }
    machine.put_back(address);
    if bits != 0 {
        note_bad(block, address, bits);
    }
}

/// Remembers a page with wrong words. A block comes to each page once.
fn note_bad(block: &mut [u8], page: u64, bits: u64) {
    let count = get(block, field::BAD_COUNT);
    set(block, field::BAD_COUNT, count.saturating_add(1));
    let index = usize::try_from(count).unwrap_or(usize::MAX);
    if index < BAD_MAX {
        let place = BAD + index * bad::SIZE;
        set(block, Field::at(place + bad::ADDRESS.offset()), page);
        set(block, Field::at(place + bad::BITS.offset()), bits);
    }
}

fn store(block: &mut [u8], found: Wrong) {
    let count = get(block, field::WRONG_COUNT);
    set(block, field::WRONG_COUNT, count.saturating_add(1));
    let index = usize::try_from(count).unwrap_or(usize::MAX);
    if index >= WRONGS_MAX {
        return;
    }
    let place = WRONGS + index * wrong::SIZE;
    let fields = [
        (wrong::ADDRESS, found.address),
        (wrong::WRITTEN, found.written),
        (wrong::READ, found.read),
        (wrong::PATTERN, found.pattern.into()),
    ];
    for (field, value) in fields {
        set(block, Field::at(place + field.offset()), value);
    }
}

/// A field of the block, 0 if there is none.
fn get(block: &[u8], field: Field<u64>) -> u64 {
    field.read(block).unwrap_or_default()
}

fn set(block: &mut [u8], field: Field<u64>, value: u64) {
    let _ = field.write(block, value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{PAGE_WORDS, Page};

    const BASE: u64 = 0x10_0000;
    const PAGES: u64 = 16;
    const TABLE: u64 = BASE + 3 * PAGE;

    /// Pages with a bit that is stuck; a page table in the fourth page, the image in the last two.
    struct Fake {
        pages: Vec<Page>,
        kept: Page,
        /// Address, bit, and the value that it always has.
        stuck: Option<(u64, u32, bool)>,
        /// Pages of which every word is always 0.
        dead: Vec<u64>,
        clock: u64,
    }

    impl Fake {
        fn new() -> Self {
            let page = |number: u64| std::array::from_fn(|word| number << 32 | word as u64 | 1 << 63);
            let mut pages: Vec<Page> = (0..PAGES).map(page).collect();
            // A table of the last level but one, with a large page and a table: itself.
            pages[3] = [0; PAGE_WORDS];
            pages[3][0] = LARGE_PAGE;
            pages[3][1] = TABLE | 1;
            Self { pages, kept: [0; PAGE_WORDS], stuck: None, dead: Vec::new(), clock: 0 }
        }
    }

    const LARGE_PAGE: u64 = 0x81;

    impl Machine for Fake {
        fn own(&self) -> (u64, u64) {
            (BASE + 14 * PAGE, BASE + 16 * PAGE)
        }

        fn tables(&mut self) -> [u64; 3] {
            [TABLE, BASE + 5 * PAGE + 0x600, BASE + 5 * PAGE + 0x800]
        }

        fn levels(&mut self) -> u32 {
            2
        }

        fn word(&mut self, address: u64) -> u64 {
            self.pages[((address - BASE) / PAGE) as usize][(address % PAGE / 8) as usize]
        }

        fn keep(&mut self, address: u64) {
            self.kept = *self.page(address);
        }

        fn put_back(&mut self, address: u64) {
            let kept = self.kept;
            *self.page(address) = kept;
        }

        fn page(&mut self, address: u64) -> &mut Page {
            &mut self.pages[((address - BASE) / PAGE) as usize]
        }

        fn settle(&mut self, address: u64, _: bool) {
            if self.dead.contains(&address) {
                *self.page(address) = [0; PAGE_WORDS];
            }
            let Some((place, bit, value)) = self.stuck.filter(|(place, ..)| place & !(PAGE - 1) == address)
            else {
                return;
            };
            let word = &mut self.page(address)[(place % PAGE / 8) as usize];
            *word = if value { *word | 1 << bit } else { *word & !(1 << bit) };
        }

        fn time(&mut self) -> u64 {
            self.clock += 1;
            self.clock
        }
    }

    fn block(budget: u64) -> [u8; ENTRY] {
        let mut block = [0; ENTRY];
        set(&mut block, MAGIC, MAGIC_NUMBER);
        set(&mut block, field::RANGE_COUNT, 2);
        set(&mut block, field::PATTERNS, (1 << pattern::COUNT) - 1);
        set(&mut block, field::SEED, 7);
        set(&mut block, field::BUDGET, budget);
        for (number, address) in
            [BASE, BASE + 8 * PAGE, BASE + 8 * PAGE, BASE + PAGES * PAGE].into_iter().enumerate()
        {
            set(&mut block, Field::at(RANGES + number * 8), address);
        }
        block
    }

    #[test]
    fn memory_is_as_before_and_pages_in_use_are_left_out() {
        let mut fake = Fake::new();
        let before = fake.pages.clone();
        let mut block = block(0);
        assert_eq!(run(&mut block, &mut fake), verdict::DONE);
        assert!(fake.pages == before);
        assert_eq!((get(&block, field::TESTED), get(&block, field::WRONG_COUNT)), (PAGES - 4, 0));
        let left: Vec<u64> = (0..get(&block, field::LEFT_OUT_COUNT))
            .zip((LEFT_OUT..).step_by(8))
            .map(|(_, place)| (get(&block, Field::at(place)) - BASE) / PAGE)
            .collect();
        assert_eq!(left, [3, 5, 14, 15]);
    }

    #[test]
    fn every_stuck_bit_is_found_with_its_address() {
        for (bit, value) in (0..64).flat_map(|bit| [(bit, false), (bit, true)]) {
            let mut fake = Fake { stuck: Some((BASE + 9 * PAGE + 8 * 77, bit, value)), ..Fake::new() };
            let mut block = block(0);
            assert_eq!(run(&mut block, &mut fake), verdict::DONE);
            let count = get(&block, field::WRONG_COUNT);
            assert!(count >= 3, "bit {bit} stuck at {value}: {count}");
            for number in 0..usize::try_from(count).unwrap() {
                let at = |field: Field<u64>| {
                    get(&block, Field::at(WRONGS + number * wrong::SIZE + field.offset()))
                };
                assert_eq!(at(wrong::ADDRESS), BASE + 9 * PAGE + 8 * 77);
                assert_eq!(at(wrong::WRITTEN) ^ at(wrong::READ), 1 << bit);
            }
        }
    }

    /// A page that is all wrong fills the list of words; the pages have a list of their own.
    #[test]
    fn pages_are_named_after_the_list_of_words_is_full() {
        let mut fake = Fake { dead: vec![BASE + PAGE, BASE + 9 * PAGE, BASE + 10 * PAGE], ..Fake::new() };
        let mut block = block(0);
        assert_eq!(run(&mut block, &mut fake), verdict::DONE);
        assert!(get(&block, field::WRONG_COUNT) > WRONGS_MAX as u64);
        let bad: Vec<[u64; 2]> = (0..get(&block, field::BAD_COUNT))
            .zip((BAD..).step_by(bad::SIZE))
            .map(|(_, place)| [0, 8].map(|offset| get(&block, Field::at(place + offset))))
            .collect();
        assert_eq!(bad.iter().map(|[page, _]| (page - BASE) / PAGE).collect::<Vec<_>>(), [1, 9, 10]);
        assert!(bad.iter().all(|[_, bits]| *bits == u64::MAX));
    }

    #[test]
    fn bad_pages_beyond_the_list_are_counted() {
        let mut block = block(0);
        set(&mut block, field::BAD_COUNT, BAD_MAX as u64 - 1);
        let mut fake = Fake { dead: vec![BASE + PAGE, BASE + 2 * PAGE], ..Fake::new() };
        run(&mut block, &mut fake);
        assert_eq!(get(&block, field::BAD_COUNT), BAD_MAX as u64 + 1);
        assert_eq!(get(&block, Field::at(BAD + (BAD_MAX - 1) * bad::SIZE)), BASE + PAGE);
        assert!(block[BAD + BAD_MAX * bad::SIZE..].iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_budget_ends_a_call_and_the_next_one_goes_on() {
        let mut fake = Fake::new();
        let mut block = block(1);
        let (mut calls, mut tested) = (0, 0);
        loop {
            let verdict = run(&mut block, &mut fake);
            calls += 1;
            tested += get(&block, field::TESTED);
            if verdict == verdict::DONE {
                break;
            }
            assert!(verdict == verdict::MORE && calls < 100);
        }
        assert_eq!((calls, tested), (PAGES + 1, PAGES - 4));
    }

    #[test]
    fn a_fault_that_is_asked_for_is_found_by_each_pattern() {
        let mut fake = Fake::new();
        let mut block = block(0);
        set(&mut block, field::INJECT, BASE + 2 * PAGE + 0x18);
        run(&mut block, &mut fake);
        assert_eq!(get(&block, field::WRONG_COUNT), pattern::COUNT.into());
    }

    #[test]
    fn a_senseless_block_is_refused() {
        let mut block = block(0);
        set(&mut block, field::RANGE_COUNT, RANGES_MAX as u64 + 1);
        assert_eq!(run(&mut block, &mut Fake::new()), verdict::SENSELESS);
    }
}
