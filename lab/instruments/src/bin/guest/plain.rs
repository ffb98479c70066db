//! The cost of a suspend without kjump, for comparison.

use std::fs;

use anyhow::{Context as _, Result, bail};
use sys::Device;

use crate::cpu::ticks;
use crate::numbers::argument;

/// `plain-suspends COUNT`: the kernel suspends everything down to its own clocks and resumes at
/// once, without a sleep state (`Documentation/power/basic-pm-debugging.rst`). Prints the
/// microseconds that each took.
pub(crate) fn suspends(arguments: &[String]) -> Result<()> {
    let count = argument(arguments, 0, "COUNT")?;
    let khz = Device::open()?.info()?.tsc_khz.max(1);
    let test = Test::begin("core")?;
    for _ in 0..count {
        let start = ticks();
        write("/sys/power/state", "mem")?;
        println!("{}", (ticks() - start) * 1000 / khz);
    }
    test.end()
}

/// A test mode of suspend, which ends when the value is dropped.
struct Test {
    delay: String,
}

const MODE: &str = "/sys/power/pm_test";
const DELAY: &str = "/sys/module/suspend/parameters/pm_test_delay";

impl Test {
    fn begin(mode: &str) -> Result<Self> {
        let delay = fs::read_to_string(DELAY).context(DELAY)?;
        if !fs::read_to_string("/sys/power/state")?.split_whitespace().any(|state| state == "mem") {
            bail!("this machine has no suspend to RAM");
        }
        write(DELAY, "0")?;
        write(MODE, mode)?;
        Ok(Self { delay })
    }

    fn end(self) -> Result<()> {
        write(MODE, "none")?;
        write(DELAY, self.delay.trim())
    }
}

fn write(path: &str, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("{text} to {path}"))
}
