//! `cargo xtask material`: memory images, ahead of need.

use anyhow::Result;
use clap::Args;

use crate::guest::memory_image;

/// Make memory images to test and measure with; other tasks make what they need by themselves
#[derive(Args)]
pub(crate) struct MaterialArgs {
    /// Kernels; 6.1 if none is named
    kernels: Vec<String>,
}

/// Makes the images, and says where they lie.
///
/// # Errors
/// An image cannot be made.
pub(crate) fn run(args: &MaterialArgs) -> Result<()> {
    let usual = ["6.1".to_owned()];
    let kernels = if args.kernels.is_empty() { &usual[..] } else { &args.kernels };
    for kernel in kernels {
        println!("{}", memory_image::vmcore(kernel)?.display());
    }
    Ok(())
}
