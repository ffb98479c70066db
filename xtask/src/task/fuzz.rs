//! `cargo xtask fuzz NAME`: one target of `fuzz/`, for some time.

use anyhow::{Result, bail};
use clap::Args;

use crate::build::fuzz;
use crate::program;

/// Search for inputs that make a parser fail
#[derive(Args)]
pub(crate) struct FuzzArgs {
    /// A target of fuzz/
    #[arg(required_unless_present = "list")]
    name: Option<String>,
    /// List the targets
    #[arg(long)]
    list: bool,
    /// How long to search, in seconds
    #[arg(long, default_value_t = 60, value_name = "N")]
    seconds: u64,
}

/// Runs a target until the time is over or an input makes it fail.
///
/// # Errors
/// There is no such target, it does not build, or an input makes it fail.
pub(crate) fn run(args: &FuzzArgs) -> Result<()> {
    let targets = fuzz::targets()?;
    match &args.name {
        _ if args.list => targets.iter().for_each(|name| println!("{name}")),
        Some(name) if targets.contains(name) => program::run(&mut fuzz::search(name, args.seconds)?)?,
        name => {
            bail!("no target {}; known targets: {}", name.as_deref().unwrap_or_default(), targets.join(", "))
        }
    }
    Ok(())
}
