//! The kernel in a bzImage.

use anyhow::{Context as _, Result};
use kernel_file::{BzImage, Compression};

/// `unpacked BZIMAGE FILE`: writes the vmlinux that the bzImage contains.
pub(crate) fn unpacked(arguments: &[String]) -> Result<()> {
    let [from, to] = arguments else { anyhow::bail!("usage: unpacked BZIMAGE FILE") };
    let file = std::fs::read(from).with_context(|| from.clone())?;
    let payload = BzImage::parse(&file)?.payload.context("the bzImage has no payload")?;
    let packed = Compression::recognise(payload).context("unknown compression")?;
    let kernel = packed.decompress(payload, 1 << 30)?;
    std::fs::write(to, &kernel).with_context(|| to.clone())?;
    println!("{to}: {} bytes", kernel.len());
    Ok(())
}
