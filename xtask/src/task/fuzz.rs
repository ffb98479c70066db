//! `cargo xtask fuzz NAME`: one target of `fuzz/`, for a time.

use anyhow::{Result, bail};
use clap::Args;

use crate::build::fuzz;
use crate::program;

/// Look for inputs that break a promise
#[derive(Args)]
pub(crate) struct FuzzArgs {
    /// A target of fuzz/
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// Name the targets
    #[arg(long)]
    list: bool,
    /// How long to look
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u64,
}

/// Runs a target until the time is over or an input breaks it.
///
/// # Errors
/// There is no such target, it does not build, or an input broke it.
pub(crate) fn run(args: &FuzzArgs) -> Result<()> {
    let targets = fuzz::targets()?;
    match &args.name {
        _ if args.list => targets.iter().for_each(|name| println!("{name}")),
        Some(name) if targets.contains(name) => program::run(&mut fuzz::looking(name, args.seconds)?)?,
        name => bail!("no target {}: there are {}", name.as_deref().unwrap_or_default(), targets.join(", ")),
    }
    Ok(())
}
