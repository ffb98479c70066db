use std::borrow::Cow;

use abi::setup_header::ENTRY_64;
use phys::{PhysRange, RangeSet};

use super::boot_info::BootInfo;
use super::demands::Places;
use super::home::{OldMemory, Site};
use super::neighbours::Neighbours;
use super::{Kernel, Request, initrd};
use crate::demand::LOW_END;
use crate::draft::Draft;
use crate::place::gaps;
use crate::purgatory::Extras;
use crate::{CpuMode, Entry, Part, Segment};

/// Everything but purgatory, at its place.
pub(super) fn assemble<'a>(
    request: &Request<'a>,
    mode: CpuMode,
    site: Site,
    boot_info: &BootInfo<'_>,
    places: &Places,
) -> Draft<'a> {
    let initrd = places.initrd.map(|place| (place.start().get(), initrd::bytes(&request.initrds)));
    let (segments, parts, kernel_at) = kernel(&request.kernel, places.kernel);
    let neighbours = Neighbours { kernel: kernel_at, initrd };
    let placed = boot_info.at(places.boot_info, neighbours, entry(&request.kernel, mode, kernel_at));
    let line = boot_info.command_line();
    let jump_back = line.jump_back().map(|offset| placed.command_line + offset as u64);

    let mut draft = Draft::new(request.home.interface(), placed.entry);
    draft.segments = segments;
    draft.parts = parts;
    draft.segments.push(placed.segment);
    draft.parts.extend(placed.parts);
    draft.boot_params = placed.boot_params;
    draft.command_line = line.text().to_vec();
    draft.extras = Extras { jump_back, copy: None };
    if let Some((address, size)) = initrd {
        draft.segments.extend(initrd::segments(&request.initrds, address));
        draft.parts.push(Part { name: "initrd", address, size });
    }
    if placed.boot_params.is_some() {
        draft.memory = site.memory;
    }
    draft.vouched = site.vouched.into_iter().collect();
    if let Some(old_memory) = &site.old_memory {
        add_old_memory(&mut draft, old_memory);
    }
    let rest = exchanged_rest(&site.exchanged, &draft, places.purgatory);
    draft.unverified.extend(rest);
    draft
}

/// The kernel's segments and parts, and where it starts or, for an executable, is entered.
fn kernel<'a>(kernel: &Kernel<'a>, place: Option<PhysRange>) -> (Vec<Segment<'a>>, Vec<Part>, u64) {
    match (kernel, place) {
        (Kernel::Executable(program), _) => {
            let segments = program.segments.iter().filter_map(Segment::of_file).collect();
            (segments, Vec::new(), program.entry)
        }
        (Kernel::BzImage(kernel), Some(range)) => {
            let (bytes, address) = (kernel.kernel, range.start().get());
            let segment = Segment { name: "kernel", range, bytes: Cow::Borrowed(bytes) };
            (vec![segment], vec![Part { name: "kernel", address, size: bytes.len() as u64 }], address)
        }
        (Kernel::Prepared(prepared), Some(range)) => {
            let (bytes, address) = (prepared.image.bytes.as_slice(), range.start().get());
            let segment = Segment { name: "kernel", range, bytes: Cow::Borrowed(bytes) };
            (vec![segment], vec![Part { name: "kernel", address, size: bytes.len() as u64 }], address)
        }
        (Kernel::BzImage(_) | Kernel::Prepared(_), None) => (Vec::new(), Vec::new(), 0),
    }
}

/// How a kernel is entered that starts at this address.
fn entry(kernel: &Kernel<'_>, mode: CpuMode, address: u64) -> Entry {
    let offset = match (kernel, mode) {
        (Kernel::BzImage(_), CpuMode::Long) => ENTRY_64,
        (Kernel::Prepared(prepared), _) => prepared.image.entry,
        _ => 0,
    };
    Entry::at(mode, address + offset)
}

fn add_old_memory(draft: &mut Draft<'_>, old_memory: &OldMemory) {
    let (segment, is_constant) = old_memory.segment();
    if is_constant { &mut draft.segments } else { &mut draft.unverified }.push(segment);
    draft.parts.extend(old_memory.parts());
    match old_memory {
        OldMemory::Dump(area) => draft.extras.copy = Some(area.copy()),
        OldMemory::View(place) => draft.view = Some(*place),
    }
}

/// Segments without bytes for the exchanged pages that nothing is loaded into.
fn exchanged_rest(exchanged: &[PhysRange], draft: &Draft<'_>, purgatory: PhysRange) -> Vec<Segment<'static>> {
    let loaded = draft.segments.iter().chain(&draft.unverified).map(|segment| segment.range);
    let mut covered: Vec<_> = loaded.chain([purgatory]).collect();
    let covered = RangeSet::sort(&mut covered).ranges();
    let rest = exchanged.iter().flat_map(|&range| gaps(range, covered));
    rest.map(|range| {
        let name = if range.end() <= LOW_END { "low memory" } else { "rest of the window" };
        Segment { name, range, bytes: Cow::Borrowed([].as_slice()) }
    })
    .collect()
}
