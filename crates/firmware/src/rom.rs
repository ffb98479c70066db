//! What lies in read-only memory from 0xc0000 to 0xfffff: option ROMs, the BIOS, and the anchors of
//! tables.

/// Address of the first byte.
pub const START: u64 = 0xc_0000;
/// Bytes.
pub const SIZE: usize = 0x4_0000;
/// Where the BIOS itself lies, and most anchors.
const BIOS: usize = 0x3_0000;
/// Option ROMs start at multiples of this.
const ROM_STEP: usize = 2048;
/// Anchors lie at multiples of this.
const ANCHOR_STEP: usize = 16;

/// An option ROM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OptionRom {
    /// Address.
    pub address: u64,
    /// Bytes.
    pub size: usize,
    /// The sum of all bytes, which is 0 if it is as the BIOS loaded it. QEMU, for one, later writes
    /// addresses into the ROM that helps it with the local APIC.
    pub sum: u8,
    /// Whether it has code. SeaBIOS puts a header without code, and without a sum, before its own
    /// data from 0xe0000 on, so that others leave the place alone.
    pub has_code: bool,
}

impl OptionRom {
    /// Whether its sum is not what it should be.
    #[must_use]
    pub const fn is_wrong(&self) -> bool {
        self.has_code && self.sum != 0
    }
}

/// A table's entry point.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// Its name.
    pub name: &'static str,
    /// Address.
    pub address: u64,
    /// The sum of the bytes that are checked, which is 0 if they are intact.
    pub sum: u8,
    /// What it contains, in words.
    pub content: String,
}

/// The option ROMs in the bytes from [`START`] on.
#[must_use]
pub fn option_roms(rom: &[u8]) -> Vec<OptionRom> {
    let mut found = Vec::new();
    let mut offset = 0;
    while offset < rom.len().min(BIOS) {
        let size = size_of_rom(&rom[offset..]);
        if let Some(bytes) = size.and_then(|size| rom[offset..].get(..size)) {
            // The entry point is after the size; the pointers to more headers end at 28 (Plug and
            // Play BIOS Specification, 3.2).
            let has_code = bytes.iter().take(28).skip(3).any(|byte| *byte != 0);
            let address = START + offset as u64;
            found.push(OptionRom { address, size: bytes.len(), sum: sum(bytes), has_code });
        }
        offset += size.unwrap_or(ROM_STEP).max(ROM_STEP).next_multiple_of(ROM_STEP);
    }
    found
}

/// The size that a ROM names in units of 512 bytes, if there is one.
fn size_of_rom(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [0x55, 0xaa, size, ..] if *size > 0 => Some(usize::from(*size) * 512),
        _ => None,
    }
}

/// A sum of the BIOS's own 64 KiB, to compare with a later one.
#[must_use]
pub fn bios_sum(rom: &[u8]) -> u64 {
    let bytes = rom.get(BIOS..).unwrap_or_default();
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The anchors of SMBIOS, ACPI, the multiprocessor specification, the 32-bit service directory and
/// plug and play.
#[must_use]
pub fn anchors(rom: &[u8]) -> Vec<Anchor> {
    let bytes = rom.get(BIOS..).unwrap_or_default();
    let places = (0..bytes.len()).step_by(ANCHOR_STEP);
    places.filter_map(|offset| anchor(&bytes[offset..], START + (BIOS + offset) as u64)).collect()
}

fn anchor(bytes: &[u8], address: u64) -> Option<Anchor> {
    let word = |at: usize| {
        bytes.get(at..at + 4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]))
    };
    let byte = |at: usize| bytes.get(at).copied();
    let (name, length, content) = if bytes.starts_with(b"_SM3_") {
        let version = format!("version {}.{}", byte(7)?, byte(8)?);
        ("SMBIOS 3", byte(6)?.into(), format!("{version}, table at {:#x}", word(16)?))
    } else if bytes.starts_with(b"_SM_") {
        let version = format!("version {}.{}", byte(6)?, byte(7)?);
        let structures = u16::from_le_bytes([byte(28)?, byte(29)?]);
        let content = format!("{version}, {structures} structures at {:#x}", word(24)?);
        ("SMBIOS", byte(5)?.into(), content)
    } else if bytes.starts_with(b"RSD PTR ") {
        ("ACPI root pointer", 20, format!("RSDT at {:#x}", word(16)?))
    } else if bytes.starts_with(b"_MP_") {
        ("multiprocessor table", usize::from(byte(8)?) * 16, format!("table at {:#x}", word(4)?))
    } else if bytes.starts_with(b"_32_") {
        ("32-bit services", usize::from(byte(9)?) * 16, format!("entry point at {:#x}", word(4)?))
    } else if bytes.starts_with(b"$PnP") {
        ("plug and play", byte(5)?.into(), format!("version {}.{}", byte(4)? >> 4, byte(4)? & 15))
    } else if bytes.starts_with(b"$PIR") {
        let size = u16::from_le_bytes([byte(6)?, byte(7)?]).into();
        ("PCI interrupt routing", size, format!("{size} bytes"))
    } else {
        return None;
    };
    Some(Anchor { name, address, sum: sum(bytes.get(..length)?), content })
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn roms_and_anchors_are_found_with_their_sums() {
        let mut rom = vec![0; SIZE];
        rom[..3].copy_from_slice(&[0x55, 0xaa, 8]);
        rom[3] = 0_u8.wrapping_sub(0x55).wrapping_sub(0xaa).wrapping_sub(8);
        rom[0x1000..0x1003].copy_from_slice(&[0x55, 0xaa, 1]);
        let roms = option_roms(&rom);
        assert_eq!(
            roms.iter().map(|rom| (rom.address, rom.size, rom.sum)).collect::<Vec<_>>(),
            [(0xc_0000, 4096, 0), (0xc_1000, 512, 0)]
        );
        assert_eq!(roms.iter().map(|rom| rom.has_code).collect::<Vec<_>>(), [true, false]);
        rom[BIOS + 0x20..BIOS + 0x28].copy_from_slice(b"RSD PTR ");
        rom[BIOS + 0x30..BIOS + 0x34].copy_from_slice(&0x7fe0_0000_u32.to_le_bytes());
        let found = anchors(&rom);
        assert_eq!((found[0].name, found[0].address), ("ACPI root pointer", 0xf_0020));
        assert_eq!(found[0].content, "RSDT at 0x7fe00000");
        assert_ne!(found[0].sum, 0);
    }

    proptest! {
        #[test]
        fn any_rom_is_read(
            bytes in proptest::collection::vec(any::<u8>(), 0..64),
            name in prop::sample::select(vec!["_SM3_", "_SM_", "_MP_", "_32_", "$PnP", "$PIR", "RSD PTR "]),
            length in 0..SIZE,
        ) {
            let mut rom = vec![0x55; length];
            for (to, from) in rom.iter_mut().skip(BIOS).zip(name.bytes().chain(bytes)) {
                *to = from;
            }
            let _ = (option_roms(&rom), anchors(&rom), bios_sum(&rom));
        }
    }
}
