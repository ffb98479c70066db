//! INT 13h 48h: drive parameters (T13, BIOS Enhanced Disk Drive Services, 8.21).

use abi::{Field, Number};

/// Bytes of the buffer that are asked for; the call reads this number from the first word.
pub const SIZE: u16 = 74;

/// A drive as the BIOS sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drive {
    /// Bytes that the BIOS filled in.
    pub size: u16,
    /// Information flags.
    pub flags: u16,
    /// Sectors.
    pub sectors: u64,
    /// Bytes of a sector.
    pub sector_size: u16,
    /// The bus that the host adapter is on, as in `PCI`; empty if the BIOS does not report it.
    pub host_bus: String,
    /// The interface to the drive, as in `ATA`.
    pub interface: String,
    /// For PCI: bus, device, function, if the path is reported.
    pub pci: Option<[u8; 3]>,
}

/// The drive parameters in a buffer.
#[must_use]
pub fn drive(buffer: &[u8]) -> Option<Drive> {
    fn at<T: Number>(buffer: &[u8], offset: usize) -> Option<T> {
        Field::<T>::at(offset).read(buffer)
    }
    const PATH_KEY: u16 = 0xbedd;
    let size: u16 = at(buffer, 0)?;
    if size < 26 {
        return None;
    }
    // The key stands for the path: some BIOSes fill it in and name a smaller size.
    let has_path = at::<u16>(buffer, 30) == Some(PATH_KEY);
    let host_bus = if has_path { text(buffer.get(36..40)?) } else { String::new() };
    let interface = if has_path { text(buffer.get(40..48)?) } else { String::new() };
    let pci = match buffer.get(48..51) {
        Some(&[bus, device, function]) if has_path && host_bus == "PCI" => Some([bus, device, function]),
        _ => None,
    };
    Some(Drive {
        size,
        flags: at(buffer, 2)?,
        sectors: at(buffer, 16)?,
        sector_size: at(buffer, 24)?,
        host_bus,
        interface,
        pci,
    })
}

/// Printable characters without the blanks at the end.
fn text(bytes: &[u8]) -> String {
    let printable = bytes.iter().take_while(|byte| byte.is_ascii_graphic() || **byte == b' ');
    printable.map(|&byte| char::from(byte)).collect::<String>().trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_drive_has_its_size_and_the_place_of_its_controller() {
        let mut buffer = vec![0; 74];
        assert!(Field::<u16>::at(0).write(&mut buffer, 66));
        assert!(Field::<u64>::at(16).write(&mut buffer, 16384));
        assert!(Field::<u16>::at(24).write(&mut buffer, 512));
        assert!(Field::<u16>::at(30).write(&mut buffer, 0xbedd));
        buffer[36..48].copy_from_slice(b"PCI ATA     ");
        buffer[48..51].copy_from_slice(&[0, 1, 1]);
        let drive = drive(&buffer).unwrap();
        assert_eq!((drive.sectors, drive.sector_size, drive.pci), (16384, 512, Some([0, 1, 1])));
        assert_eq!((drive.host_bus.as_str(), drive.interface.as_str()), ("PCI", "ATA"));
    }

    proptest! {
        #[test]
        fn any_buffer_is_read_or_refused(buffer in proptest::collection::vec(any::<u8>(), 0..100)) {
            if let Some(drive) = drive(&buffer) {
                prop_assert!(drive.host_bus.is_ascii() && drive.interface.is_ascii());
            }
        }
    }
}
