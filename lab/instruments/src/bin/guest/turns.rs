//! Taking turns with another kernel, with checks in each turn.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::asleep::Memory;
use crate::kernel_text::KernelText;
use crate::numbers::argument;

/// `turns NAME COUNT MIB SCRIPT`: switches to the kernel of that name COUNT times; it returns seven
/// times its value plus one. After each turn `MIB` of this program's memory and the kernel's text
/// are compared, and the script is run.
pub(crate) fn turns(arguments: &[String]) -> Result<()> {
    let name = arguments.first().context("NAME is missing")?;
    let (count, own) = (argument(arguments, 1, "COUNT")?, argument(arguments, 2, "MIB")?);
    let script = arguments.get(3).context("SCRIPT is missing")?;
    let (memory, kernel) = (Memory::new(own << 20), KernelText::now()?);
    for turn in 1..=count {
        let output = Command::new("kjump").args(["switch", name, &turn.to_string()]).output()?;
        let printed =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        let expected = format!("{name} returned {:#x} ", 7 * turn + 1);
        ensure!(printed.starts_with(&expected), "turn {turn}: {printed}");
        memory.check().with_context(|| format!("turn {turn}"))?;
        kernel.check().with_context(|| format!("turn {turn}"))?;
        ensure!(Command::new("sh").arg(script).status()?.success(), "turn {turn}: {script} failed");
    }
    println!("{count} turns");
    Ok(())
}
