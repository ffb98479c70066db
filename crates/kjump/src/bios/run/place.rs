//! Where in memory the parts of a program's run lie.

use anyhow::bail;
use firmware::program::MIB;
use machine::iomem::Resource;

use super::super::place;
use crate::terminal::quantity;

const PAGE: u64 = 4096;
/// What a program gets above 1 MiB unless the user chooses: up to where 24 bits of address end.
const USUAL_MEMORY: u64 = 15 << 20;

/// The places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Places {
    /// The image that runs the program.
    pub(super) image: u64,
    /// First address after the program's memory above 1 MiB.
    pub(super) memory_end: u64,
    /// Base memory as it was, then the disk.
    pub(super) kept: u64,
}

/// Chooses them in System RAM, apart from the kernel's own. `kept` are the bytes for base memory
/// and disk.
pub(super) fn choose(
    resources: &[Resource],
    memory: Option<u64>,
    image: u64,
    kept: u64,
) -> anyhow::Result<Places> {
    let memory_end = memory_end(resources, memory)?;
    let Some(kept_at) = first_hole(resources, memory_end, kept) else {
        let largest = largest_hole(resources, memory_end);
        bail!(
            "no room for the disk: {} in one piece; the largest piece of System RAM above the program's \
             memory, apart from the kernel, has {}",
            quantity::bytes(kept),
            quantity::bytes(largest)
        );
    };
    let is_apart = |at: &u64| *at >= memory_end && (at + image <= kept_at || kept_at + kept <= *at);
    match place::candidates(resources, image).into_iter().find(is_apart) {
        Some(image) => Ok(Places { image, memory_end, kept: kept_at }),
        None => bail!(
            "no System RAM below 4 GiB has room for the image that runs the program, {} at a multiple of \
             2 MiB; use a smaller disk or less --memory",
            quantity::bytes(image)
        ),
    }
}

fn memory_end(resources: &[Resource], wanted: Option<u64>) -> anyhow::Result<u64> {
    let most = holes(resources).find(|hole| hole.0 == MIB).map_or(MIB, |hole| hole.1);
    let end = MIB.saturating_add(wanted.unwrap_or(USUAL_MEMORY.min(most - MIB)));
    if end > most {
        bail!(
            "--memory {}: from 1 MiB on there are {} of System RAM apart from the kernel",
            quantity::bytes(end - MIB),
            quantity::bytes(most - MIB)
        );
    }
    Ok(end)
}

/// Pieces of System RAM from 1 MiB on in whole pages, apart from what lies in it: the kernel, and
/// memory reserved for a crash kernel.
fn holes(resources: &[Resource]) -> impl Iterator<Item = (u64, u64)> {
    resources.iter().filter(|resource| resource.name == "System RAM").flat_map(|ram| {
        let inside = resources.iter().filter(move |inner| {
            inner.depth > ram.depth && ram.first <= inner.first && inner.last <= ram.last
        });
        let mut taken: Vec<(u64, u64)> = inside.map(|inner| (inner.first, inner.last + 1)).collect();
        taken.sort_unstable();
        let end = ram.last.saturating_add(1);
        taken.push((end, end));
        let mut from = ram.first.max(MIB);
        let mut found = Vec::new();
        for (first, after) in taken {
            let (start, stop) = (from.next_multiple_of(PAGE), first / PAGE * PAGE);
            if start < stop {
                found.push((start, stop));
            }
            from = from.max(after);
        }
        found
    })
}

fn first_hole(resources: &[Resource], from: u64, bytes: u64) -> Option<u64> {
    let mut all = holes(resources).map(|(start, end)| (start.max(from), end));
    all.find(|(start, end)| end.checked_sub(*start).is_some_and(|room| room >= bytes)).map(|hole| hole.0)
}

fn largest_hole(resources: &[Resource], from: u64) -> u64 {
    holes(resources).map(|(start, end)| end.saturating_sub(start.max(from))).max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map() -> Vec<Resource> {
        let resource = |depth, first, last, name: &str| Resource { first, last, depth, name: name.into() };
        vec![
            resource(0, 0x1000, 0x9_fbff, "System RAM"),
            resource(0, 0xf_0000, 0xf_ffff, "System ROM"),
            resource(0, 0x10_0000, 0x1ffd_efff, "System RAM"),
            resource(1, 0x200_0000, 0x2ff_ffff, "Kernel code"),
            resource(1, 0x310_0000, 0x33f_ffff, "Kernel data"),
            resource(1, 0x1800_0000, 0x1bff_ffff, "Crash kernel"),
        ]
    }

    #[test]
    fn the_parts_lie_apart_from_each_other_and_the_kernel() {
        let places = choose(&map(), None, 0x8_0000, 0xa_0000 + 1_474_560).unwrap();
        assert_eq!((places.memory_end, places.kept), (0x100_0000, 0x100_0000));
        assert!(places.image >= places.kept + 0x21_0000, "{places:x?}");
        let places = choose(&map(), Some(0), 0x8_0000, 64 << 20).unwrap();
        assert_eq!((places.memory_end, places.kept), (MIB, 0x340_0000));
        assert_eq!(places.image, 0x20_0000);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_numbers() {
        let refused = |memory, kept| choose(&map(), memory, 0x8_0000, kept).unwrap_err().to_string();
        assert_eq!(
            refused(None, 512 << 20),
            "no room for the disk: 512 MiB in one piece; the largest piece of System RAM above the program's \
             memory, apart from the kernel, has 332 MiB"
        );
        assert_eq!(
            refused(Some(64 << 20), 1 << 20),
            "--memory 64 MiB: from 1 MiB on there are 31 MiB of System RAM apart from the kernel"
        );
        assert!(choose(&[], None, 0x8_0000, 1).is_err());
    }
}
