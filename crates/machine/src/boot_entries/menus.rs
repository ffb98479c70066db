//! The menus of each kind of boot loader.

use std::collections::BTreeMap;

use super::grub::{self, Item, Kind};
use super::place::Places;
use super::specification::{self, LoaderEntry};
use super::{BootEntry, BootMenu, DefaultEntry, EntryLine, Once, variables};
use crate::root::Root;
use crate::{Error, Fact};

/// GRUB's directories: most distributions', and those of Fedora and openSUSE.
const GRUB: [&str; 2] = ["/boot/grub", "/boot/grub2"];
/// Where the file systems with `loader/entries` are mounted.
const ESP: [&str; 3] = ["/efi", "/boot/efi", "/boot"];

/// An entry, or in its place the title of one that starts no Linux kernel.
type Choice = Result<BootEntry, String>;

/// A menu as it is chosen from.
enum Node {
    Choice { names: Vec<String>, choice: Choice },
    Menu { names: Vec<String>, nodes: Vec<Node> },
}

/// GRUB's menu, if there is one with an entry.
pub(super) fn of_grub(root: &Root) -> Fact<Option<BootMenu>> {
    for directory in GRUB {
        let source = format!("{directory}/grub.cfg");
        let text = match root.text(&source) {
            Err(Error::Absent { .. }) => continue,
            other => other?,
        };
        let mut environment = match root.parse(&format!("{directory}/grubenv"), grub::environment::parse) {
            Err(Error::Absent { .. }) => None,
            other => Some(other?),
        };
        // What is for the next boot only does not make the default.
        let once = environment.as_mut().and_then(|environment| environment.remove("next_entry"));
        let menu = grub::menu(&text, environment.as_ref())
            .map_err(|garbled| Error::Garbled { path: source.clone(), garbled })?;
        let reader = GrubReader { root, places: Places::new(root), variables: &menu.variables };
        let nodes = reader.nodes(&menu.items, &[], "")?;
        let default = chosen(&nodes, &menu.default);
        let (entries, default) = flat(nodes, &default);
        if !entries.is_empty() {
            let once = once.filter(|entry| !entry.is_empty()).map(Once::Entry);
            return Ok(Some(BootMenu { source, entries, default, once }));
        }
    }
    Ok(None)
}

struct GrubReader<'a> {
    root: &'a Root,
    places: Places<'a>,
    variables: &'a BTreeMap<String, String>,
}

impl GrubReader<'_> {
    fn nodes(&self, items: &[Item], menus: &[String], position: &str) -> Fact<Vec<Node>> {
        let mut nodes = Vec::new();
        for item in items {
            let position = format!("{position}{}", nodes.len());
            let titles: Vec<String> = menus.iter().chain([&item.title]).cloned().collect();
            let names = item.id.iter().chain([&item.title]).cloned().collect();
            match &item.kind {
                Kind::LoaderEntries => nodes.extend(self.loader_entries(menus, nodes.len())?),
                Kind::Submenu(inner) => {
                    let nodes_inside = self.nodes(inner, &titles, &format!("{position}>"))?;
                    nodes.push(Node::Menu { names, nodes: nodes_inside });
                }
                Kind::Entry(kernel) if kernel.path.is_empty() => {
                    nodes.push(Node::Choice { names, choice: Err(item.title.clone()) });
                }
                Kind::Entry(kernel) => {
                    let mut entry = BootEntry {
                        name: item.id.clone().unwrap_or_else(|| position.clone()),
                        titles,
                        position: Some(position),
                        kernel: kernel.path.clone(),
                        initrds: kernel.initrds.clone(),
                        command_line: EntryLine::Given(kernel.command_line.clone()),
                        missing: None,
                    };
                    locate(&mut entry, |path| self.places.find(path, kernel.place.as_ref(), "/boot"));
                    nodes.push(Node::Choice { names, choice: Ok(entry) });
                }
            }
        }
        Ok(nodes)
    }

    /// The entries of the boot loader specification that the script includes.
    fn loader_entries(&self, menus: &[String], before: usize) -> Fact<Vec<Node>> {
        let mut entries = loader_entries(self.root, "/boot")?;
        entries.sort_by(specification::by_name);
        let nodes = entries.into_iter().filter(|entry| entry.kernel.is_some()).enumerate();
        let nodes = nodes.map(|(index, mut entry)| {
            let replaced = |text: &String| grub::substituted(text, self.variables);
            entry.options = replaced(&entry.options).trim().to_owned();
            let initrds = entry.initrds.iter().map(replaced);
            entry.initrds =
                initrds.flat_map(|it| it.split_whitespace().map(String::from).collect::<Vec<_>>()).collect();
            let names = vec![entry.id.clone(), entry.title.clone().unwrap_or_default()];
            let mut entry = of_specification(entry, &self.places, "/boot");
            entry.position = Some((before + index).to_string()).filter(|_| menus.is_empty());
            entry.titles = menus.iter().cloned().chain(entry.titles).collect();
            Node::Choice { names, choice: Ok(entry) }
        });
        Ok(nodes.collect())
    }
}

/// The choice of `default`: where it names nothing, the first one, as in GRUB.
fn chosen(nodes: &[Node], default: &str) -> Vec<usize> {
    let mut path = Vec::new();
    let mut nodes = nodes;
    let mut parts = grub::path(default).into_iter();
    loop {
        let part = parts.next().unwrap_or_default();
        let by_name = nodes.iter().position(|node| match node {
            Node::Choice { names, .. } | Node::Menu { names, .. } => names.contains(&part),
        });
        let by_number = || part.parse().ok().filter(|&number: &usize| number < nodes.len());
        let index = if part.is_empty() { 0 } else { by_number().or(by_name).unwrap_or(0) };
        path.push(index);
        match nodes.get(index) {
            Some(Node::Menu { nodes: inner, .. }) => nodes = inner,
            _ => return path,
        }
    }
}

/// All entries in the order of the menu, and the default among them.
fn flat(nodes: Vec<Node>, path: &[usize]) -> (Vec<BootEntry>, DefaultEntry) {
    let mut entries = Vec::new();
    let mut default = DefaultEntry::Other(String::new());
    collect(nodes, &mut entries, Some(path), &mut default);
    (entries, default)
}

fn collect(
    nodes: Vec<Node>,
    entries: &mut Vec<BootEntry>,
    path: Option<&[usize]>,
    default: &mut DefaultEntry,
) {
    for (index, node) in nodes.into_iter().enumerate() {
        let rest = path.and_then(<[usize]>::split_first).filter(|(first, _)| **first == index);
        match node {
            Node::Menu { nodes, names } => {
                if rest.is_some() && nodes.is_empty() {
                    *default = DefaultEntry::Other(names.last().cloned().unwrap_or_default());
                }
                collect(nodes, entries, rest.map(|(_, rest)| rest), default);
            }
            Node::Choice { choice: Ok(entry), .. } => {
                if rest.is_some() {
                    *default = DefaultEntry::Entry(entries.len());
                }
                entries.push(entry);
            }
            Node::Choice { choice: Err(title), .. } => {
                if rest.is_some() {
                    *default = DefaultEntry::Other(title);
                }
            }
        }
    }
}

/// systemd-boot's menu, if there is one with an entry.
pub(super) fn of_systemd(root: &Root) -> Fact<Option<BootMenu>> {
    let places = Places::new(root);
    let mut all: Vec<(LoaderEntry, &str)> = Vec::new();
    for base in ESP {
        let entries = loader_entries(root, base)?.into_iter().chain(images(root, base));
        for entry in entries.filter(|entry| entry.kernel.is_some()) {
            // The same file system may be mounted twice, or reached by a link.
            if !all.iter().any(|(known, _)| known.id == entry.id) {
                all.push((entry, base));
            }
        }
    }
    let Some((_, source)) = all.first() else { return Ok(None) };
    let source = format!("{source}/loader");
    let mut sorted: Vec<LoaderEntry> = all.iter().map(|(entry, _)| entry.clone()).collect();
    specification::sort(&mut sorted);
    let default = default_of_systemd(root, &sorted)?;
    let base_of =
        |entry: &LoaderEntry| all.iter().find(|(it, _)| it.id == entry.id).map_or("", |(_, base)| *base);
    let entries = sorted.into_iter().map(|entry| {
        let base = base_of(&entry);
        of_specification(entry, &places, base)
    });
    let once = variables::text(root, "LoaderEntryOneShot").map(Once::Entry);
    Ok(Some(BootMenu { source, entries: entries.collect(), default: DefaultEntry::Entry(default), once }))
}

/// The index of the entry that the first matching pattern selects, or of the first entry.
fn default_of_systemd(root: &Root, entries: &[LoaderEntry]) -> Fact<usize> {
    let mut patterns: Vec<String> = variables::text(root, "LoaderEntryDefault").into_iter().collect();
    for base in ESP {
        match root.text(&format!("{base}/loader/loader.conf")) {
            Err(Error::Absent { .. }) => {}
            text => patterns.extend(specification::parse_loader(&text?)),
        }
    }
    for pattern in &mut patterns {
        if pattern == "@saved" {
            *pattern = variables::text(root, "LoaderEntryLastBooted").unwrap_or_default();
        }
    }
    let matching = |pattern: &String| {
        entries.iter().position(|entry| {
            let suffix = if entry.is_unified { ".efi" } else { ".conf" };
            let names = [entry.id.clone(), format!("{}{suffix}", entry.id)];
            names.iter().any(|name| specification::matches(pattern, name))
        })
    };
    Ok(patterns.iter().find_map(matching).unwrap_or(0))
}

/// The entries in a directory `loader/entries`.
fn loader_entries(root: &Root, base: &str) -> Fact<Vec<LoaderEntry>> {
    let directory = format!("{base}/loader/entries");
    let names = match root.names(&directory) {
        Err(Error::Absent { .. }) => return Ok(Vec::new()),
        names => names?,
    };
    let names = names.iter().filter(|name| name.ends_with(".conf"));
    names.map(|name| Ok(specification::parse(name, &root.text(&format!("{directory}/{name}"))?))).collect()
}

/// The unified kernel images in the directory for them.
fn images(root: &Root, base: &str) -> Vec<LoaderEntry> {
    let names = root.names(&format!("{base}/EFI/Linux")).unwrap_or_default();
    let names = names.iter().filter(|name| name.ends_with(".efi"));
    names.map(|name| LoaderEntry::of_image(name, format!("/EFI/Linux/{name}"))).collect()
}

fn of_specification(entry: LoaderEntry, places: &Places<'_>, base: &str) -> BootEntry {
    let title = match (entry.title, entry.version) {
        (Some(title), Some(version)) if !title.contains(&version) => format!("{title} ({version})"),
        (Some(title), _) => title,
        (None, _) => entry.id.clone(),
    };
    let mut entry = BootEntry {
        name: entry.id,
        titles: vec![title],
        position: None,
        kernel: entry.kernel.unwrap_or_default(),
        initrds: entry.initrds,
        command_line: match entry.is_unified {
            true => EntryLine::InKernel,
            false => EntryLine::Given(entry.options),
        },
        missing: None,
    };
    locate(&mut entry, |path| places.find(path, None, base));
    entry
}

/// Replaces the boot loader's paths by this machine's.
fn locate(entry: &mut BootEntry, find: impl Fn(&str) -> Option<String>) {
    let BootEntry { kernel, initrds, missing, .. } = entry;
    for path in [kernel].into_iter().chain(initrds) {
        match find(path) {
            Some(found) => *path = found,
            None => drop(missing.get_or_insert_with(|| path.clone())),
        }
    }
}

/// Debian's links to the newest kernel and to the one before.
pub(super) fn of_links(root: &Root) -> Option<BootMenu> {
    let link = |directory: &str, name: &str, initrd: &str| {
        let kernel = format!("{directory}/{name}");
        let initrd = format!("{directory}/{initrd}");
        root.has(&kernel).then(|| BootEntry {
            name: name.into(),
            titles: vec![root.link_name(&kernel).unwrap_or_else(|| name.into())],
            position: None,
            kernel,
            initrds: Some(initrd).filter(|path| root.has(path)).into_iter().collect(),
            command_line: EntryLine::Unknown,
            missing: None,
        })
    };
    ["", "/boot"].iter().find_map(|directory| {
        let newest = link(directory, "vmlinuz", "initrd.img")?;
        let source = newest.kernel.clone();
        let entries = [newest].into_iter().chain(link(directory, "vmlinuz.old", "initrd.img.old"));
        Some(BootMenu { source, entries: entries.collect(), default: DefaultEntry::Entry(0), once: None })
    })
}
