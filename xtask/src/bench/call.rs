//! `cargo xtask bench call`: how long calls take, and how fast they exchange pages.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::Vm;

use crate::bench::figure::Figure;
use crate::build::product;

/// The meaning of the figures.
pub(crate) const MEANING: &str = "\
exchange: bytes of live pages, divided by half the time of exchanging them both ways
memcpy: the same number of bytes copied by a program in the same virtual machine
quick call: round trip of the program; the image's pages are claimed from the kernel
suspend call: all phases by the time stamp counter; the image replaces live memory";

/// Measures in a guest with one CPU and in one with two.
pub(crate) fn figures(kernel: &str) -> Result<Vec<Figure>> {
    let vm = product::vm(kernel)?.mem(1024).timeout(Duration::from_secs(900));
    let mut figures = measured(&vm, "exchange 1 64 400")?;
    figures.extend(measured(&vm, "quick")?);
    for (cpus, name) in [(1, "1 CPU"), (2, "2 CPUs")] {
        let suspend = measured(&vm.clone().smp(cpus), "suspend")?;
        let named = |figure: Figure| Figure { name: format!("{name}: {}", figure.name), ..figure };
        figures.extend(suspend.into_iter().map(named));
    }
    Ok(figures)
}

fn measured(vm: &Vm, what: &str) -> Result<Vec<Figure>> {
    let outcome = vm.run(&format!("call_figures {what}"))?.into_outcome();
    let complaint = String::from_utf8_lossy(&outcome.err).into_owned();
    ensure!(
        outcome.status == 0,
        "measuring {what}: {complaint}(the kernel's log is {})",
        outcome.log.display()
    );
    Ok(serde_json::from_str(&outcome.text())?)
}
