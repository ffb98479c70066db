use super::Request;
use super::home::{OldMemory, Site};
use crate::Error;

/// What purgatory appends to a peer's command line, for its user space: the address is known only
/// when purgatory runs.
const JUMP_BACK: &[u8] = b" kexec_jump_back_entry=0x0123456789abcdef";

/// A command line that the kernel accepts.
pub(super) struct CommandLine {
    text: Vec<u8>,
    tail: u64,
}

impl CommandLine {
    /// The command line of a request, with the parameters of its site.
    pub(super) fn new(request: &Request<'_>, site: &Site, limit: u64) -> Result<Self, Error> {
        let mut text = request.command_line.clone();
        if let Some(offset) = text.iter().position(|&byte| byte == 0) {
            return Err(Error::ZeroInCommandLine { offset });
        }
        text.extend(
            site.old_memory.iter().flat_map(|old_memory: &OldMemory| old_memory.parameter().into_bytes()),
        );
        let appended = if request.home.is_peer() { JUMP_BACK.len() } else { 0 };
        let length = text.len() + appended;
        if length as u64 > limit {
            return Err(Error::LongCommandLine { length, limit });
        }
        // With a terminating zero.
        let tail = if appended > 0 { appended as u64 + 1 } else { 0 };
        Ok(Self { text, tail })
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Bytes reserved after the text for what purgatory appends.
    pub(super) const fn tail(&self) -> u64 {
        self.tail
    }
}
