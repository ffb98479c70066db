//! Any text as `/proc/iomem`: an error, or a tree that contains the ranges of System RAM.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(map) = machine::iomem::parse(&String::from_utf8_lossy(bytes)) else { return };
    let resources = map.resources();
    for pair in resources.windows(2) {
        assert!(pair[1].depth <= pair[0].depth + 1);
    }
    assert!(resources.iter().all(|resource| resource.first <= resource.last));
    for ram in map.system_ram() {
        let lies_in = |resource: &machine::iomem::Resource| {
            resource.is_system_ram() && resource.first <= ram.start().get() && ram.end() - 1 <= resource.last
        };
        assert!(resources.iter().any(lies_in));
    }
    let _ = map.is_hidden();
});
