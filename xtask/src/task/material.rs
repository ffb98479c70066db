//! `cargo xtask material`: memory images, ahead of need.

use anyhow::Result;
use clap::Args;

use crate::guest::memory_image;

/// Make memory images to test and measure with; other tasks make what they need themselves
#[derive(Args)]
pub(crate) struct MaterialArgs {
    /// Kernels; 6.1 by default
    kernels: Vec<String>,
}

/// Makes the images and prints their paths.
///
/// # Errors
/// An image cannot be made.
pub(crate) fn run(args: &MaterialArgs) -> Result<()> {
    let default = ["6.1".to_owned()];
    let kernels = if args.kernels.is_empty() { &default[..] } else { &args.kernels };
    for kernel in kernels {
        println!("{}", memory_image::vmcore(kernel)?.display());
    }
    Ok(())
}
