//! `kjump bios`: one call of the BIOS, a named set of them with their results decoded, or the
//! program on a disk image.

pub(crate) mod args;
mod named;
mod place;
mod raw;
mod run;
pub(crate) mod session;
mod text;

use anyhow::Context;

use crate::bios::args::{BiosArgs, BiosCommand};
use crate::terminal::report::{self, Outcome, UsageError};

pub(crate) fn run(args: &BiosArgs) -> anyhow::Result<Outcome> {
    if let Some(BiosCommand::Run(args)) = &args.command {
        return run::run(args);
    }
    if args.what() == "list" {
        report::print(&named::list())?;
        return Ok(Outcome::Done);
    }
    if let Some(named) = named::find(args.what()) {
        if let Some(option) = args.first_raw_option() {
            return Err(
                UsageError(format!("{option} is for calls by number, not for {}", args.what())).into()
            );
        }
        return named::run(named, args).with_context(|| args.what().to_owned());
    }
    raw::run(args)
}
