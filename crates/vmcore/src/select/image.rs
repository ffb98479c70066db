//! The kernel's own image in memory.

use phys::{PAGE_SIZE, Pfn};

use crate::format::field::u64_at;
use crate::kernel::kallsyms::Kallsyms;
use crate::kernel::learned::BTF;
use crate::kernel::paging::AddressSpace;
use crate::{Error, FrameSet, PhysRead, Vmcoreinfo};

/// The image starts at a multiple of this (`CONFIG_PHYSICAL_ALIGN`), just below its first symbol.
const ALIGNMENT: u64 = 2 << 20;

/// The most bytes of the image: `KERNEL_IMAGE_SIZE` with address randomisation.
const MOST: u64 = 1 << 30;

/// The most pages in which addresses of code are searched for: 256 MiB.
const MOST_SEARCHED: u64 = 1 << 16;
/// Pages per read.
const BATCH: u64 = 16;

/// The parts of the kernel's symbols that are in VMCOREINFO; they lie one after the other.
const KALLSYMS: [&str; 6] = [
    "kallsyms_offsets",
    "kallsyms_relative_base",
    "kallsyms_num_syms",
    "kallsyms_names",
    "kallsyms_token_table",
    "kallsyms_token_index",
];

/// The frames of the kernel's image. Those that cannot be found are in none of the sets.
#[derive(Default)]
pub(super) struct Image {
    /// Data, without `tables`.
    pub(super) data: FrameSet,
    /// Code.
    pub(super) code: FrameSet,
    /// Code that is referred to from memory that the kernel maps: stacks.
    pub(super) called: FrameSet,
    /// Types and symbols.
    pub(super) tables: FrameSet,
}

impl Image {
    /// `mapped` has the frames of stacks, among others.
    pub(super) fn new(
        memory: &impl PhysRead,
        space: &AddressSpace,
        info: &Vmcoreinfo,
        mapped: &FrameSet,
    ) -> Self {
        let (data, code) = frames(memory, space, info);
        let tables = tables(memory, space, info).within(&data);
        // The kernel maps its image, too, which refers to all of its code.
        let others = mapped.without(&data).without(&code);
        let called = called(memory, space, info, &others).within(&code);
        Self { data: data.without(&tables), code, called, tables }
    }
}

/// Data and code.
fn frames(memory: &impl PhysRead, space: &AddressSpace, info: &Vmcoreinfo) -> (FrameSet, FrameSet) {
    let (mut data, mut code) = (FrameSet::new(), FrameSet::new());
    let Ok(start) = info.symbol("_stext") else { return (data, code) };
    let start = start & !(ALIGNMENT - 1);
    let size = info.number("KERNEL_IMAGE_SIZE").ok().and_then(|size| u64::try_from(size).ok());
    let end = start.saturating_add(size.unwrap_or(MOST).min(MOST));
    let mut at = start;
    while at < end {
        match space.translate(memory, at) {
            Ok(place) => {
                let first = place.phys / PAGE_SIZE;
                let set = if place.executable { &mut code } else { &mut data };
                set.insert(first, first + place.left.div_ceil(PAGE_SIZE));
                at = at.saturating_add(place.left);
            }
            // Memory that only the start of the kernel needed has been freed.
            Err(Error::NotMapped { level, .. }) => {
                let size = 1 << (12 + 9 * u32::from(level.clamp(1, 4) - 1));
                at = (at | (size - 1)).saturating_add(1);
            }
            Err(_) => break,
        }
    }
    (data, code)
}

/// The kernel's types and symbols, as far as they fill frames.
fn tables(memory: &impl PhysRead, space: &AddressSpace, info: &Vmcoreinfo) -> FrameSet {
    let mut frames = FrameSet::new();
    let mut insert = |start: Option<u64>, end: Option<u64>| {
        let (Some(start), Some(end)) = (start, end) else { return };
        let first = start.next_multiple_of(PAGE_SIZE);
        for at in (first..end.min(start.saturating_add(MOST)) / PAGE_SIZE * PAGE_SIZE).step_by(BLOCK) {
            if let Ok(place) = space.translate(memory, at) {
                frames.insert(place.phys / PAGE_SIZE, place.phys / PAGE_SIZE + 1);
            }
        }
    };
    let parts = || KALLSYMS.iter().filter_map(|name| info.symbol(name).ok());
    insert(parts().min(), parts().max());
    let types = Kallsyms::open(memory, info).and_then(|symbols| symbols.find(&BTF)).unwrap_or_default();
    let [start, end] = BTF.map(|name| types.get(name).copied());
    insert(start, end);
    frames
}

/// Bytes of a page.
const BLOCK: usize = 1 << phys::PAGE_SHIFT;

/// The frames to which addresses in these frames lead if they are addresses of the kernel's code,
/// and those before them: a function may start there.
fn called(memory: &impl PhysRead, space: &AddressSpace, info: &Vmcoreinfo, mapped: &FrameSet) -> FrameSet {
    let mut frames = FrameSet::new();
    let Ok(start) = info.symbol("_stext") else { return frames };
    // The image is contiguous in memory.
    let Ok(place) = space.translate(memory, start) else { return frames };
    let mut bytes = vec![0; BLOCK * usize::try_from(BATCH).unwrap_or(1)];
    let mut left = MOST_SEARCHED;
    for run in mapped.runs() {
        let mut first = run.start;
        while first < run.end && left > 0 {
            let count = BATCH.min(run.end - first).min(left);
            let part = bytes.get_mut(..BLOCK * usize::try_from(count).unwrap_or(1)).unwrap_or_default();
            if memory.read_phys(first * PAGE_SIZE, part).is_ok() {
                let offsets = part.chunks_exact(8).map(|word| u64_at(word, 0).wrapping_sub(start));
                for offset in offsets.filter(|offset| *offset < MOST) {
                    let frame = place.phys.saturating_add(offset) / PAGE_SIZE;
                    if Pfn::new(frame).is_none_or(|frame| !frames.contains(frame)) {
                        frames.insert(frame.saturating_sub(1), frame + 1);
                    }
                }
            }
            first += count;
            left -= count;
        }
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::kallsyms::Encoding;
    use crate::kernel::kallsyms::tests::{END, MAP, info};
    use crate::test_memory::TestMemory;

    #[test]
    fn code_that_stacks_refer_to_and_tables_of_types_and_symbols_are_found() {
        let symbols = [("T_stext", MAP), ("R__start_BTF", MAP + 0x2800), ("R__stop_BTF", MAP + 0x5800)];
        let mut memory = TestMemory::with_symbols(&symbols, Encoding::Unsigned);
        memory.0.resize(END + 0x2000, 0);
        for (at, address) in [(0x10, MAP + 0x5010), (0x20, MAP - 8), (0x28, 0x5010), (0x1000, MAP + 0x2000)] {
            memory.put_u64(END + at, address);
        }
        let info = info(Encoding::Unsigned);
        let space = AddressSpace::of_kernel(&info).unwrap();
        let frames = |set: &FrameSet| set.iter().map(Pfn::number).collect::<Vec<_>>();
        let mut mapped = FrameSet::new();
        mapped.insert(END as u64 / PAGE_SIZE, END as u64 / PAGE_SIZE + 1);
        assert_eq!(frames(&called(&memory, &space, &info, &mapped)), [4, 5]);
        // From the first part of the symbols to the last, and the types.
        assert_eq!(frames(&tables(&memory, &space, &info)), [3, 4, 5, 6]);
    }
}
