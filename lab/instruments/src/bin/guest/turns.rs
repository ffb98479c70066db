//! Taking turns with another kernel, while something watches.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::asleep::Memory;
use crate::kernel_text::KernelText;
use crate::numbers::argument;

/// `turns NAME COUNT MIB SCRIPT`: goes to the kernel of that name so often, which answers with seven times what it was given
/// and one. Each time `MIB` of this program's memory and the kernel's text are compared, and the script is run.
pub(crate) fn turns(arguments: &[String]) -> Result<()> {
    let name = arguments.first().context("NAME is missing")?;
    let (count, own) = (argument(arguments, 1, "COUNT")?, argument(arguments, 2, "MIB")?);
    let script = arguments.get(3).context("SCRIPT is missing")?;
    let (memory, kernel) = (Memory::new(own << 20), KernelText::now()?);
    for turn in 1..=count {
        let answer = Command::new("kjump").args(["switch", name, &turn.to_string()]).output()?;
        let said =
            String::from_utf8_lossy(&answer.stdout).into_owned() + &String::from_utf8_lossy(&answer.stderr);
        let expected = format!("{name} returned {:#x} ", 7 * turn + 1);
        ensure!(said.starts_with(&expected), "turn {turn}: {said}");
        memory.check().with_context(|| format!("turn {turn}"))?;
        kernel.check().with_context(|| format!("turn {turn}"))?;
        ensure!(Command::new("sh").arg(script).status()?.success(), "turn {turn}: {script} failed");
    }
    println!("{count} turns");
    Ok(())
}
