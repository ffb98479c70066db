//! The kernel inside of a bzImage.

use anyhow::{Context as _, Result};
use kernel_file::{BzImage, Compression};

/// `unpacked BZIMAGE FILE`: writes vmlinux, which the bzImage has packed.
pub(crate) fn unpacked(arguments: &[String]) -> Result<()> {
    let [from, to] = arguments else { anyhow::bail!("a bzImage and a file to write") };
    let file = std::fs::read(from).with_context(|| from.clone())?;
    let payload = BzImage::parse(&file)?.payload.context("the bzImage does not say what it has packed")?;
    let packed = Compression::recognise(payload).context("it is packed in no way that is known")?;
    let kernel = packed.decompress(payload, 1 << 30)?;
    std::fs::write(to, &kernel).with_context(|| to.clone())?;
    println!("{to}: {} bytes", kernel.len());
    Ok(())
}
