//! `cargo xtask bench load`: the time `kexec` takes to load a kernel and to start it, compared with
//! kexec-tools.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::{Job, NEXT_INITRD, NEXT_KERNEL, Vm};

use crate::bench::figure::Figure;
use crate::build::product;
use crate::debian::reference;
use crate::guest::timed;
use crate::guest::watcher::Watcher;

/// The meaning of the figures.
pub(crate) const MEANING: &str = "\
load: the shortest of four loads of a kernel and a 300 MB initrd, in one virtual machine for both programs
peak: largest memory use of the program, including mapped pages of the files
start: CPU time of the emulator from \"Starting new kernel\" to the next kernel's first line
check: the additional time of a start with digest checks
With -s the kernel reads, copies and hashes: both programs use under 0.2 s of CPU time of their own.
A ratio is kjump's value divided by that of kexec-tools.";

/// A program and its options.
#[derive(Clone, Copy)]
struct Variant {
    tool: &'static str,
    program: &'static str,
    options: &'static str,
}

const OURS: (&str, &str) = ("kjump", "/sbin/kexec");
const REFERENCE: (&str, &str) = ("kexec-tools", "/reference/kexec");
const LOADS: [&str; 3] = ["-c", "-c -i", "-s"];
const STARTS: [&str; 2] = ["-c", "-c -i"];

const fn variant((tool, program): (&'static str, &'static str), options: &'static str) -> Variant {
    Variant { tool, program, options }
}

/// Measures loads in guests, and watches the guests start what they loaded.
pub(crate) fn figures(kernel: &str) -> Result<Vec<Figure>> {
    let vm = product::vm(kernel)?.smp(2).mem(2560).timeout(Duration::from_secs(1800)).without_module();
    let vm = vm.file(reference::KEXEC.directory()?, reference::IN_GUEST);
    let mut found = loads(&vm)?;
    for options in STARTS {
        for tool in [REFERENCE, OURS] {
            let variant = variant(tool, options);
            found.insert(key("start", &variant), start(&vm, &variant)?);
        }
    }
    Ok(report(&found))
}

type Found = BTreeMap<String, f64>;

fn key(what: &str, variant: &Variant) -> String {
    format!("{what} {} {}", variant.options, variant.tool)
}

/// An archive of 300 MB appended to the root file system of the next kernel.
fn prepare() -> String {
    format!(
        "set -e
        mkdir /tmp/ballast && cd /tmp/ballast
        yes 'enough bytes to make a large initrd' | head -c 300000000 > ballast
        (cat {NEXT_INITRD}; echo ballast | cpio -o -H newc 2> /dev/null) > /tmp/initrd
        rm ballast; cd /\n"
    )
}

fn load_line(variant: &Variant) -> String {
    let Variant { program, options, .. } = variant;
    let console = if options.starts_with("-c") { "--console-serial" } else { "" };
    format!(
        "{program} -l {options} {console} {NEXT_KERNEL} --initrd=/tmp/initrd \\
            --command-line='console=ttyS0 earlyprintk=serial,ttyS0,115200 panic=-1'"
    )
}

/// The loads of both programs alternate in one machine, each after each of its neighbours.
fn loads(vm: &Vm) -> Result<Found> {
    let mut variants: Vec<_> =
        LOADS.iter().flat_map(|options| [REFERENCE, OURS].map(|tool| variant(tool, options))).collect();
    let mut script = prepare();
    for turn in 0..4 {
        for variant in &variants {
            script += &timed::command(key("", variant).trim(), &load_line(variant));
        }
        // A load takes the pages that the one before it frees.
        variants.reverse();
        script += &format!("echo turn {turn}\n");
    }
    // Only a machine with a successor has the next kernel's files in its guest.
    let outcome = vm.clone().successor(Job::shell("true")).run(&script)?.into_outcome();
    let text = outcome.text();
    ensure!(
        outcome.status == 0,
        "measuring loads: {text}{}(the kernel's log is {})",
        String::from_utf8_lossy(&outcome.err),
        outcome.log.display()
    );
    shortest(&text).with_context(|| format!("cannot parse the measurements: {text}"))
}

/// The shortest time of each load in seconds, and its largest peak in MiB.
fn shortest(text: &str) -> Option<Found> {
    let runs = timed::runs(text).filter(|runs| runs.len() == 2 * LOADS.len())?;
    let figures = |(name, run): (String, timed::Timed)| {
        [(format!("load {name}"), run.seconds), (format!("peak {name}"), run.peak_mebibytes)]
    };
    Some(runs.into_iter().flat_map(figures).collect())
}

/// Loads a kernel, starts it, and watches the log.
fn start(vm: &Vm, variant: &Variant) -> Result<f64> {
    let script = format!("{}\n{}\nsync\n{} -e -x\n", prepare(), load_line(variant), variant.program);
    let mut watcher = Watcher::default();
    let vm = vm.clone().successor(Job::shell("true"));
    let outcome = vm.stream(&Job::shell(script), &mut watcher)?.into_outcome();
    let lines = watcher.lines();
    ensure!(!outcome.alone, "the next kernel did not start; the log is {}", outcome.log.display());
    let find = |text: &str, after: f64| {
        let mut times = lines.iter().filter(|line| line.cpu >= after);
        times.find(|line| line.text.contains(text)).map(|line| line.cpu)
    };
    let leaves =
        find("Starting new kernel", 0.0).context("the kernel did not log \"Starting new kernel\"")?;
    let arrives = find("Linux version", leaves).context("the next kernel logged nothing")?;
    Ok(arrives - leaves)
}

/// The values of both programs, and their ratio.
fn report(found: &Found) -> Vec<Figure> {
    let get = |what: &str, tool: (&'static str, _), options| {
        found.get(&key(what, &variant(tool, options))).copied().unwrap_or(f64::NAN)
    };
    let mut figures = Vec::new();
    let mut both = |what: &str, options, unit: &str| {
        let (reference, ours) = (get(what, REFERENCE, options), get(what, OURS, options));
        pair(&mut figures, &format!("{what} {options}"), (reference, ours), unit);
    };
    LOADS.iter().for_each(|options| both("load", options, "s"));
    LOADS.iter().for_each(|options| both("peak", options, "MiB"));
    STARTS.iter().for_each(|options| both("start", options, "s"));
    let check = |tool| get("start", tool, "-c") - get("start", tool, "-c -i");
    pair(&mut figures, "check", (check(REFERENCE), check(OURS)), "s");
    figures.push(Figure {
        name: "load -c by load -c -i of kexec-tools".to_owned(),
        value: get("load", OURS, "-c") / get("load", REFERENCE, "-c -i"),
        unit: "ratio".to_owned(),
    });
    figures
}

fn pair(figures: &mut Vec<Figure>, name: &str, (reference, ours): (f64, f64), unit: &str) {
    let figure = |name: String, value, unit: &str| Figure { name, value, unit: unit.to_owned() };
    figures.push(figure(format!("{name}: kexec-tools"), reference, unit));
    figures.push(figure(format!("{name}: kjump"), ours, unit));
    figures.push(figure(format!("{name}: ratio"), ours / reference, "ratio"));
}
