//! ARCHITECTURE.md against the tree: which crate uses which, and where `unsafe` stands.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::rust_source;
use crate::{program, tree};

const PAGE: &str = "ARCHITECTURE.md";
/// The first columns of the page's two tables.
const CRATES: [&str; 4] = ["crate", "what it is", "uses", "its tests also use"];
const UNSAFE: [&str; 2] = ["`unsafe` in", "because"];

/// Every workspace that has crates of this tree in it.
const MANIFESTS: [&str; 2] = ["Cargo.toml", "fuzz/Cargo.toml"];

/// Compares both tables with the tree.
///
/// # Errors
/// Everything in which page and tree differ.
pub(crate) fn check() -> Result<()> {
    let page = fs::read_to_string(tree::root().join(PAGE)).context(PAGE)?;
    let mut differences = crates(&table(&page, &CRATES)?, &packages()?);
    differences.extend(unsafe_code(&table(&page, &UNSAFE)?, &files_with_unsafe()?));
    ensure!(differences.is_empty(), "{PAGE} and the tree differ:\n{}", differences.join("\n"));
    Ok(())
}

/// The crates of this tree that a package depends on.
#[derive(Debug, Default, PartialEq, Eq)]
struct Uses {
    /// Dependencies and build dependencies.
    always: BTreeSet<String>,
    /// Dependencies of tests, benches and examples only.
    in_tests: BTreeSet<String>,
}

fn packages() -> Result<BTreeMap<String, Uses>> {
    let mut found = BTreeMap::new();
    for manifest in MANIFESTS {
        let mut cargo = program::cargo();
        cargo.args(["metadata", "--no-deps", "--offline", "--format-version=1", "--manifest-path", manifest]);
        let metadata: Value = serde_json::from_str(&program::read(&mut cargo)?)?;
        for package in metadata["packages"].as_array().context("cargo metadata lists no packages")? {
            let name = package["name"].as_str().context("a package has no name")?;
            found.insert(name.to_owned(), uses(package));
        }
    }
    Ok(found)
}

/// A dependency with a path is a crate of this tree.
fn uses(package: &Value) -> Uses {
    let mut uses = Uses::default();
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let (name, is_here) =
            (dependency["name"].as_str().unwrap_or_default(), dependency["path"].is_string());
        if is_here && dependency["kind"] == "dev" {
            uses.in_tests.insert(name.to_owned());
        } else if is_here {
            uses.always.insert(name.to_owned());
        }
    }
    // Tests may need more features of a crate that is used anyway.
    uses.in_tests.retain(|name| !uses.always.contains(name));
    uses
}

/// Below the tree's root, with `/`.
fn files_with_unsafe() -> Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    for file in tree::sources(&["rs"])? {
        let text = fs::read_to_string(tree::root().join(&file)).with_context(|| file.clone())?;
        if rust_source::has_word(&text, "unsafe") {
            found.insert(file);
        }
    }
    Ok(found)
}

/// The rows of the table with these columns, without head and rule.
fn table<'a>(page: &'a str, columns: &[&str]) -> Result<Vec<Vec<&'a str>>> {
    let mut lines = page.lines().skip_while(|line| cells(line) != columns);
    lines.next().with_context(|| format!("{PAGE} has no table with the columns {}", columns.join(", ")))?;
    Ok(lines.skip(1).take_while(|line| line.starts_with('|')).map(cells).collect())
}

fn cells(line: &str) -> Vec<&str> {
    let inner = line.strip_prefix('|').and_then(|line| line.strip_suffix('|'));
    inner.map(|inner| inner.split('|').map(str::trim).collect()).unwrap_or_default()
}

/// The names in a cell that stand in backquotes.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn crates(rows: &[Vec<&str>], packages: &BTreeMap<String, Uses>) -> Vec<String> {
    let set =
        |cell: Option<&&str>| cell.copied().map(quoted).into_iter().flatten().map(str::to_owned).collect();
    let stated: BTreeMap<&str, Uses> = rows
        .iter()
        .filter_map(|row| {
            let name = quoted(row.first()?).next()?;
            Some((name, Uses { always: set(row.get(2)), in_tests: set(row.get(3)) }))
        })
        .collect();
    let mut differences = Vec::new();
    for name in stated.keys().filter(|name| !packages.contains_key(**name)) {
        differences.push(format!("{name} has a row, and is not a crate"));
    }
    for (name, found) in packages {
        let Some(stated) = stated.get(name.as_str()) else {
            differences.push(format!("{name} is a crate, and has no row"));
            continue;
        };
        compare(name, "", &stated.always, &found.always, &mut differences);
        compare(name, " in tests", &stated.in_tests, &found.in_tests, &mut differences);
    }
    differences
}

fn compare(
    name: &str,
    when: &str,
    stated: &BTreeSet<String>,
    found: &BTreeSet<String>,
    differences: &mut Vec<String>,
) {
    for used in found.difference(stated) {
        differences.push(format!("{name} uses {used}{when}, and its row does not list it"));
    }
    for unused in stated.difference(found) {
        differences.push(format!("{name} does not use {unused}{when}, and its row lists it"));
    }
}

/// A row names files, or directories by a trailing `/`.
fn unsafe_code(rows: &[Vec<&str>], files: &BTreeSet<String>) -> Vec<String> {
    let places: Vec<&str> = rows.iter().filter_map(|row| row.first()).flat_map(|cell| quoted(cell)).collect();
    let covers =
        |place: &str, file: &str| if place.ends_with('/') { file.starts_with(place) } else { file == place };
    let mut differences = Vec::new();
    for file in files.iter().filter(|file| !places.iter().any(|place| covers(place, file))) {
        differences.push(format!("{file} has `unsafe`, and no row lists it"));
    }
    for place in places.iter().filter(|place| !files.iter().any(|file| covers(place, file))) {
        differences.push(format!("{place} has a row, and no `unsafe`"));
    }
    differences
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALL: &str = "text\n\n| crate | what it is | uses | its tests also use |\n|---|---|---|---|\n\
                         | `low` | the ground | | |\n| `high` | the rest | `low` | `tool` |\n\nmore\n";

    fn tree(high: &[&str], in_tests: &[&str]) -> BTreeMap<String, Uses> {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let high = Uses { always: set(high), in_tests: set(in_tests) };
        BTreeMap::from([("high".to_owned(), high), ("low".to_owned(), Uses::default())])
    }

    fn differences(packages: &BTreeMap<String, Uses>) -> Vec<String> {
        crates(&table(SMALL, &CRATES).unwrap(), packages)
    }

    #[test]
    fn a_true_table_passes() {
        assert!(differences(&tree(&["low"], &["tool"])).is_empty());
    }

    #[test]
    fn an_edge_without_a_word_in_the_table_fails() {
        let found = differences(&tree(&["low", "other"], &["tool", "more"]));
        assert_eq!(
            found,
            [
                "high uses other, and its row does not list it",
                "high uses more in tests, and its row does not list it"
            ]
        );
    }

    #[test]
    fn a_stale_word_in_the_table_fails() {
        let found = differences(&tree(&[], &[]));
        assert_eq!(
            found,
            [
                "high does not use low, and its row lists it",
                "high does not use tool in tests, and its row lists it"
            ]
        );
    }

    #[test]
    fn every_crate_has_a_row_and_every_row_a_crate() {
        let mut packages = tree(&["low"], &["tool"]);
        packages.remove("low");
        packages.insert("new".to_owned(), Uses::default());
        assert_eq!(
            differences(&packages),
            ["low has a row, and is not a crate", "new is a crate, and has no row"]
        );
    }

    #[test]
    fn dependencies_of_builds_count_as_always_and_registries_do_not_count() {
        let package = serde_json::json!({ "dependencies": [
            { "name": "a", "kind": null, "path": "/a" },
            { "name": "b", "kind": "build", "path": "/b" },
            { "name": "c", "kind": "dev", "path": "/c" },
            { "name": "a", "kind": "dev", "path": "/a" },
            { "name": "d", "kind": null },
        ] });
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(uses(&package), Uses { always: set(&["a", "b"]), in_tests: set(&["c"]) });
    }

    #[test]
    fn unsafe_stands_only_where_a_row_names_it_and_rows_are_not_stale() {
        let page = "| `unsafe` in | because |\n|---|---|\n| `a/one.rs`, `b/` | x |\n";
        let rows = table(page, &UNSAFE).unwrap();
        let files = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        assert!(unsafe_code(&rows, &files(&["a/one.rs", "b/two.rs", "b/c/three.rs"])).is_empty());
        assert_eq!(
            unsafe_code(&rows, &files(&["a/one.rs", "a/two.rs"])),
            ["a/two.rs has `unsafe`, and no row lists it", "b/ has a row, and no `unsafe`"]
        );
    }

    #[test]
    fn a_page_without_the_table_fails() {
        assert!(table("# Architecture\n", &CRATES).is_err());
    }
}
