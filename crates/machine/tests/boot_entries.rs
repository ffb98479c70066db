//! The menus of `testdata/boot`, as they are read.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::path::Path;

use machine::boot_entries::{self, BootEntry, BootMenu, DefaultEntry, EntryLine, Once};

fn menu(name: &str) -> BootMenu {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/boot").join(name);
    boot_entries::read(&root).unwrap()
}

fn default(menu: &BootMenu) -> &BootEntry {
    match menu.default {
        DefaultEntry::Entry(index) => &menu.entries[index],
        DefaultEntry::Other(ref title) => panic!("{title}"),
    }
}

fn line(entry: &BootEntry) -> &str {
    match &entry.command_line {
        EntryLine::Given(line) => line,
        other => panic!("{other:?}"),
    }
}

fn names(menu: &BootMenu) -> Vec<&str> {
    menu.entries.iter().map(|entry| entry.name.as_str()).collect()
}

#[test]
fn debians_default_is_the_first_entry() {
    const UUID: &str = "11111111-2222-4333-8444-555555555555";
    let menu = menu("debian-12");
    assert_eq!((menu.source.as_str(), menu.entries.len()), ("/boot/grub/grub.cfg", 5));
    let entry = default(&menu);
    assert_eq!(entry.name, format!("gnulinux-simple-{UUID}"));
    assert_eq!(entry.kernel, "/boot/vmlinuz-6.1.0-35-amd64");
    assert_eq!(entry.initrds, ["/boot/initrd.img-6.1.0-35-amd64"]);
    assert_eq!(line(entry), format!("root=UUID={UUID} ro quiet"));
    assert_eq!(entry.missing, None);
    // By its release, its place, its titles.
    let old = menu.find("6.1.0-9-amd64").unwrap();
    assert_eq!(old.name, format!("gnulinux-6.1.0-9-amd64-advanced-{UUID}"));
    assert_eq!(menu.find("1>2").unwrap(), old);
    let title = "Advanced options for Debian GNU/Linux>Debian GNU/Linux, with Linux 6.1.0-9-amd64";
    assert_eq!((menu.find(title), old.title()), (Some(old), title.to_owned()));
    assert_eq!(menu.find(&title[title.find('>').unwrap() + 1..]), Some(old));
    assert_eq!(line(menu.find("1>3").unwrap()), format!("root=UUID={UUID} ro single"));
    for absent in ["", "5", "1", "1>9", "amd64x", "-amd64"] {
        assert_eq!(menu.find(absent), None, "{absent}");
    }
}

#[test]
fn links_have_no_command_line() {
    let menu = menu("debian-links");
    assert_eq!((menu.source.as_str(), names(&menu)), ("/vmlinuz", vec!["vmlinuz", "vmlinuz.old"]));
    let entry = default(&menu);
    assert_eq!((entry.kernel.as_str(), entry.title()), ("/vmlinuz", "vmlinuz-6.1.0-35-amd64".into()));
    assert_eq!(
        (entry.initrds.as_slice(), &entry.command_line),
        (&["/initrd.img".into()][..], &EntryLine::Unknown)
    );
    assert_eq!(menu.find("vmlinuz.old").unwrap().initrds, [""; 0]);
}

#[test]
fn ubuntus_default_may_be_in_a_submenu_and_boot_a_file_system_of_its_own() {
    let menu = menu("ubuntu-24.04");
    let entry = default(&menu);
    assert_eq!(
        (entry.name.as_str(), entry.position.as_deref()),
        ("gnulinux-6.8.0-41-generic-advanced", Some("1>2"))
    );
    assert_eq!(entry.kernel, "/boot/vmlinuz-6.8.0-41-generic");
    assert_eq!(
        line(entry),
        "root=/dev/mapper/ubuntu--vg-root ro quiet splash \"dyndbg=file drivers/usb/* +p\" vt.handoff=7"
    );
    // A kernel of the same name on a disk that is not mounted is not this machine's.
    let other = menu.find("osprober-gnulinux-simple").unwrap();
    assert_eq!(other.missing.as_deref(), Some("/boot/vmlinuz-6.8.0-45-generic"));
    assert_eq!(menu.entries.len(), 6, "the memory test is not Linux");
    assert_eq!(other.position.as_deref(), Some("3"), "but it has a place in the menu");
}

#[test]
fn fedoras_entries_take_their_options_from_the_environment_block() {
    const MACHINE: &str = "0123456789abcdef0123456789abcdef";
    let menu = menu("fedora-39");
    let expected = [
        format!("{MACHINE}-6.5.10-300.fc39.x86_64"),
        format!("{MACHINE}-6.5.6-300.fc39.x86_64"),
        format!("{MACHINE}-0-rescue"),
    ];
    assert_eq!(names(&menu), expected);
    let entry = default(&menu);
    assert_eq!(entry.name, expected[1]);
    assert_eq!(entry.kernel, "/boot/vmlinuz-6.5.6-300.fc39.x86_64");
    assert_eq!(entry.initrds, ["/boot/initramfs-6.5.6-300.fc39.x86_64.img"]);
    assert_eq!(
        line(entry),
        "root=UUID=11111111-2222-4333-8444-555555555555 ro rootflags=subvol=root rhgb quiet"
    );
    assert_eq!(menu.find("0").unwrap().name, expected[0]);
    assert_eq!(menu.find("6.5.10-300.fc39.x86_64").unwrap().name, expected[0]);
}

#[test]
fn archs_default_is_the_one_that_the_pattern_matches() {
    let menu = menu("arch");
    let entry = default(&menu);
    assert_eq!((entry.name.as_str(), entry.kernel.as_str()), ("arch-lts", "/boot/vmlinuz-linux-lts"));
    assert_eq!(entry.initrds, ["/boot/amd-ucode.img", "/boot/initramfs-linux-lts.img"]);
    let arch = menu.find("arch.conf").unwrap();
    assert_eq!(line(arch), "root=PARTUUID=11111111-2222-4333-8444-555555555555 rw zswap.enabled=0");
    let image = menu.find("arch-zen").unwrap();
    assert_eq!(
        (image.kernel.as_str(), &image.command_line),
        ("/boot/EFI/Linux/arch-zen.efi", &EntryLine::InKernel)
    );
    assert_eq!(menu.find("gone").unwrap().missing.as_deref(), Some("/vmlinuz-gone"));
}

#[test]
fn opensuses_default_is_named_by_its_titles_and_lies_in_a_subvolume() {
    let menu = menu("opensuse-tumbleweed");
    let entry = default(&menu);
    assert_eq!(entry.name, "gnulinux-6.10.11-1-default-advanced");
    assert_eq!(entry.kernel, "/boot/vmlinuz-6.10.11-1-default");
    assert_eq!(entry.initrds, ["/boot/initrd-6.10.11-1-default"]);
    assert_eq!(menu.once, Some(Once::Entry("osprober-efi".into())));
}

#[test]
fn a_missing_menu_is_reported_with_the_places_searched() {
    let error = boot_entries::read(Path::new("/nowhere")).unwrap_err().to_string();
    assert!(error.contains("/boot/grub/grub.cfg") && error.ends_with("does not exist"), "{error}");
}
