//! `cargo xtask fetch`: kernels and the compiler from Debian, ahead of need.

use anyhow::Result;
use clap::Args;

use crate::debian::{compiler, kernels, packages};

/// Fetch kernels, headers and the module's compiler; other tasks fetch what they need themselves
#[derive(Args)]
pub(crate) struct FetchArgs {
    /// Kernels; all by default
    kernels: Vec<String>,
}

/// Fetches everything and prints versions and paths.
///
/// # Errors
/// Something cannot be fetched, or does not run.
pub(crate) fn run(args: &FetchArgs) -> Result<()> {
    packages::for_lab()?;
    packages::for_module()?;
    let named = args.kernels.iter().map(String::as_str);
    let all = kernels::with_headers().map(|stock| stock.name).filter(|_| args.kernels.is_empty());
    for name in named.chain(all) {
        let kernel = kernels::get(name)?;
        println!("{:<10} {} in {}", kernel.name, kernel.version, kernel.dir().display());
    }
    let compiler = compiler::get()?;
    println!("{:<10} {} in {}", "compiler", compiler.version()?, compiler.rustc.display());
    Ok(())
}
