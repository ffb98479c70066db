use super::*;
use crate::kexec::request::{Load, Then};

fn of(line: &str) -> String {
    let words: Vec<OsString> = line.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect();
    match read(&words) {
        Ok(action) => described(&action),
        Err(trouble) => format!("{}: {}", trouble.status(), trouble.text()),
    }
}

fn described(action: &Action) -> String {
    let Action::Work(work) = action else { return format!("{action:x?}") };
    let unload = work.unload.map(|slot| format!("unload {slot:?}"));
    let load = work.load.as_ref().map(|load| format!("load {}", loaded(load)));
    let then = match work.then {
        Then::Nothing => None,
        other => Some(format!("{other:?}")),
    };
    let steps: Vec<String> = [unload, load, then].into_iter().flatten().collect();
    format!("{:?}: {}{}", work.wanted, steps.join(", "), if work.debug { ", debug" } else { "" })
}

/// The fields that are not as they are when nothing is said.
fn loaded(load: &Load) -> String {
    let (said, silent) = (format!("{load:#x?}"), format!("{:#x?}", Load::default()));
    let lines = said.lines().zip(silent.lines());
    if said.lines().count() == silent.lines().count() {
        let differ = lines.filter(|(said, silent)| said != silent).map(|(said, _)| said.trim());
        return differ.collect::<Vec<_>>().join(" ");
    }
    let said = said.lines().filter(|line| !silent.lines().any(|silent| silent == *line));
    said.map(str::trim).collect::<Vec<_>>().join(" ")
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
