//! Entries of the boot loader specification, and systemd-boot's `loader.conf`
//! (UAPI.1, loader.conf(5)).

use std::cmp::{Ordering, Reverse};

use super::version;

/// An entry, from a file of `loader/entries`. Paths are in the file system of that directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoaderEntry {
    /// The file's name without `.conf` and counters.
    pub id: String,
    /// Whether no attempt to boot it is left.
    pub is_bad: bool,
    /// `title`.
    pub title: Option<String>,
    /// `version`.
    pub version: Option<String>,
    /// `sort-key`.
    pub sort_key: Option<String>,
    /// `machine-id`.
    pub machine_id: Option<String>,
    /// `linux`, or `efi` and `uki`, for an entry that is one program.
    pub kernel: Option<String>,
    /// Whether the kernel file has the initrd and the command line.
    pub is_unified: bool,
    /// Every `initrd`.
    pub initrds: Vec<String>,
    /// Every `options`, joined.
    pub options: String,
}

impl LoaderEntry {
    /// An entry that is a unified kernel image, by the name of its file.
    #[must_use]
    pub fn of_image(name: &str, path: String) -> Self {
        let (id, is_bad) = uncounted(name.strip_suffix(".efi").unwrap_or(name));
        Self { id, is_bad, kernel: Some(path), is_unified: true, ..Self::default() }
    }
}

/// Parses an entry's file; `name` is the file's name.
#[must_use]
pub fn parse(name: &str, text: &str) -> LoaderEntry {
    let (id, is_bad) = uncounted(name.strip_suffix(".conf").unwrap_or(name));
    let mut entry = LoaderEntry { id, is_bad, ..LoaderEntry::default() };
    for (key, value) in settings(text) {
        let path = || value.replace('\\', "/");
        match key {
            "title" => entry.title = Some(value.into()),
            "version" => entry.version = Some(value.into()),
            "sort-key" => entry.sort_key = Some(value.into()),
            "machine-id" => entry.machine_id = Some(value.into()),
            "linux" => (entry.kernel, entry.is_unified) = (Some(path()), false),
            "uki" | "efi" if entry.kernel.is_none() => {
                (entry.kernel, entry.is_unified) = (Some(path()), true);
            }
            // GRUB takes several on one line.
            "initrd" => entry.initrds.extend(path().split_whitespace().map(String::from)),
            "options" => {
                if !entry.options.is_empty() {
                    entry.options.push(' ');
                }
                entry.options.push_str(value);
            }
            _ => {}
        }
    }
    entry
}

/// The `default` patterns of a `loader.conf`, in the order in which they are tried.
#[must_use]
pub fn parse_loader(text: &str) -> Vec<String> {
    let find = |wanted: &str| {
        settings(text).filter(|&(key, _)| key == wanted).last().map(|(_, value)| value.to_owned())
    };
    find("preferred").into_iter().chain(find("default")).collect()
}

fn settings(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| {
        let (key, value) = line.split_once(char::is_whitespace)?;
        Some((key, value.trim()))
    })
}

/// A name without `+LEFT` or `+LEFT-DONE`, and whether no attempt is left.
fn uncounted(name: &str) -> (String, bool) {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((id, counters)) = name.rsplit_once('+') {
        let (left, done) = counters.split_once('-').unwrap_or((counters, "0"));
        if is_number(left) && is_number(done) {
            return (id.into(), left.bytes().all(|digit| digit == b'0'));
        }
    }
    (name.into(), false)
}

/// Sorts entries as systemd-boot shows them: the newest of the first system comes first.
pub fn sort(entries: &mut [LoaderEntry]) {
    entries.sort_by(order);
}

fn order(left: &LoaderEntry, right: &LoaderEntry) -> Ordering {
    fn text(text: Option<&String>) -> &str {
        text.map_or("", String::as_str)
    }
    let by_keys = || match (&left.sort_key, &right.sort_key) {
        (Some(left_key), Some(right_key)) => left_key
            .cmp(right_key)
            .then_with(|| left.machine_id.cmp(&right.machine_id))
            .then_with(|| version::compare(text(right.version.as_ref()), text(left.version.as_ref()))),
        (left_key, right_key) => Reverse(left_key.is_some()).cmp(&Reverse(right_key.is_some())),
    };
    (left.is_bad.cmp(&right.is_bad)).then_with(by_keys).then_with(|| by_name(left, right))
}

/// The order of GRUB's `blscfg`: by name, the newest version first.
pub fn by_name(left: &LoaderEntry, right: &LoaderEntry) -> Ordering {
    version::compare(&right.id, &left.id).then_with(|| right.id.cmp(&left.id))
}

/// Whether a name matches a pattern with `*`, `?` and `[...]`.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut of) = (0, 0);
    // Where the last `*` is in the pattern, and what it has matched up to.
    let mut star: Option<(usize, usize)> = None;
    while of < name.len() {
        let step = match (pattern.get(at), name.get(of)) {
            (Some('*'), _) => {
                star = Some((at, of));
                at += 1;
                continue;
            }
            (Some('?'), _) => Some(1),
            (Some('['), Some(&letter)) => set(pattern.get(at + 1..).unwrap_or_default(), letter),
            (Some(expected), Some(letter)) if expected == letter => Some(1),
            _ => None,
        };
        match (step, star) {
            (Some(step), _) => (at, of) = (at + step, of + 1),
            (None, Some((star_at, matched))) => {
                star = Some((star_at, matched + 1));
                (at, of) = (star_at + 1, matched + 1);
            }
            (None, None) => return false,
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|&rest| rest == '*')
}

/// The length of a pattern's set with its first bracket, if the letter is in it.
fn set(after: &[char], letter: char) -> Option<usize> {
    let end = after.iter().skip(1).position(|&next| next == ']')? + 1;
    let inner = after.get(..end)?;
    let (inner, negated) = match inner.split_first() {
        Some(('!' | '^', rest)) if !rest.is_empty() => (rest, true),
        _ => (inner, false),
    };
    let mut found = false;
    let mut rest = inner;
    while let Some((&first, after)) = rest.split_first() {
        match after {
            ['-', last, after @ ..] => {
                found |= (first..=*last).contains(&letter);
                rest = after;
            }
            _ => {
                found |= first == letter;
                rest = after;
            }
        }
    }
    (found != negated).then_some(end + 2)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_entry_is_named_by_its_file_without_the_counters() {
        let entry = parse("arch+0-3.conf", "title  Arch\nlinux \\vmlinuz\ninitrd /a\ninitrd /b\n");
        assert_eq!((entry.id.as_str(), entry.is_bad), ("arch", true));
        assert_eq!(entry.kernel.as_deref(), Some("/vmlinuz"));
        assert_eq!(entry.initrds, ["/a", "/b"]);
        let entry = parse("c++.conf", "# linux /no\noptions a  b\noptions c=d\nefi /x.efi\nlinux /k");
        assert_eq!((entry.id.as_str(), entry.is_bad), ("c++", false));
        assert_eq!((entry.options.as_str(), entry.is_unified), ("a  b c=d", false));
        assert!(!parse("a+3.conf", "").is_bad);
    }

    #[test]
    fn entries_are_sorted_by_key_and_then_the_newest_version() {
        let entry = |name: &str, key: Option<&str>, version: &str| LoaderEntry {
            sort_key: key.map(String::from),
            version: Some(version.into()),
            ..parse(name, "")
        };
        let mut entries = [
            entry("zz", None, "9"),
            entry("x-6.9", Some("b"), "6.9"),
            entry("a+0", Some("a"), "7"),
            entry("x-6.10", Some("b"), "6.10"),
            entry("y", Some("a"), "1"),
        ];
        sort(&mut entries);
        let order: Vec<&str> = entries.iter().map(|entry| entry.id.as_str()).collect();
        assert_eq!(order, ["y", "x-6.10", "x-6.9", "zz", "a"]);
    }

    #[test]
    fn a_pattern_matches_as_in_a_shell() {
        for (pattern, name, is_match) in [
            ("arch-*", "arch-linux.conf", true),
            ("arch-*.conf", "arch-linux.conf", true),
            ("a?c[0-9x]", "abcx", true),
            ("a?c[!0-9]", "abc7", false),
            ("*a*b", "aab", true),
            ("*a*b", "aba", false),
            ("[", "[", false),
            ("", "", true),
            ("*", "", true),
        ] {
            assert_eq!(matches(pattern, name), is_match, "{pattern} {name}");
        }
    }

    #[test]
    fn the_preferred_default_comes_first() {
        assert_eq!(parse_loader("timeout 3\ndefault a\ndefault b*\n#default c\n"), ["b*"]);
        assert_eq!(parse_loader("default a\npreferred p"), ["p", "a"]);
    }

    proptest! {
        #[test]
        fn every_name_matches_itself_and_a_star_in_any_place(name in "[a-z.-]{0,12}", at in 0..12_usize) {
            prop_assert!(matches(&name, &name));
            let (before, after) = name.split_at(at.min(name.len()));
            let pattern = format!("{before}*{after}");
            prop_assert!(matches(&pattern, &name));
        }

        #[test]
        fn any_pattern_is_compared(pattern in "[]a*?!^-]{0,12}|\\PC{0,8}", name in "[]a*?!-]{0,12}") {
            let _ = matches(&pattern, &name);
        }
    }
}
