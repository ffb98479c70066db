//! The request of `kjump call`, resolved from its arguments, with its files read.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context;
use sys::ImageName;

use crate::call::args::{CallArgs, Quiesce};
use crate::call::image_file::ImageFile;
use crate::call::placing::Placing;
use crate::input::{self, Name};
use crate::terminal::number::{self, FileFrom, FileTo};
use crate::terminal::report::UsageError;

/// A call, or several of one image.
#[derive(Debug)]
pub(super) struct CallRequest {
    pub(super) source: Source,
    pub(super) arguments: [u64; 6],
    /// One of [`abi::device::quiesce`].
    pub(super) quiesce: u64,
    /// In milliseconds, 0 for none; `None` for the default.
    pub(super) deadline: Option<u64>,
    /// Whether calls fail instead of waiting for others.
    pub(super) no_wait: bool,
    pub(super) inputs: Vec<Input>,
    pub(super) outputs: Vec<FileFrom>,
    pub(super) repeat: u64,
    pub(super) timing: bool,
    pub(super) json: bool,
}

/// The image to call.
#[derive(Debug)]
pub(super) enum Source {
    File(ImageFile),
    Kept(ImageName),
}

/// Bytes that are copied into the image.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) path: PathBuf,
    pub(super) address: u64,
    pub(super) bytes: Vec<u8>,
}

impl CallRequest {
    pub(super) fn resolve(args: CallArgs) -> anyhow::Result<Self> {
        let (source, words) = match (args.name, args.operands.as_slice()) {
            (Some(name), arguments) => (Source::Kept(name), arguments),
            (None, [file, arguments @ ..]) => {
                // If the system is suspended anyway, there is no use in moving pages away.
                let claim = !args.placing.no_claim && args.quiesce != Quiesce::Suspend;
                let placing = Placing { claim, ..args.placing.into() };
                (Source::File(ImageFile::read(Path::new(file), placing)?), arguments)
            }
            (None, []) => {
                return Err(
                    UsageError("nothing to call: name a file, or with --name a kept image".into()).into()
                );
            }
        };
        Ok(Self {
            source,
            arguments: arguments(words)?,
            quiesce: args.quiesce.number(),
            deadline: args.deadline,
            no_wait: args.no_wait,
            inputs: args.inputs.into_iter().map(read).collect::<Result<_, _>>()?,
            outputs: args.outputs,
            repeat: args.repeat,
            timing: args.timing,
            json: args.json,
        })
    }
}

/// At most six numbers; the rest are 0.
fn arguments(words: &[OsString]) -> Result<[u64; 6], UsageError> {
    let mut arguments = [0; 6];
    if words.len() > arguments.len() {
        let text = format!("{} arguments, but an image takes at most {}", words.len(), arguments.len());
        return Err(UsageError(text));
    }
    for ((place, word), number) in arguments.iter_mut().zip(words).zip(1..) {
        let value =
            word.to_str().ok_or_else(|| format!("{word:?} is not a number")).and_then(number::either_sign);
        *place = value.map_err(|text| UsageError(format!("argument {number}: {text}")))?;
    }
    Ok(arguments)
}

fn read(file: FileTo) -> anyhow::Result<Input> {
    let bytes = input::read_any(&file.path, u64::MAX).with_context(|| Name(&file.path).to_string())?;
    Ok(Input { path: file.path, address: file.address, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn resolve(line: &str) -> anyhow::Result<CallRequest> {
        match Cli::try_parse_from(line.split(' ')).unwrap().command {
            Command::Call(args) => CallRequest::resolve(*args),
            _ => panic!("no call"),
        }
    }

    #[test]
    fn the_first_argument_is_a_file_unless_an_image_is_named() {
        let request = resolve("kjump call /dev/null --load-at 0x8000 1 0x10 -1").unwrap();
        assert!(matches!(&request.source, Source::File(file) if file.path == Path::new("/dev/null")));
        assert_eq!(request.arguments, [1, 16, u64::MAX, 0, 0, 0]);
        let request = resolve("kjump call --name counter 7").unwrap();
        assert!(matches!(&request.source, Source::Kept(name) if name.as_str() == "counter"));
        assert_eq!(request.arguments, [7, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn pages_are_claimed_unless_that_is_useless() {
        let claim = |line| match resolve(line).unwrap().source {
            Source::File(file) => file.placing.claim,
            Source::Kept(_) => panic!("no file"),
        };
        assert!(claim("kjump call /dev/null"));
        assert!(!claim("kjump call /dev/null --no-claim"));
        assert!(!claim("kjump call /dev/null --quiesce suspend"));
    }

    #[test]
    fn an_error_names_the_wrong_argument() {
        for (line, text) in [
            ("kjump call", "nothing to call: name a file, or with --name a kept image"),
            ("kjump call --name a 1 2 3 4 5 6 7", "7 arguments, but an image takes at most 6"),
            (
                "kjump call --name a 1 b",
                "argument 2: \"b\" is not a number from 0 to 2^64 - 1 (0x1f, 037 or 31)",
            ),
            ("kjump call /nowhere", "/nowhere: No such file or directory (os error 2)"),
            ("kjump call /dev/null --in /nowhere@1", "/nowhere: No such file or directory (os error 2)"),
        ] {
            assert_eq!(format!("{:#}", resolve(line).unwrap_err()), text);
        }
    }
}
