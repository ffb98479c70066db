//! Where messages go: a serial port and the VGA's text memory.

use crate::command_line::hex_digit;

/// The CPU's I/O ports.
pub trait Ports {
    /// Writes a byte to a port.
    fn write(&mut self, port: u16, byte: u8);
    /// Reads a byte of a port.
    fn read(&mut self, port: u16) -> u8;
}

/// The VGA's text memory: 25 lines of 80 characters with their colours.
pub type Screen = [[u16; COLUMNS]; LINES];

const COLUMNS: usize = 80;
const LINES: usize = 25;
/// Grey on black.
const COLOUR: u16 = 0x0700;

/// Both consoles, as far as they are wanted.
pub struct Console<'c, P> {
    ports: P,
    serial: Option<u16>,
    screen: Option<&'c mut Screen>,
    line: usize,
    column: usize,
}

/// A port that is not ready after this number of reads is given up.
const PATIENCE: u32 = 100_000;

impl<'c, P: Ports> Console<'c, P> {
    /// A console without outputs.
    pub const fn new(ports: P) -> Self {
        Self { ports, serial: None, screen: None, line: 0, column: 0 }
    }

    /// Messages go to an 8250 at this port too; a speed of 0 baud leaves it as it is.
    pub fn use_serial(&mut self, port: u16, baud: u64) {
        self.serial = Some(port);
        let Some(divisor) = 115_200_u64.checked_div(baud).and_then(|divisor| u16::try_from(divisor).ok())
        else {
            return;
        };
        let [low, high] = divisor.max(1).to_le_bytes();
        // No interrupts; the divisor; 8 bits, no parity, 1 stop bit; FIFOs on and empty; DTR and
        // RTS.
        let settings = [(1, 0), (3, 0x80), (0, low), (1, high), (3, 3), (2, 7), (4, 3)];
        for (register, byte) in settings {
            self.ports.write(port.wrapping_add(register), byte);
        }
    }

    /// Messages go to the screen too, starting on the line after the cursor's.
    pub fn use_screen(&mut self, screen: &'c mut Screen) {
        let position = u16::from_be_bytes([self.cursor(0x0e), self.cursor(0x0f)]);
        self.screen = Some(screen);
        self.line = (usize::from(position) / COLUMNS).min(LINES - 1);
        self.put(b'\n');
    }

    fn cursor(&mut self, register: u8) -> u8 {
        self.ports.write(0x3d4, register);
        self.ports.read(0x3d5)
    }

    /// Puts the VGA into its mode 3: text of 80 columns and 25 lines.
    pub fn reset_vga(&mut self) {
        vga::reset(&mut self.ports);
    }

    /// The ports, for other uses.
    pub const fn ports(&mut self) -> &mut P {
        &mut self.ports
    }

    /// Prints a text.
    pub fn print(&mut self, text: &str) {
        text.bytes().for_each(|byte| self.put(byte));
    }

    /// Prints bytes as hexadecimal digits.
    pub fn say_hex(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.put(hex_digit(u64::from(byte >> 4)));
            self.put(hex_digit(u64::from(*byte)));
        }
    }

    /// Prints a number.
    pub fn say_number(&mut self, number: u64) {
        if number >= 10 {
            self.say_number(number / 10);
        }
        self.put(b'0' + (number % 10) as u8);
    }

    #[inline(never)]
    fn put(&mut self, byte: u8) {
        if let Some(port) = self.serial {
            if byte == b'\n' {
                self.send(port, b'\r');
            }
            self.send(port, byte);
        }
        self.show(byte);
    }

    fn send(&mut self, port: u16, byte: u8) {
        let status = port.wrapping_add(5);
        let ready = (0..PATIENCE).any(|_| self.ports.read(status) & 0x20 != 0);
        if ready {
            self.ports.write(port, byte);
        }
    }

    fn show(&mut self, byte: u8) {
        let Some(screen) = &mut self.screen else { return };
        if byte == b'\n' || self.column >= COLUMNS {
            self.column = 0;
            self.line += 1;
        }
        if self.line >= LINES {
            self.line = LINES - 1;
            screen.copy_within(1.., 0);
            if let Some(last) = screen.last_mut() {
                *last = [COLOUR | b' ' as u16; COLUMNS];
            }
        }
        let place = screen.get_mut(self.line).and_then(|line| line.get_mut(self.column));
        if let (Some(place), true) = (place, byte != b'\n') {
            *place = COLOUR | u16::from(byte);
            self.column += 1;
        }
    }
}

mod vga {
    use super::Ports;

    /// The registers of mode 3, as IBM's VGA has them: "PS/2 Hardware Interface Technical
    /// Reference", Video Subsystem.
    const SEQUENCER: [u8; 5] = [0x03, 0x00, 0x03, 0x00, 0x02];
    const CONTROLLER: [u8; 25] = [
        0x5f, 0x4f, 0x50, 0x82, 0x55, 0x81, 0xbf, 0x1f, 0x00, 0x4f, 0x0d, 0x0e, 0x00, 0x00, 0x00, 0x00, 0x9c,
        0x8e, 0x8f, 0x28, 0x1f, 0x96, 0xb9, 0xa3, 0xff,
    ];
    const GRAPHICS: [u8; 9] = [0x00, 0x00, 0x00, 0x00, 0x00, 0x10, 0x0e, 0x00, 0xff];
    const ATTRIBUTES: [u8; 21] = [
        0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x14, 0x07, 0x38, 0x39, 0x3a, 0x3b, 0x3c, 0x3d, 0x3e, 0x3f, 0x0c,
        0x00, 0x0f, 0x08, 0x00,
    ];
    const MISCELLANEOUS: u8 = 0x67;
    /// Bit of the last vertical register that protects the first eight of the controller's.
    const PROTECT: u8 = 0x80;

    #[cold]
    pub(super) fn reset(ports: &mut impl Ports) {
        ports.write(0x3c2, MISCELLANEOUS);
        indexed(ports, 0x3c4, &SEQUENCER);
        ports.write(0x3d4, 0x11);
        ports.write(0x3d5, CONTROLLER[0x11] & !PROTECT);
        indexed(ports, 0x3d4, &CONTROLLER);
        indexed(ports, 0x3ce, &GRAPHICS);
        for (index, &byte) in (0..).zip(&ATTRIBUTES) {
            // Reading makes the next write an index.
            ports.read(0x3da);
            ports.write(0x3c0, index);
            ports.write(0x3c0, byte);
        }
        colours(ports);
        ports.read(0x3da);
        ports.write(0x3c0, 0x20);
    }

    fn indexed(ports: &mut impl Ports, port: u16, registers: &[u8]) {
        for (index, &byte) in (0..).zip(registers) {
            ports.write(port, index);
            ports.write(port + 1, byte);
        }
    }

    /// 64 colours: two bits each for red, green and blue, the brighter one first.
    fn colours(ports: &mut impl Ports) {
        ports.write(0x3c6, 0xff);
        ports.write(0x3c8, 0);
        for colour in 0..64_u8 {
            for (bright, dim) in [(2, 5), (1, 4), (0, 3)] {
                let bit = |bit: u8, value| if colour >> bit & 1 == 1 { value } else { 0 };
                ports.write(0x3c9, bit(bright, 42) + bit(dim, 21));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Records writes; every port reads as this byte.
    struct Notes(Vec<(u16, u8)>, u8);

    impl Ports for &mut Notes {
        fn write(&mut self, port: u16, byte: u8) {
            self.0.push((port, byte));
        }

        fn read(&mut self, _: u16) -> u8 {
            self.1
        }
    }

    fn sent(notes: &Notes, port: u16) -> String {
        notes.0.iter().filter(|(to, _)| *to == port).map(|(_, byte)| char::from(*byte)).collect()
    }

    #[test]
    fn messages_go_to_the_serial_port_with_both_line_ends() {
        let mut notes = Notes(Vec::new(), 0xff);
        let mut console = Console::new(&mut notes);
        console.use_serial(0x2f8, 0);
        console.print("a\n");
        console.say_number(1200);
        console.say_hex(&[0xa, 0xf0]);
        assert_eq!(sent(&notes, 0x2f8), "a\r\n12000af0");
    }

    #[test]
    fn a_speed_becomes_a_divisor_and_none_leaves_the_port_alone() {
        for (baud, divisor) in [(9600, [12, 0]), (115_200, [1, 0]), (50, [0, 9]), (1_000_000, [1, 0])] {
            let mut notes = Notes(Vec::new(), 0);
            Console::new(&mut notes).use_serial(0x3f8, baud);
            assert_eq!(notes.0[1..4], [(0x3fb, 0x80), (0x3f8, divisor[0]), (0x3f9, divisor[1])]);
        }
        let mut notes = Notes(Vec::new(), 0);
        Console::new(&mut notes).use_serial(0x3f8, 0);
        assert_eq!(notes.0, []);
    }

    #[test]
    fn a_port_that_is_never_ready_loses_the_message_only() {
        let mut notes = Notes(Vec::new(), 0);
        let mut console = Console::new(&mut notes);
        console.use_serial(0x3f8, 0);
        console.print("x");
        assert_eq!(notes.0, []);
    }

    #[test]
    fn a_full_screen_moves_up() {
        let mut screen: Screen = [[0x1e41; COLUMNS]; LINES];
        let mut notes = Notes(Vec::new(), 0x07);
        // The cursor reads as 0x0707, on line 22.
        let mut console = Console::new(&mut notes);
        console.use_screen(&mut screen);
        console.print("first\nsecond\n");
        console.print("third");
        let text = |line: usize| -> String {
            screen[line].iter().map(|place| char::from(place.to_le_bytes()[0])).collect()
        };
        assert!(text(22).starts_with("firstA"), "{}", text(22));
        assert!(text(23).starts_with("secondA"));
        assert!(text(24).starts_with("third "));
    }

    #[test]
    fn a_long_line_goes_on_in_the_next() {
        let mut screen: Screen = [[0; COLUMNS]; LINES];
        let mut notes = Notes(Vec::new(), 0);
        let mut console = Console::new(&mut notes);
        console.use_screen(&mut screen);
        console.print(&"x".repeat(COLUMNS + 1));
        assert_eq!((screen[2][0], screen[2][1]), (0x0778, 0));
    }

    #[test]
    fn the_vga_is_reset_with_its_picture_on_at_last() {
        let mut notes = Notes(Vec::new(), 0);
        Console::new(&mut notes).reset_vga();
        assert_eq!(notes.0.first(), Some(&(0x3c2, 0x67)));
        assert_eq!(notes.0.last(), Some(&(0x3c0, 0x20)));
        let colours: Vec<u8> =
            notes.0.iter().filter(|(port, _)| *port == 0x3c9).map(|(_, byte)| *byte).collect();
        assert_eq!((colours.len(), &colours[21..24]), (192, [42, 42, 42].as_slice()));
    }
}
