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

#[test]
fn a_trial_refuses_what_it_would_ignore() {
    assert!(of("--trial --health=true --deadline 5 --initrd i -l --json /k").contains("Trial"));
    assert!(of("--trial --then-start --prepare --boot-entry").contains("then_start: true"));
    for (line, text) in [
        ("--trial -f /k", "1: --force: --trial starts a kernel for good only with --then-start"),
        ("--trial -e /k", "1: --exec: --trial starts a kernel for good only with --then-start"),
        ("--trial --prepare /k", "1: --prepare is not for --trial"),
        ("--trial --dtb=d /k", "1: --dtb is not for --trial"),
        ("--trial -p /k", "1: --load-panic is not for --trial"),
        ("--health=true -l /k", "1: --health is for --trial"),
        ("--then-start /k", "1: --then-start is for --trial"),
        ("-p --prepare /k", "1: --prepare is not for crash kernels"),
    ] {
        assert_eq!(of(line), text, "{line}");
    }
    assert!(of("--trial --deadline=0 /k").starts_with("1: "));
}

#[test]
fn an_operand_that_is_blank_is_not_a_file() {
    let load = |operands: &[&str]| {
        let arguments: Vec<OsString> = ["-l", "/k"].iter().chain(operands).map(OsString::from).collect();
        read(&arguments).map(|action| described(&action)).map_err(|trouble| trouble.text())
    };
    assert_eq!(load(&["", " "]), load(&[]));
    let refusal = "only one file can be loaded, not both \"/k\" and \" -a\"";
    assert_eq!(load(&[" -a"]).unwrap_err(), refusal);
}

#[test]
fn an_option_that_a_load_would_ignore_is_refused() {
    const RETURNING: &str = "--load-preserve-context --mem-max=0xffffff /k";
    const CALLED: &str = "--load-preserve-context --args-none /k";
    for option in
        ["--entry 1", "--dtb=/d", "--no-cma", "--hotplug", "--initrd-add /a:/b", "--dry-run", "--check"]
    {
        let name = option.split([' ', '=']).next().unwrap();
        let refusal = of(&format!("{RETURNING} {option}"));
        assert!(refusal.starts_with(&format!("1: {name} is not for a kernel that returns")), "{refusal}");
    }
    for option in ["--initrd-add /a:/b", "--no-cma", "--hotplug", "--dry-run", "--check"] {
        let name = option.split([' ', '=']).next().unwrap();
        let refusal = format!("1: {name} is not for an image that is called with --args-none");
        assert_eq!(of(&format!("{CALLED} {option}")), refusal);
    }
    assert!(of(&format!("{CALLED} --reset-vga")).starts_with("1: --reset-vga is for purgatory"));
}

#[test]
fn a_boot_entry_takes_the_place_of_a_file() {
    assert!(of("-l --boot-entry").contains("boot_entry: Some"));
    assert!(of("-l --boot-entry=a --append x --cmdline-remove quiet --check").contains("\"a\""));
    for (line, refusal) in [
        (
            "-l --boot-entry /k",
            "1: --boot-entry names the kernel: leave out \"/k\", or write --boot-entry=/k",
        ),
        ("-e --boot-entry", "1: --boot-entry describes a file to load, and none is loaded"),
        (
            "--load-preserve-context --mem-max=1 --boot-entry",
            "1: --boot-entry is not for a kernel that returns",
        ),
        ("--boot-entry --check --machine /m", "1: --boot-entry reads this machine's boot menu"),
        ("--list-entries -l", "1: --load is not for --list-entries"),
        ("--list-entries /k", "1: unexpected operand \"/k\": --list-entries loads no file"),
    ] {
        assert!(of(line).starts_with(refusal), "{line}: {}", of(line));
    }
    assert_eq!(of("--list-entries --json"), "ListEntries { json: true }");
}
