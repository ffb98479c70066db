//! `cargo xtask bench call`: how long calls take, and how fast they exchange pages.

use std::time::Duration;

use anyhow::{Result, ensure};
use lab::Vm;

use crate::bench::figure::Figure;
use crate::build::product;

/// How the figures are meant.
pub(crate) const MEANING: &str = "\
exchange: bytes of live pages by half the time that exchanging them both ways takes
memcpy: as many bytes from memory to memory by a program, in the same virtual machine
quick call: from the program and back, the image's pages claimed from the kernel
suspend call: the time stamp counter over all phases, the image in place of live memory";

/// Has a guest with one processor and one with two measure themselves.
pub(crate) fn figures(kernel: &str) -> Result<Vec<Figure>> {
    let vm = product::vm(kernel)?.mem(1024).timeout(Duration::from_secs(900));
    let mut figures = measured(&vm, "exchange 1 64 400")?;
    figures.extend(measured(&vm, "quick")?);
    for (processors, name) in [(1, "1 CPU"), (2, "2 CPUs")] {
        let suspend = measured(&vm.clone().smp(processors), "suspend")?;
        let named = |figure: Figure| Figure { name: format!("{name}: {}", figure.name), ..figure };
        figures.extend(suspend.into_iter().map(named));
    }
    Ok(figures)
}

fn measured(vm: &Vm, what: &str) -> Result<Vec<Figure>> {
    let outcome = vm.run(&format!("call_figures {what}"))?.into_outcome();
    let said = String::from_utf8_lossy(&outcome.err).into_owned();
    ensure!(outcome.status == 0, "measuring {what}: {said}(the kernel's log is {})", outcome.log.display());
    Ok(serde_json::from_str(&outcome.text())?)
}
