//! `/proc/iomem`: the kernel's tree of physical memory (`kernel/resource.c`).

use std::ops::Range;

use phys::PhysRange;

use crate::Garbled;

/// A named part of physical memory. Its ends are bytes: few resources end with a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    /// Address of the first byte.
    pub first: u64,
    /// Address of the last byte.
    pub last: u64,
    /// The number of resources it lies in.
    pub depth: usize,
    /// Its name.
    pub name: String,
}

impl Resource {
    /// Whether this is memory that the kernel manages.
    #[must_use]
    pub fn is_system_ram(&self) -> bool {
        self.name == "System RAM" || self.is_driver_managed()
    }

    /// Whether this is memory that a driver detects and adds, as in `System RAM (kmem)`. The next
    /// kernel's driver adds it again, so no kernel gets it in its memory map.
    #[must_use]
    pub fn is_driver_managed(&self) -> bool {
        self.name.starts_with("System RAM (")
    }

    /// Size in bytes; one less for all of 64 bits.
    #[must_use]
    pub const fn size(&self) -> u64 {
        (self.last - self.first).saturating_add(1)
    }
}

/// All of `/proc/iomem`, in its order: by address, outer resources first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryMap {
    resources: Vec<Resource>,
}

impl MemoryMap {
    /// The resources, in the order of the file.
    #[must_use]
    pub fn resources(&self) -> &[Resource] {
        &self.resources
    }

    /// Whether the kernel replaced all addresses by zeros, as it does for readers without
    /// `CAP_SYS_ADMIN`.
    #[must_use]
    pub fn is_hidden(&self) -> bool {
        self.resources.len() > 1 && self.resources.iter().all(|resource| resource.last == 0)
    }

    /// The pages reserved for a crash kernel, in the order of the file.
    #[must_use]
    pub fn crash_kernel(&self) -> Vec<PhysRange> {
        let reserved = self.resources.iter().filter(|resource| resource.name == "Crash kernel");
        reserved
            .filter_map(|reserved| PhysRange::within_bytes(reserved.first, reserved.size()).ok())
            .collect()
    }

    /// The address range of the kernel's own code and data.
    #[must_use]
    pub fn kernel_image(&self) -> Option<Range<u64>> {
        let parts = || self.resources.iter().filter(|resource| resource.name.starts_with("Kernel "));
        let (first, last) = (parts().map(|part| part.first).min()?, parts().map(|part| part.last).max()?);
        Some(first..last.checked_add(1)?)
    }

    /// The whole pages of System RAM, in the order of the file.
    #[must_use]
    pub fn system_ram(&self) -> Vec<PhysRange> {
        let ram = self.resources.iter().filter(|resource| resource.is_system_ram());
        ram.filter_map(|ram| PhysRange::within_bytes(ram.first, ram.size()).ok()).collect()
    }
}

/// Parses lines like `  01000000-01e01fff : Kernel code`, two spaces a level. Other lines are
/// skipped: the names are drivers', and may be empty or contain a line end. What lies below a
/// skipped line moves up a level.
///
/// # Errors
/// [`Garbled`] if no line of several is a resource.
pub fn parse(text: &str) -> Result<MemoryMap, Garbled> {
    let mut resources: Vec<Resource> = Vec::new();
    for resource in text.lines().filter_map(parse_line) {
        let deepest = resources.last().map_or(0, |outer| outer.depth + 1);
        resources.push(Resource { depth: resource.depth.min(deepest), ..resource });
    }
    if resources.is_empty() && !text.is_empty() {
        return Err(Garbled { line: 1, wanted: "a resource (start-end : name)" });
    }
    Ok(MemoryMap { resources })
}

fn parse_line(line: &str) -> Option<Resource> {
    let inner = line.trim_start_matches(' ');
    let indent = line.len() - inner.len();
    let (range, name) = inner.split_once(" :")?;
    let (first, last) = range.split_once('-')?;
    let (first, last) = (parse_address(first)?, parse_address(last)?);
    (first <= last).then(|| Resource { first, last, depth: indent / 2, name: name.trim().into() })
}

fn parse_address(digits: &str) -> Option<u64> {
    // `from_str_radix` would take a sign too.
    digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then(|| u64::from_str_radix(digits, 16).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MAP: &str = "\
00000000-00000fff : Reserved
00001000-0009fbff : System RAM
0009fc00-0009ffff : Reserved
00100000-7ffdefff : System RAM
  01000000-01e01fff : Kernel code
100000000-17fffffff : System RAM (kmem)
";

    #[test]
    fn resources_have_their_place_in_the_tree() {
        let map = parse(MAP).unwrap();
        assert_eq!(map.resources().len(), 6);
        let code = &map.resources()[4];
        assert_eq!((code.first, code.last, code.depth), (0x100_0000, 0x1e0_1fff, 1));
        assert_eq!(code.name, "Kernel code");
        assert!(!map.is_hidden());
    }

    #[test]
    fn only_whole_pages_are_system_ram() {
        let ram = parse(MAP).unwrap().system_ram();
        let ranges: Vec<(u64, u64)> = ram.iter().map(|range| (range.start().get(), range.end())).collect();
        assert_eq!(ranges, [(0x1000, 0x9f000), (0x10_0000, 0x7ffd_f000), (0x1_0000_0000, 0x1_8000_0000)]);
    }

    #[test]
    fn a_crash_kernels_memory_may_be_in_two_ranges() {
        let text = "00100000-7fffffff : System RAM\n  70000000-77ffffff : Crash kernel\n\
                    100000000-17fffffff : System RAM\n  160000000-16fffffff : Crash kernel\n";
        let kept = parse(text).unwrap().crash_kernel();
        let ranges: Vec<(u64, u64)> = kept.iter().map(|range| (range.start().get(), range.end())).collect();
        assert_eq!(ranges, [(0x7000_0000, 0x7800_0000), (0x1_6000_0000, 0x1_7000_0000)]);
    }

    #[test]
    fn addresses_may_be_hidden() {
        let map = parse("00000000-00000000 : Reserved\n  00000000-00000000 : System ROM\n").unwrap();
        assert!(map.is_hidden());
        assert!(!parse("").unwrap().is_hidden());
    }

    #[test]
    fn a_line_that_is_not_a_resource_is_skipped() {
        for bad in [
            "nonsense",
            "1000-2000",
            "1000 : x",
            "2000-1000 : backwards",
            "+1000-2000 : signed",
            "10000000000000000-20000000000000000 : too wide",
            "",
        ] {
            let text = format!("0-fff : Reserved\n{bad}\n100000-1fffff : System RAM\n");
            let map = parse(&text).unwrap();
            assert_eq!((map.resources().len(), map.system_ram().len()), (2, 1), "{bad}");
            assert_eq!(parse(&format!("{bad}\n")).unwrap_err().line, 1, "{bad}");
        }
    }

    #[test]
    fn an_odd_name_is_a_name() {
        let map = parse("0-fff : \n1000-1fff : \n2000-2fff :\n3000-3fff : two\nlines\n").unwrap();
        let names: Vec<&str> = map.resources().iter().map(|resource| resource.name.as_str()).collect();
        assert_eq!(names, ["", "", "", "two"]);
    }

    #[test]
    fn no_resource_lies_deeper_than_in_the_one_before() {
        let map = parse("0-ffff : PCI Bus\nodd\n    1000-1fff : RAM\n      1000-1fff : part\n").unwrap();
        let depths: Vec<usize> = map.resources().iter().map(|resource| resource.depth).collect();
        assert_eq!(depths, [0, 1, 2]);
    }

    #[test]
    fn all_of_the_address_space_is_a_resource() {
        let map = parse("0-ffffffffffffffff : PCI mem\n").unwrap();
        assert_eq!(map.resources()[0].size(), u64::MAX);
    }

    proptest! {
        #[test]
        fn any_text_is_parsed_or_refused(text in "[ 0-9a-f:\n-]{0,80}") {
            if let Ok(map) = parse(&text) {
                prop_assert!(map.resources().iter().all(|resource| resource.first <= resource.last));
                prop_assert!(map.system_ram().len() <= map.resources().len());
            }
        }
    }
}
