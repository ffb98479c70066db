//! EDID: what a monitor says about itself (VESA Enhanced EDID Standard, release A).

use std::fmt;

/// Bytes of the base block.
pub const SIZE: usize = 128;
const HEADER: [u8; 8] = [0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0];
/// The four descriptors of 18 bytes.
const DESCRIPTORS: usize = 54;
const DESCRIPTOR: usize = 18;
/// A descriptor of the monitor's name.
const NAME: u8 = 0xfc;

/// A monitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// Three letters.
    pub manufacturer: String,
    /// The manufacturer's number of the product.
    pub product: u16,
    /// Version and revision of EDID.
    pub version: (u8, u8),
    /// Size in centimetres; 0 if it is not fixed.
    pub centimetres: (u8, u8),
    /// The name, empty without one.
    pub name: String,
    /// Width and height in pixels of the first detailed timing.
    pub preferred: Option<(u16, u16)>,
    /// Blocks that follow.
    pub extensions: u8,
}

/// Why bytes are not EDID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Too short.
    #[error("{0} bytes, and EDID has {SIZE}")]
    Short(usize),
    /// Another header.
    #[error("does not start with EDID's header")]
    Header,
    /// The sum of all bytes is not 0.
    #[error("the sum of its bytes is {0:#04x}, not 0")]
    Sum(u8),
}

/// Reads a base block.
///
/// # Errors
/// [`Error`].
pub fn monitor(bytes: &[u8]) -> Result<Monitor, Error> {
    let block: &[u8; SIZE] = bytes.first_chunk().ok_or(Error::Short(bytes.len()))?;
    if !block.starts_with(&HEADER) {
        return Err(Error::Header);
    }
    let sum = block.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    if sum != 0 {
        return Err(Error::Sum(sum));
    }
    let descriptors = || block[DESCRIPTORS..].chunks_exact(DESCRIPTOR).take(4);
    let name = descriptors().find(|one| one[..3] == [0; 3] && one[3] == NAME);
    Ok(Monitor {
        manufacturer: manufacturer(u16::from_be_bytes([block[8], block[9]])),
        product: u16::from_le_bytes([block[10], block[11]]),
        version: (block[18], block[19]),
        centimetres: (block[21], block[22]),
        name: name.map(|one| text(&one[5..])).unwrap_or_default(),
        preferred: descriptors().next().and_then(pixels),
        extensions: block[126],
    })
}

/// Three letters of five bits each, A is 1.
fn manufacturer(word: u16) -> String {
    let letter = |shift: u16| char::from(b'@' + (word >> shift & 0x1f).to_le_bytes()[0]);
    [10, 5, 0].map(letter).into_iter().collect()
}

/// Up to a line feed.
fn text(bytes: &[u8]) -> String {
    let printable = bytes.iter().take_while(|byte| byte.is_ascii_graphic() || **byte == b' ');
    printable.map(|&byte| char::from(byte)).collect::<String>().trim_end().to_owned()
}

/// Width and height of a detailed timing: the low eight bits, and the high four in a shared byte.
fn pixels(one: &[u8]) -> Option<(u16, u16)> {
    if one[..2] == [0; 2] {
        return None;
    }
    let number = |low: u8, high: u8| u16::from(high >> 4) << 8 | u16::from(low);
    Some((number(one[2], one[4]), number(one[5], one[7])))
}

impl fmt::Display for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { manufacturer, product, version, centimetres, name, preferred, extensions } = self;
        writeln!(f, "monitor       {}", if name.is_empty() { "without a name" } else { name })?;
        writeln!(f, "product       {manufacturer} {product:#06x}, EDID {}.{}", version.0, version.1)?;
        if *centimetres != (0, 0) {
            writeln!(f, "size          {} x {} cm", centimetres.0, centimetres.1)?;
        }
        if let Some((width, height)) = preferred {
            writeln!(f, "preferred     {width} x {height}")?;
        }
        writeln!(f, "extensions    {extensions}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The first block of QEMU's monitor, as far as it is read here.
    fn block() -> [u8; SIZE] {
        let mut block = [0; SIZE];
        block[..8].copy_from_slice(&HEADER);
        block[8..12].copy_from_slice(&[0x49, 0x14, 0x34, 0x12]);
        block[18..23].copy_from_slice(&[1, 4, 0xa5, 32, 20]);
        block[54..62].copy_from_slice(&[0x10, 0x27, 0x00, 0x00, 0x50, 0x20, 0x00, 0x30]);
        block[72..77].copy_from_slice(&[0, 0, 0, NAME, 0]);
        block[77..90].copy_from_slice(b"QEMU Monitor\n");
        let sum = block.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        block[127] = sum.wrapping_neg();
        block
    }

    #[test]
    fn a_monitor_is_named() {
        let monitor = monitor(&block()).unwrap();
        assert_eq!((monitor.manufacturer.as_str(), monitor.product), ("RHT", 0x1234));
        assert_eq!((monitor.name.as_str(), monitor.preferred), ("QEMU Monitor", Some((1280, 800))));
        assert!(monitor.to_string().contains("size          32 x 20 cm\n"));
    }

    #[test]
    fn bytes_that_are_not_edid_are_refused() {
        assert_eq!(monitor(&[0; 5]), Err(Error::Short(5)));
        assert_eq!(monitor(&[0; SIZE]), Err(Error::Header));
        let mut damaged = block();
        damaged[20] ^= 1;
        assert!(matches!(monitor(&damaged), Err(Error::Sum(_))));
    }

    proptest! {
        #[test]
        fn any_block_is_read_or_refused(mut bytes in proptest::collection::vec(any::<u8>(), 120..140)) {
            bytes[..8].copy_from_slice(&HEADER);
            let sum = bytes.iter().take(SIZE).fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
            bytes[119] = bytes[119].wrapping_sub(sum);
            let _ = monitor(&bytes).map(|monitor| monitor.to_string());
        }
    }
}
