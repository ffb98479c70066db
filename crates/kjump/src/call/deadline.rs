//! The deadline of a call, and its default.

use abi::device::{Call, Info, feature, quiesce, reason};
use sys::{Device, Refusal};

use super::record::ImageFacts;
use super::request::{CallRequest, Source};

/// Milliseconds after which an image is stopped if its caller names no deadline. Kernels complain
/// about a CPU that has not responded for 20 seconds.
const DEFAULT: u64 = 10_000;

/// The deadline of the calls of a request.
pub(super) struct Deadline {
    milliseconds: u64,
    /// The default; dropped where deadlines do not work.
    is_default: bool,
}

impl Deadline {
    pub(super) fn new(request: &CallRequest, image: &ImageFacts, info: &Info) -> Self {
        let default = if has_default(request, image, info) { DEFAULT } else { 0 };
        let is_default = request.deadline.is_none();
        Self { milliseconds: request.deadline.unwrap_or(default), is_default }
    }

    /// Calls the image with this deadline.
    pub(super) fn call(&mut self, request: &CallRequest, device: &Device) -> Result<Call, Refusal> {
        let call = |milliseconds| device.call_until(request.arguments, request.quiesce, milliseconds);
        match call(self.milliseconds) {
            Err(refusal) if self.is_default && refusal.diagnosis.reason == reason::NO_DEADLINE => {
                self.milliseconds = 0;
                call(0)
            }
            result => result,
        }
    }

    pub(super) const fn milliseconds(&self) -> u64 {
        self.milliseconds
    }
}

/// A kept image may be another kernel, which runs for long and has NMIs of its own. Kernels are
/// called with the system suspended.
const fn has_default(request: &CallRequest, image: &ImageFacts, info: &Info) -> bool {
    let can_stop = info.features & (feature::WATCH | feature::TIMER) != 0;
    let suspends = request.quiesce == quiesce::SUSPEND || image.in_use != 0;
    can_stop && !(suspends && matches!(request.source, Source::Kept(_)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::image_file::ImageFile;
    use std::path::Path;

    fn request(source: Source, quiesce: u64, deadline: Option<u64>) -> CallRequest {
        CallRequest {
            source,
            arguments: [0; 6],
            quiesce,
            deadline,
            no_wait: false,
            inputs: Vec::new(),
            outputs: Vec::new(),
            repeat: 1,
            timing: false,
            json: false,
        }
    }

    fn file() -> Source {
        let placing = crate::call::args::PlacingArgs::default().into();
        Source::File(ImageFile::read(Path::new("/dev/null"), placing).unwrap())
    }

    fn kept() -> Source {
        Source::Kept("a".parse().unwrap())
    }

    #[test]
    fn a_call_has_a_deadline_where_something_can_stop_it() {
        let facts = |in_use| ImageFacts { id: 1, mode: 64, entry: 0, pages: 2, claimed: 0, in_use };
        let chosen = |source, level, deadline, in_use, features| {
            let info = Info { features, ..Info::default() };
            Deadline::new(&request(source, level, deadline), &facts(in_use), &info).milliseconds
        };
        for features in [feature::WATCH, feature::TIMER] {
            assert_eq!(chosen(file(), quiesce::AUTO, None, 0, features), DEFAULT);
            assert_eq!(chosen(file(), quiesce::SUSPEND, None, 2, features), DEFAULT);
            assert_eq!(chosen(kept(), quiesce::NONE, None, 0, features), DEFAULT);
            assert_eq!(chosen(kept(), quiesce::SUSPEND, None, 0, features), 0);
            assert_eq!(chosen(kept(), quiesce::AUTO, None, 2, features), 0);
            assert_eq!(chosen(kept(), quiesce::AUTO, Some(5), 2, features), 5);
            assert_eq!(chosen(file(), quiesce::AUTO, Some(0), 0, features), 0);
        }
        assert_eq!(chosen(file(), quiesce::AUTO, None, 0, 0), 0);
        assert_eq!(chosen(file(), quiesce::AUTO, Some(7), 0, 0), 7);
    }
}
