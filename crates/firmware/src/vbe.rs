//! INT 10h 4F00h and 4F01h: the video BIOS and its modes (VESA, VBE Core Functions 3.0).

use abi::{Field, Number};

/// What an implemented function returns in AX.
pub const IMPLEMENTED: u16 = 0x004f;
/// Bytes of the controller's description. Its first four are set to [`WANTED`] by the caller.
pub const CONTROLLER_SIZE: usize = 512;
/// "VBE2": version 2.0 or later is wanted.
pub const WANTED: [u8; 4] = *b"VBE2";
/// Bytes of a mode's description.
pub const MODE_SIZE: usize = 256;
/// Most modes that are listed.
pub const MOST_MODES: usize = 256;
/// End of the list of modes.
const END: u16 = 0xffff;

/// The video BIOS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// Version, major and minor.
    pub version: (u8, u8),
    /// Bytes of video memory.
    pub memory: u64,
    /// Address of the list of modes.
    pub modes: u32,
}

/// A video mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// Its number.
    pub number: u16,
    /// Whether the hardware supports it.
    pub supported: bool,
    /// Whether it is a graphics mode.
    pub graphics: bool,
    /// Width in pixels, or characters.
    pub width: u16,
    /// Height.
    pub height: u16,
    /// Bits of a pixel.
    pub bits: u8,
    /// Bytes of a line.
    pub pitch: u16,
    /// Address of the linear frame buffer, 0 without one.
    pub framebuffer: u32,
}

fn at<T: Number>(bytes: &[u8], offset: usize) -> Option<T> {
    Field::<T>::at(offset).read(bytes)
}

/// The controller's description in a buffer.
#[must_use]
pub fn controller(buffer: &[u8]) -> Option<Controller> {
    if !buffer.starts_with(b"VESA") {
        return None;
    }
    let [minor, major] = at::<u16>(buffer, 4)?.to_le_bytes();
    let far: u32 = at(buffer, 14)?;
    Some(Controller {
        version: (major, minor),
        memory: u64::from(at::<u16>(buffer, 18)?) << 16,
        modes: (far >> 16) * 16 + (far & 0xffff),
    })
}

/// The numbers in a list of modes.
#[must_use]
pub fn modes(list: &[u8]) -> Vec<u16> {
    let numbers = list.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    numbers.take_while(|number| *number != END).take(MOST_MODES).collect()
}

/// The mode's description in a buffer.
#[must_use]
pub fn mode(number: u16, buffer: &[u8]) -> Option<Mode> {
    let attributes: u16 = at(buffer, 0)?;
    Some(Mode {
        number,
        supported: attributes & 1 != 0,
        graphics: attributes & 1 << 4 != 0,
        pitch: at(buffer, 16)?,
        width: at(buffer, 18)?,
        height: at(buffer, 20)?,
        bits: at(buffer, 25)?,
        framebuffer: if attributes & 1 << 7 != 0 { at(buffer, 40)? } else { 0 },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_controller_and_a_mode_are_read() {
        let mut buffer = vec![0; CONTROLLER_SIZE];
        buffer[..4].copy_from_slice(b"VESA");
        assert!(Field::<u16>::at(4).write(&mut buffer, 0x0300));
        assert!(Field::<u32>::at(14).write(&mut buffer, 0xc000_1234));
        assert!(Field::<u16>::at(18).write(&mut buffer, 256));
        let found = controller(&buffer).unwrap();
        assert_eq!((found.version, found.memory, found.modes), ((3, 0), 16 << 20, 0xc_1234));
        buffer[0] = 0;
        assert_eq!(controller(&buffer), None);

        let mut buffer = vec![0; MODE_SIZE];
        assert!(Field::<u16>::at(0).write(&mut buffer, 0x9b));
        for (offset, value) in [(16, 3072), (18, 1024), (20, 768_u16)] {
            assert!(Field::<u16>::at(offset).write(&mut buffer, value));
        }
        buffer[25] = 24;
        assert!(Field::<u32>::at(40).write(&mut buffer, 0xfd00_0000));
        let mode = mode(0x118, &buffer).unwrap();
        assert_eq!((mode.width, mode.height, mode.bits, mode.framebuffer), (1024, 768, 24, 0xfd00_0000));
        assert!(mode.supported && mode.graphics);
    }

    #[test]
    fn a_list_of_modes_ends_with_all_ones() {
        assert_eq!(modes(&[0x00, 0x01, 0x18, 0x01, 0xff, 0xff, 0x19, 0x01]), [0x100, 0x118]);
        assert_eq!(modes(&[0; 5000]).len(), MOST_MODES);
    }

    proptest! {
        #[test]
        fn any_buffer_is_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            let _ = (controller(&bytes), mode(1, &bytes), modes(&bytes));
        }
    }
}
