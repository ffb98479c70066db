//! Any text as each of the files of a boot loader's menu: no parser panics, and scripts end.
#![no_main]

use machine::boot_entries::{grub, mounts, specification, version};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let environment = grub::environment::parse(&text).ok();
    if let Ok(menu) = grub::menu(&text, environment.as_ref()) {
        let _ = grub::substituted(&text, &menu.variables);
        let _ = grub::path(&menu.default);
    }
    let mut entries: Vec<_> = text.split("\n\n").map(|part| specification::parse(part, part)).collect();
    specification::sort(&mut entries);
    for pattern in specification::parse_loader(&text) {
        let _ = entries.iter().filter(|entry| specification::matches(&pattern, &entry.id)).count();
    }
    if let Some((left, right)) = text.split_once('\n') {
        assert_eq!(version::compare(left, right), version::compare(right, left).reverse());
    }
    for mount in mounts::parse(&text) {
        let _ = mount.place_of(&text);
    }
});
