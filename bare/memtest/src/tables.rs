//! The pages that the CPU uses while the test runs: page tables and descriptor tables.

use crate::Machine;

const PRESENT: u64 = 1 << 0;
const LARGE: u64 = 1 << 7;
/// Bits 51 to 12.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const ENTRIES: u64 = 512;

/// Pages in use.
pub(crate) struct InUse<'a> {
    pages: &'a mut [u64],
    count: usize,
    /// Whether there was no room for one.
    full: bool,
}

impl<'a> InUse<'a> {
    /// Finds them; their addresses are stored in `pages`. `None` if there is no room for all.
    pub(crate) fn find(machine: &mut impl Machine, pages: &'a mut [u64]) -> Option<Self> {
        let mut found = Self { pages, count: 0, full: false };
        let [root, gdt, idt] = machine.tables();
        found.add(gdt & ADDRESS);
        found.add(idt & ADDRESS);
        let levels = machine.levels();
        found.walk(machine, root & ADDRESS, levels);
        (!found.full).then_some(found)
    }

    /// A table of this level, and those that it names. At most five levels: the depth is bounded.
    fn walk(&mut self, machine: &mut impl Machine, table: u64, level: u32) {
        self.add(table);
        if level <= 1 || self.full {
            return;
        }
        for number in 0..ENTRIES {
            let entry = machine.word(table + number * 8);
            let is_table = entry & PRESENT != 0 && entry & LARGE == 0;
            if is_table {
                self.walk(machine, entry & ADDRESS, level - 1);
            }
        }
    }

    fn add(&mut self, page: u64) {
        if self.contains(page) {
            return;
        }
        match self.pages.get_mut(self.count) {
            Some(place) => {
                *place = page;
                self.count += 1;
            }
            None => self.full = true,
        }
    }

    pub(crate) fn contains(&self, page: u64) -> bool {
        self.all().contains(&page)
    }

    pub(crate) fn all(&self) -> &[u64] {
        self.pages.get(..self.count).unwrap_or_default()
    }
}
