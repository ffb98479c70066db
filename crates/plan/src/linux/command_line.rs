use crate::Error;

/// What a peer kernel's user space reads of its command line to go back, which purgatory appends: it is not known before.
const JUMP_BACK: &[u8] = b" kexec_jump_back_entry=0x0123456789abcdef";

/// A command line that its kernel takes.
pub(super) struct CommandLine {
    text: Vec<u8>,
    room: u64,
}

impl CommandLine {
    /// A command line, if need be with room for the jump-back entry point.
    pub(super) fn new(words: &[u8], comes_back: bool, limit: u64) -> Result<Self, Error> {
        if let Some(offset) = words.iter().position(|&byte| byte == 0) {
            return Err(Error::ZeroInCommandLine { offset });
        }
        let later = if comes_back { JUMP_BACK.len() } else { 0 };
        let length = words.len() + later;
        if length as u64 > limit {
            return Err(Error::LongCommandLine { length, limit });
        }
        // With the zero behind it.
        Ok(Self { text: words.to_vec(), room: if comes_back { later as u64 + 1 } else { 0 } })
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Bytes that purgatory may write behind the text.
    pub(super) const fn room(&self) -> u64 {
        self.room
    }
}
