//! `cargo xtask build`: the product, without running it.

use anyhow::Result;
use clap::Args;

use crate::build::product;
use crate::debian::kernels;

/// Build the program, and the module for some kernels
#[derive(Args)]
pub(crate) struct BuildArgs {
    /// Kernels to build the module for; all by default
    kernels: Vec<String>,
}

/// Builds everything and prints the paths.
///
/// # Errors
/// A part does not build.
pub(crate) fn run(args: &BuildArgs) -> Result<()> {
    let named = args.kernels.iter().map(String::as_str);
    let all = kernels::with_headers().map(|stock| stock.name).filter(|_| args.kernels.is_empty());
    for name in named.chain(all) {
        let kernel = kernels::get(name)?;
        let product = product::product_for(&kernel)?;
        let parts = [product.kjump, product.module, product.sample, product.test_modules, product.payloads];
        println!("for {} ({}):", kernel.name, kernel.release);
        for part in parts.into_iter().flatten() {
            println!("    {}", part.display());
        }
    }
    Ok(())
}
