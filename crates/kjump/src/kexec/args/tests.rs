use super::*;
use crate::kexec::request::{Load, Then};

fn of(line: &str) -> String {
    let arguments: Vec<OsString> =
        line.split(' ').filter(|argument| !argument.is_empty()).map(OsString::from).collect();
    match read(&arguments) {
        Ok(action) => described(&action),
        Err(trouble) => format!("{}: {}", trouble.status(), trouble.text()),
    }
}

fn described(action: &Action) -> String {
    let Action::Work(work) = action else { return format!("{action:x?}") };
    let unload = work.unload.map(|reservation| format!("unload {reservation:?}"));
    let load = work.load.as_ref().map(|load| format!("load {}", loaded(load)));
    let then = match work.then {
        Then::Nothing => None,
        other => Some(format!("{other:?}")),
    };
    let steps: Vec<String> = [unload, load, then].into_iter().flatten().collect();
    format!("{:?}: {}{}", work.wanted, steps.join(", "), if work.debug { ", debug" } else { "" })
}

/// The fields that differ from their defaults.
fn loaded(load: &Load) -> String {
    let (given, default) = (format!("{load:#x?}"), format!("{:#x?}", Load::default()));
    let lines = given.lines().zip(default.lines());
    if given.lines().count() == default.lines().count() {
        let differ = lines.filter(|(given, default)| given != default).map(|(given, _)| given.trim());
        return differ.collect::<Vec<_>>().join(" ");
    }
    let given = given.lines().filter(|line| !default.lines().any(|default| default == *line));
    given.map(str::trim).collect::<Vec<_>>().join(" ")
}

#[test]
fn words_become_what_kexec_tools_would_do_or_a_refusal() {
    let text: Vec<String> = include_str!("vectors.txt")
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .map(|line| format!("kexec {line}\n  {}\n", of(line)))
        .collect();
    assert!(text.len() >= 250, "{} lines", text.len());
    insta::assert_snapshot!(text.concat());
}
