//! Where the image that calls the BIOS may lie.

use machine::iomem::Resource;

/// The image lies at a multiple of this, so that one large page maps it.
const STEP: u64 = 2 << 20;
/// 32-bit code reaches it.
const END: u64 = 1 << 32;
/// Most places that are tried.
const MOST: usize = 16;

/// Addresses below 4 GiB in System RAM, spread over it, without the running kernel's own: places to
/// try, since other memory there may be in use.
pub(super) fn candidates(resources: &[Resource], bytes: u64) -> Vec<u64> {
    let kernel = |at: u64| {
        let parts = resources.iter().filter(|resource| resource.name.starts_with("Kernel "));
        parts.clone().any(|part| part.first < at + bytes && at <= part.last)
    };
    let ram = resources.iter().filter(|resource| resource.name == "System RAM");
    let places = ram.flat_map(|ram| {
        let first = ram.first.max(STEP).next_multiple_of(STEP);
        let last = ram.last.min(END - 1);
        (first..last).step_by(2 << 20).take_while(move |at| at + bytes <= last + 1)
    });
    let free: Vec<u64> = places.filter(|&at| !kernel(at)).collect();
    let step = free.len().div_ceil(MOST).max(1);
    free.into_iter().step_by(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(first: u64, last: u64, name: &str) -> Resource {
        Resource { first, last, depth: 0, name: name.into() }
    }

    #[test]
    fn places_are_spread_over_ram_below_4_gib_apart_from_the_kernel() {
        let map = [
            resource(0x1000, 0x9_fbff, "System RAM"),
            resource(0x10_0000, 0x1f_ffff_f000, "System RAM"),
            resource(0x20_0000, 0x5f_ffff, "Kernel code"),
        ];
        let found = candidates(&map, 0x4_0000);
        assert!(found.len() <= MOST && found.len() > 10);
        assert!(found.iter().all(|at| at % STEP == 0 && *at >= 0x60_0000 && at + 0x4_0000 <= END));
        assert!(*found.last().unwrap() > 0xc000_0000);
    }

    #[test]
    fn ram_that_is_too_small_has_no_place() {
        assert_eq!(candidates(&[resource(0x10_0000, 0x20_ffff, "System RAM")], 0x4_0000), [0_u64; 0]);
        assert_eq!(candidates(&[resource(0x10_0000, 0x23_ffff, "System RAM")], 0x4_0000), [0x20_0000]);
    }
}
