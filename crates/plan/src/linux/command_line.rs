use crate::Error;

/// What a peer kernel's user space reads of its command line to go back: 16 digits, for which zeroes stand at first.
const JUMP_BACK: &[u8] = b" kexec_jump_back_entry=0x";
const DIGITS: &[u8; 16] = b"0000000000000000";

/// How a kernel is told where to jump back to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WayBack {
    /// It is not.
    None,
    /// Whoever loads it writes the digits.
    Written,
    /// Purgatory appends all of it.
    Appended,
}

/// A command line that its kernel takes.
pub(super) struct CommandLine {
    text: Vec<u8>,
    jump_back: Option<u64>,
    room: u64,
}

impl CommandLine {
    /// A command line, if need be with the jump-back entry point or room for it.
    pub(super) fn new(words: &[u8], way_back: WayBack, limit: u64) -> Result<Self, Error> {
        if let Some(offset) = words.iter().position(|&byte| byte == 0) {
            return Err(Error::ZeroInCommandLine { offset });
        }
        let mut text = words.to_vec();
        let jump_back = (way_back == WayBack::Written).then(|| {
            text.extend_from_slice(JUMP_BACK);
            let digits = text.len() as u64;
            text.extend_from_slice(DIGITS);
            digits
        });
        let appended = JUMP_BACK.len() + DIGITS.len();
        let later = if way_back == WayBack::Appended { appended } else { 0 };
        let length = text.len() + later;
        if length as u64 > limit {
            return Err(Error::LongCommandLine { length, limit });
        }
        // With the zero behind it.
        Ok(Self { text, jump_back, room: if later > 0 { later as u64 + 1 } else { 0 } })
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Where the digits of the jump-back entry point start.
    pub(super) const fn jump_back(&self) -> Option<u64> {
        self.jump_back
    }

    /// Bytes that purgatory may write behind the text.
    pub(super) const fn room(&self) -> u64 {
        self.room
    }
}
