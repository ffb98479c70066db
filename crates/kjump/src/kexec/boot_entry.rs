//! `--boot-entry` and `--list-entries`: what the boot loader would start.

use std::borrow::Cow;
use std::path::Path;

use anyhow::anyhow;
use machine::boot_entries::{self, BootEntry, BootMenu, DefaultEntry, EntryLine, Once};
use serde_json::json;

use super::kept::NAME;
use super::request::{Base, Load};
use crate::terminal::report;
use crate::terminal::table::{Column, Table};

/// A load with the files and the command line of its boot entry, if it names one.
pub(super) fn resolved(load: &Load) -> anyhow::Result<Cow<'_, Load>> {
    let Some(name) = &load.boot_entry else { return Ok(Cow::Borrowed(load)) };
    let name = name.to_str().ok_or_else(|| anyhow!("--boot-entry: {} is not UTF-8", name.display()))?;
    let menu = read()?;
    let entry = chosen(&menu, name)?;
    if load.debug {
        let text = format!("boot entry {}, `{}`, from {}", entry.name, entry.title(), menu.source);
        report::complain(NAME, &text);
    }
    Ok(Cow::Owned(with_entry(load, entry)))
}

fn read() -> anyhow::Result<BootMenu> {
    Ok(boot_entries::read(Path::new("/"))?)
}

/// The entry of this name; without a name, the default.
fn chosen<'a>(menu: &'a BootMenu, name: &str) -> anyhow::Result<&'a BootEntry> {
    const OTHER: &str = "to load an entry all the same, name it: --boot-entry=NAME";
    let entry = match (name, &menu.once, &menu.default) {
        ("", Some(Once::Entry(once)), _) => {
            return Err(anyhow!("the boot loader is to start `{once}` at the next boot only; {OTHER}"));
        }
        ("", Some(Once::Firmware), _) => {
            return Err(anyhow!(
                "the next boot is for the firmware's menu or update (OsIndications), which kexec would \
                 skip; {OTHER}"
            ));
        }
        ("", None, DefaultEntry::Entry(index)) => menu.entries.get(*index),
        ("", None, DefaultEntry::Other(title)) => {
            return Err(anyhow!(
                "the default entry of {}, `{title}`, starts no Linux kernel; {OTHER}",
                menu.source
            ));
        }
        _ => menu.find(name),
    };
    let entry = entry.ok_or_else(|| {
        let (count, source) = (menu.entries.len(), &menu.source);
        anyhow!("no boot entry is named `{name}`; `kexec --list-entries` lists the {count} of {source}")
    })?;
    match &entry.missing {
        None => Ok(entry),
        Some(path) => Err(anyhow!(
            "boot entry `{}`: {path} is in no mounted file system; mount the boot loader's, for \
             example at /boot",
            entry.name
        )),
    }
}

/// The load of an entry: the initrds that are given come after its own.
fn with_entry(load: &Load, entry: &BootEntry) -> Load {
    let initrds = entry.initrds.iter().map(Into::into).chain(load.initrds.iter().cloned());
    Load {
        file: Some(entry.kernel.clone().into()),
        boot_entry: None,
        initrds: initrds.collect(),
        base: match &entry.command_line {
            EntryLine::Given(line) => Base::Line(line.clone().into_bytes()),
            EntryLine::InKernel => Base::InKernel,
            EntryLine::Unknown => Base::None,
        },
        // A link to a kernel is booted with the same command line each time.
        reuse: load.reuse || entry.command_line == EntryLine::Unknown,
        ..load.clone()
    }
}

/// Prints the entries.
pub(super) fn list(json: bool) -> anyhow::Result<()> {
    let menu = read()?;
    if json { report::print_json(&of_menu(&menu)) } else { report::print(&text(&menu)) }
}

fn text(menu: &BootMenu) -> String {
    let columns = [Column::left(""), Column::left("NAME"), Column::left("KERNEL"), Column::left("TITLE")];
    let mut table = Table::new(columns);
    for (index, entry) in menu.entries.iter().enumerate() {
        let mark = if menu.default == DefaultEntry::Entry(index) { "*" } else { "" };
        let kernel = if entry.missing.is_some() { "not mounted" } else { &entry.kernel };
        table.row([mark, &entry.name, kernel, &entry.title()].map(printable));
    }
    let mut text = table.to_string();
    if let DefaultEntry::Other(title) = &menu.default {
        text.push_str(&format!("default: `{}`, which starts no Linux kernel\n", printable(title)));
    }
    match &menu.once {
        Some(Once::Entry(name)) => text.push_str(&format!("at the next boot only: `{}`\n", printable(name))),
        Some(Once::Firmware) => text.push_str("at the next boot only: the firmware's menu or update\n"),
        None => {}
    }
    text
}

/// A text without what would control a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

fn of_menu(menu: &BootMenu) -> serde_json::Value {
    let entries = menu.entries.iter().enumerate().map(|(index, entry)| {
        let command_line = match &entry.command_line {
            EntryLine::Given(line) => Some(line),
            EntryLine::InKernel | EntryLine::Unknown => None,
        };
        json!({
            "name": entry.name,
            "title": entry.title(),
            "position": entry.position,
            "default": menu.default == DefaultEntry::Entry(index),
            "kernel": entry.kernel,
            "initrds": entry.initrds,
            "command_line": command_line,
            "missing": entry.missing,
        })
    });
    let once = menu.once.as_ref().map(|once| match once {
        Once::Entry(name) => name.as_str(),
        Once::Firmware => "firmware",
    });
    json!({ "source": menu.source, "once": once, "entries": entries.collect::<Vec<_>>() })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn menu(name: &str) -> BootMenu {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/boot").join(name);
        boot_entries::read(&root).unwrap()
    }

    fn refusal(menu: &BootMenu, name: &str) -> String {
        chosen(menu, name).unwrap_err().to_string()
    }

    #[test]
    fn the_entries_files_come_before_those_of_the_options() {
        let menu = menu("arch");
        let given = Load { initrds: vec!["/more".into()], boot_entry: Some("".into()), ..Load::default() };
        let load = with_entry(&given, chosen(&menu, "").unwrap());
        assert_eq!(load.file.as_deref(), Some(Path::new("/boot/vmlinuz-linux-lts")));
        let initrds = ["/boot/amd-ucode.img", "/boot/initramfs-linux-lts.img", "/more"].map(PathBuf::from);
        assert_eq!(load.initrds, initrds);
        let line = b"root=PARTUUID=11111111-2222-4333-8444-555555555555 rw";
        assert_eq!((load.base, load.reuse, load.boot_entry), (Base::Line(line.to_vec()), false, None));
        let image = with_entry(&given, chosen(&menu, "arch-zen").unwrap());
        assert_eq!((image.base, image.reuse), (Base::InKernel, false));
    }

    #[test]
    fn a_kernel_without_a_recorded_command_line_gets_the_running_kernels() {
        let load = with_entry(&Load::default(), chosen(&menu("debian-links"), "").unwrap());
        assert_eq!((load.reuse, load.base), (true, Base::None));
    }

    #[test]
    fn an_entry_that_cannot_be_loaded_is_refused_with_the_reason() {
        let mut suse = menu("opensuse-tumbleweed");
        let once = "the boot loader is to start `osprober-efi` at the next boot only";
        assert!(refusal(&suse, "").starts_with(once));
        assert!(chosen(&suse, "gnulinux-simple").is_ok());
        assert!(refusal(&suse, "osprober-efi").contains("lists the 3 of /boot/grub2/grub.cfg"));
        suse.once = Some(Once::Firmware);
        assert!(refusal(&suse, "").contains("OsIndications"));
        (suse.once, suse.default) = (None, DefaultEntry::Other("Windows".into()));
        assert!(refusal(&suse, "").contains("`Windows`, starts no Linux kernel"));
        let other = refusal(&menu("ubuntu-24.04"), "osprober-gnulinux-simple");
        assert!(other.contains("/boot/vmlinuz-6.8.0-45-generic is in no mounted file system"), "{other}");
    }

    #[test]
    fn entries_are_listed_with_the_default_marked() {
        insta::assert_snapshot!(text(&menu("ubuntu-24.04")));
        let json = of_menu(&menu("opensuse-tumbleweed"));
        assert_eq!((&json["once"], &json["entries"][2]["default"]), (&json!("osprober-efi"), &json!(true)));
    }
}
