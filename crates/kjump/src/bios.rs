//! `kjump bios`: one call of the BIOS, or a named set of them with their results decoded.

pub(crate) mod args;
mod named;
mod place;
mod raw;
pub(crate) mod session;
mod text;

use anyhow::Context;

use crate::bios::args::BiosArgs;
use crate::terminal::report::{self, Outcome, UsageError};

pub(crate) fn run(args: &BiosArgs) -> anyhow::Result<Outcome> {
    if args.what == "list" {
        report::print(&named::list())?;
        return Ok(Outcome::Done);
    }
    if let Some(named) = named::find(&args.what) {
        if let Some(option) = args.first_raw_option() {
            return Err(UsageError(format!("{option} is for calls by number, not for {}", args.what)).into());
        }
        return named::run(named, args).with_context(|| args.what.clone());
    }
    raw::run(args)
}
