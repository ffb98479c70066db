//! Memory images: `kjump dump`, and the program as `makedumpfile` and `vmcore-dmesg`.

pub(crate) mod args;
mod diff;
pub mod dmesg;
mod info;
mod kinds;
mod level;
pub mod makedumpfile;
mod map;
mod means;
mod rearrange;
mod request;
mod save;
mod sink;
pub(crate) mod source;
mod statistics;
mod summary;
mod verify;

use crate::terminal::report::{self, Outcome};
use args::{DumpCommand, SaveArgs};
use request::Request;

/// Runs `kjump dump`.
pub(crate) fn run(command: DumpCommand) -> anyhow::Result<Outcome> {
    match command {
        DumpCommand::Save(args) => save_image(*args),
        DumpCommand::Info(args) => info::run(&args),
        DumpCommand::Verify(args) => verify::run(&args),
        DumpCommand::Map(args) => map::run(&args),
        DumpCommand::Diff(args) => diff::run(&args),
        DumpCommand::Dmesg(args) => dmesg::print(&args.file).map(|()| Outcome::Done),
    }
}

fn save_image(args: SaveArgs) -> anyhow::Result<Outcome> {
    let json = args.json;
    let request = Request::from(args);
    let saved = save::save(&request)?;
    // Standard output may be the dump itself.
    if json && !request.is_to_stdout() {
        report::print_json(&saved)?;
    } else {
        report::inform(&saved.text());
    }
    Ok(if saved.is_whole() { Outcome::Done } else { Outcome::No })
}
