//! The entries of the boot loader's menu: kernels with their initrds and command lines, and which
//! one it starts by default.
//!
//! Three kinds of menu are read. GRUB's is in `grub.cfg`, a script, whose default and variables may
//! be in its environment block. systemd-boot's are files of the boot loader specification, which
//! GRUB includes too where its script says so. Without either, there are Debian's links to the
//! newest kernel and the one before it.

pub mod grub;
mod menus;
pub mod mounts;
mod place;
pub mod specification;
mod variables;
pub mod version;

use std::path::Path;

use crate::root::Root;
use crate::{Error, Fact};

/// A boot loader's menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootMenu {
    /// The file or directory it is from.
    pub source: String,
    /// The entries that start a Linux kernel, in the order of the menu.
    pub entries: Vec<BootEntry>,
    /// The entry that the boot loader starts by itself.
    pub default: DefaultEntry,
    /// What is to happen at the next boot only.
    pub once: Option<Once>,
}

/// An entry that starts a Linux kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootEntry {
    /// Its name for the boot loader, or its place in the menu.
    pub name: String,
    /// Its title, after those of the menus that it is in.
    pub titles: Vec<String>,
    /// Its place in GRUB's menu, as in `1>0`.
    pub position: Option<String>,
    /// The kernel file's path on this machine.
    pub kernel: String,
    /// The initrds' paths on this machine.
    pub initrds: Vec<String>,
    /// Where the command line is from.
    pub command_line: EntryLine,
    /// The first of the paths that is in no mounted file system, as the boot loader has it.
    pub missing: Option<String>,
}

/// The command line of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryLine {
    /// It is in the entry.
    Given(String),
    /// It is in the kernel file, a unified kernel image.
    InKernel,
    /// It is not recorded: the entry is a link to a kernel.
    Unknown,
}

/// The entry that a boot loader starts by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefaultEntry {
    /// One of the entries, by its index.
    Entry(usize),
    /// One that starts no Linux kernel, by its title.
    Other(String),
}

/// What is to happen at the next boot only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Once {
    /// This entry is started: GRUB's `next_entry`, or the EFI variable `LoaderEntryOneShot`.
    Entry(String),
    /// The firmware is to show its menu or update itself: the EFI variable `OsIndications`.
    Firmware,
}

impl BootEntry {
    /// The title with those of its menus, as in `Advanced options>Linux 6.1`.
    #[must_use]
    pub fn title(&self) -> String {
        self.titles.join(">")
    }

    /// Whether this names the entry: its name, with or without `.conf`, its place or its title.
    fn is_named(&self, name: &str) -> bool {
        let bare = |name: &str| !name.is_empty() && name == self.name;
        bare(name)
            || name.strip_suffix(".conf").or_else(|| name.strip_suffix(".efi")).is_some_and(bare)
            || self.position.as_deref() == Some(name)
            || self.titles.last().is_some_and(|title| title == name)
            || self.title() == name
    }

    /// Whether its kernel is of this release, by the name of the file or of the entry.
    fn is_of_release(&self, release: &str) -> bool {
        let ends = |name: &str| {
            !release.is_empty() && name.strip_suffix(release).is_some_and(|before| before.ends_with('-'))
        };
        ends(&self.kernel) || ends(&self.name)
    }
}

impl BootMenu {
    /// The entry of a name, title, place in the menu or kernel release. Of a release, it is the
    /// first one.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&BootEntry> {
        let by_name = self.entries.iter().find(|entry| entry.is_named(name));
        by_name.or_else(|| self.entries.iter().find(|entry| entry.is_of_release(name)))
    }
}

/// Reads the menu of the boot loader that this machine was started by, as far as that is known.
///
/// # Errors
/// There is no menu, or a file of it cannot be read or understood.
pub fn read(root: &Path) -> Fact<BootMenu> {
    let root = Root::new(root);
    let mut menu = find(&root)?;
    if variables::asks_for_firmware(&root) {
        menu.once = Some(Once::Firmware);
    }
    Ok(menu)
}

fn find(root: &Root) -> Fact<BootMenu> {
    let grub = || menus::of_grub(root);
    let systemd = || menus::of_systemd(root);
    let is_systemd = variables::loader(root).is_some_and(|name| name.starts_with("systemd-boot"));
    let both = if is_systemd { [systemd()?, grub()?] } else { [grub()?, systemd()?] };
    let menu = both.into_iter().flatten().next().or_else(|| menus::of_links(root));
    menu.ok_or_else(|| Error::Absent { path: NONE.into() })
}

const NONE: &str = "a menu of a boot loader (/boot/grub/grub.cfg, /boot/grub2/grub.cfg, loader/entries in \
                    /efi, /boot/efi or /boot, /vmlinuz)";
