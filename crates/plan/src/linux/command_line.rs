use abi::purgatory::JUMP_BACK_PARAMETER;

use super::home::Site;
use super::{Request, parameters};
use crate::Error;

/// A command line that the kernel accepts.
pub(super) struct CommandLine {
    text: Vec<u8>,
    jump_back: Option<usize>,
}

impl CommandLine {
    /// The command line of a request, with the parameters of its site.
    pub(super) fn new(request: &Request<'_>, site: &Site, limit: u64) -> Result<Self, Error> {
        let mut text = request.command_line.clone();
        if let Some(offset) = text.iter().position(|&byte| byte == 0) {
            return Err(Error::ZeroInCommandLine { offset });
        }
        if let Some(old_memory) = &site.old_memory {
            parameters::add(&mut text, old_memory.parameter().as_bytes());
        }
        let jump_back = request.home.is_peer().then(|| parameters::add(&mut text, JUMP_BACK_PARAMETER));
        let length = text.len();
        if length as u64 > limit {
            return Err(Error::LongCommandLine { length, limit });
        }
        Ok(Self { text, jump_back })
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }

    /// Offset of the parameter in which purgatory writes the jump-back entry, for a peer.
    pub(super) const fn jump_back(&self) -> Option<usize> {
        self.jump_back
    }
}
