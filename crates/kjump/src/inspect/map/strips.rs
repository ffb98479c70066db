//! Strips of addresses in rising order, made from the tree of resources and the images. Nothing is
//! drawn here.

use abi::device::Range;
use machine::iomem::Resource;

/// Most ranges of one image that are distinguished.
const PARTS: usize = 24;

/// Addresses with one use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Strip {
    /// The first byte.
    pub(super) first: u64,
    /// The last byte.
    pub(super) last: u64,
    pub(super) kind: Kind,
    /// The use, as the kernel names it.
    pub(super) name: String,
    /// Images that have a destination here, by their index in the list.
    pub(super) images: Vec<usize>,
}

impl Strip {
    pub(super) const fn size(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

/// How a strip is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Memory that the kernel allocates from.
    Ram,
    /// Memory of the kernel itself.
    Kernel,
    /// Memory reserved for a crash kernel.
    Crash,
    /// Memory of the firmware.
    Firmware,
    /// Addresses of devices.
    Device,
    /// Unused addresses.
    Hole,
}

impl Kind {
    fn of(resource: &Resource) -> Self {
        let name = resource.name.as_str();
        match name {
            _ if resource.is_system_ram() => Self::Ram,
            _ if name.starts_with("Kernel ") => Self::Kernel,
            _ if name.starts_with("Crash kernel") => Self::Crash,
            "Reserved" | "RAM buffer" | "System ROM" | "Video ROM" | "Adapter ROM" | "Unknown E820 type" => {
                Self::Firmware
            }
            _ if name.starts_with("ACPI ") => Self::Firmware,
            _ => Self::Device,
        }
    }
}

/// The address space from 0 to the last resource as strips in rising order without gaps. The
/// deepest resource counts, but only System RAM and the resources around it are opened. `images`
/// are the destinations of each image.
pub(super) fn strips(resources: &[Resource], images: &[&[Range]]) -> Vec<Strip> {
    let images: Vec<Vec<Range>> = images.iter().map(|ranges| coarse(ranges)).collect();
    let shown = shown(resources);
    let mut strips: Vec<Strip> = Vec::new();
    for (first, last) in pieces(&shown, &images) {
        // Of the resources around these addresses, the last in the file is the deepest.
        let resource = shown.iter().rfind(|resource| resource.first <= first && last <= resource.last);
        let strip = Strip {
            first,
            last,
            kind: resource.map_or(Kind::Hole, |resource| Kind::of(resource)),
            name: resource.map_or_else(|| "nothing".into(), |resource| resource.name.clone()),
            images: images_at(&images, first, last),
        };
        match strips.last_mut() {
            Some(before) if is_same(before, &strip) => before.last = last,
            _ => strips.push(strip),
        }
    }
    strips
}

/// The resources that are shown: the outermost ones, those around System RAM, and those directly in
/// it.
fn shown(resources: &[Resource]) -> Vec<&Resource> {
    let mut shown = Vec::new();
    // The depth down to which the resources that follow are shown.
    let mut depth = 0;
    for (index, resource) in resources.iter().enumerate() {
        if resource.depth > depth {
            continue;
        }
        let inner = resources.iter().skip(index + 1).take_while(|inner| inner.depth > resource.depth);
        let looked_into = resource.is_system_ram() || inner.into_iter().any(Resource::is_system_ram);
        depth = resource.depth + usize::from(looked_into);
        shown.push(resource);
    }
    shown
}

/// The address space, cut at every start and end of a resource or image.
fn pieces(shown: &[&Resource], images: &[Vec<Range>]) -> Vec<(u64, u64)> {
    let of_resources = shown.iter().flat_map(|resource| [Some(resource.first), resource.last.checked_add(1)]);
    let of_images = images.iter().flatten().flat_map(|range| [Some(range.start), Some(range.end)]);
    let mut cuts: Vec<u64> = of_resources.chain(of_images).flatten().chain([0]).collect();
    cuts.sort_unstable();
    cuts.dedup();
    let to_the_end = shown.iter().any(|resource| resource.last == u64::MAX);
    let last_piece = cuts.last().filter(|_| to_the_end).map(|&first| (first, u64::MAX));
    let pairs = cuts.iter().zip(cuts.iter().skip(1)).map(|(&first, &next)| (first, next - 1));
    pairs.chain(last_piece).collect()
}

fn images_at(images: &[Vec<Range>], first: u64, last: u64) -> Vec<usize> {
    let covers = |range: &Range| range.start <= first && last < range.end;
    images
        .iter()
        .enumerate()
        .filter(|(_, ranges)| ranges.iter().any(covers))
        .map(|(index, _)| index)
        .collect()
}

fn is_same(before: &Strip, strip: &Strip) -> bool {
    before.kind == strip.kind && before.name == strip.name && before.images == strip.images
}

/// The ranges in rising order, adjacent ones joined. If more than [`PARTS`] remain, those with the
/// smallest gaps are joined too.
fn coarse(ranges: &[Range]) -> Vec<Range> {
    let mut sorted: Vec<Range> = ranges.iter().copied().filter(|range| range.start < range.end).collect();
    sorted.sort_by_key(|range| range.start);
    let gaps = sorted.iter().zip(sorted.iter().skip(1)).map(|(a, b)| b.start.saturating_sub(a.end));
    let mut gaps: Vec<u64> = gaps.filter(|&gap| gap > 0).collect();
    gaps.sort_unstable_by(|a, b| b.cmp(a));
    let joined_gap = gaps.get(PARTS - 1).copied().unwrap_or(0);
    let mut joined: Vec<Range> = Vec::new();
    for range in sorted {
        match joined.last_mut() {
            Some(last) if range.start.saturating_sub(last.end) <= joined_gap => {
                last.end = last.end.max(range.end);
            }
            _ => joined.push(range),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn resources(text: &str) -> Vec<Resource> {
        machine::iomem::parse(text).unwrap().resources().to_vec()
    }

    fn lines(resources: &[Resource], images: &[&[Range]]) -> Vec<String> {
        let strips = strips(resources, images);
        let line = |strip: &Strip| {
            format!("{:x}-{:x} {:?} {} {:?}", strip.first, strip.last, strip.kind, strip.name, strip.images)
        };
        strips.iter().map(line).collect()
    }

    #[test]
    fn ram_is_cut_by_resources_in_it_and_devices_are_not() {
        let resources = resources(
            "1000-ffff : System RAM\n  4000-4fff : Kernel code\n\
             20000-2ffff : PCI Bus 0000:00\n  20000-20fff : device\n",
        );
        let image = [Range { start: 0x4000, end: 0x6000 }];
        assert_eq!(
            lines(&resources, &[&image]),
            [
                "0-fff Hole nothing []",
                "1000-3fff Ram System RAM []",
                "4000-4fff Kernel Kernel code [0]",
                "5000-5fff Ram System RAM [0]",
                "6000-ffff Ram System RAM []",
                "10000-1ffff Hole nothing []",
                "20000-2ffff Device PCI Bus 0000:00 []",
            ]
        );
    }

    #[test]
    fn ram_within_a_window_is_found() {
        let resources =
            resources("1000-ffff : CXL Window 0\n  1000-ffff : region0\n    2000-2fff : System RAM (kmem)\n");
        assert_eq!(
            lines(&resources, &[]),
            [
                "0-fff Hole nothing []",
                "1000-1fff Device region0 []",
                "2000-2fff Ram System RAM (kmem) []",
                "3000-ffff Device region0 []",
            ]
        );
    }

    #[test]
    fn the_address_space_may_end_with_its_last_byte() {
        let resources = resources("0-ffffffffffffffff : PCI mem\n");
        assert_eq!(lines(&resources, &[]), ["0-ffffffffffffffff Device PCI mem []"]);
    }

    #[test]
    fn an_image_of_very_many_parts_is_drawn_as_few() {
        let far = Range { start: 1 << 40, end: (1 << 40) + 0x1000 };
        let many: Vec<Range> = (0..1000_u64)
            .map(|part| Range { start: part * 0x2000, end: part * 0x2000 + 0x1000 })
            .chain([far])
            .collect();
        let coarse = coarse(&many);
        assert!(coarse.len() <= PARTS, "{}", coarse.len());
        assert_eq!(coarse.last(), Some(&far));
    }

    proptest! {
        #[test]
        fn strips_follow_each_other_from_zero_on(
            parts in prop::collection::vec((0_u64..50, 0_u64..20), 0..8),
            ranges in prop::collection::vec((0_u64..60, 0_u64..20), 0..8),
        ) {
            let resources: Vec<Resource> = parts.iter().map(|&(first, more)| {
                Resource { first, last: first + more, depth: 0, name: "System RAM".into() }
            }).collect();
            let ranges: Vec<Range> =
                ranges.iter().map(|&(start, size)| Range { start, end: start + size }).collect();
            let strips = strips(&resources, &[&ranges]);
            let mut next = 0;
            for strip in &strips {
                prop_assert_eq!(strip.first, next);
                prop_assert!(strip.first <= strip.last);
                next = strip.last + 1;
                for address in strip.first..=strip.last {
                    let ram = resources.iter().any(|it| it.first <= address && address <= it.last);
                    prop_assert_eq!(strip.kind == Kind::Ram, ram);
                    let held = ranges.iter().any(|it| it.start <= address && address < it.end);
                    prop_assert_eq!(strip.images == [0], held);
                }
            }
        }
    }
}
