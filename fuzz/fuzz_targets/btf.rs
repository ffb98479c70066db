//! Any bytes as the kernel's types (BTF): an error, or types whose members can be looked up.
#![no_main]

use vmcore::btf::Btf;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Ok(btf) = Btf::parse(bytes) else { return };
    for (structure, member) in [("page", "mapping"), ("page", "compound_order"), ("zone", "free_area")] {
        let (offset, length) = (btf.offset(structure, member), btf.length(structure, member));
        // A structure that does not exist has no members.
        assert!(btf.size(structure).is_some() || (offset.is_none() && length.is_none()));
    }
    let _ = btf.constant("pageflags", "PG_lru");
});
