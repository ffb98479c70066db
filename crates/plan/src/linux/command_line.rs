use crate::Error;

/// What a peer kernel's user space reads of its command line to go back: 16 digits, for which zeroes stand at first.
const JUMP_BACK: &[u8] = b" kexec_jump_back_entry=0x";
const DIGITS: &[u8; 16] = b"0000000000000000";

/// What is added to the words that were asked for.
#[derive(Clone, Copy, Default)]
pub(super) struct Additions {
    /// Where another kernel's memory is told of.
    pub(super) elfcorehdr: Option<u64>,
    /// Room for the jump-back entry point.
    pub(super) jump_back: bool,
}

/// A command line that its kernel takes.
pub(super) struct CommandLine {
    text: Vec<u8>,
    jump_back: Option<u64>,
}

impl CommandLine {
    pub(super) fn new(words: &[u8], additions: Additions, limit: u64) -> Result<Self, Error> {
        if let Some(offset) = words.iter().position(|&byte| byte == 0) {
            return Err(Error::ZeroInCommandLine { offset });
        }
        let mut text = words.to_vec();
        if let Some(address) = additions.elfcorehdr {
            text.extend_from_slice(format!(" elfcorehdr={address:#x}").as_bytes());
        }
        if additions.jump_back {
            text.extend_from_slice(JUMP_BACK);
        }
        let jump_back = additions.jump_back.then_some(text.len() as u64);
        text.extend_from_slice(if additions.jump_back { DIGITS } else { &[] });
        if text.len() as u64 > limit {
            return Err(Error::LongCommandLine { length: text.len(), limit });
        }
        Ok(Self { text, jump_back })
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Where the digits of the jump-back entry point start.
    pub(super) const fn jump_back(&self) -> Option<u64> {
        self.jump_back
    }
}
