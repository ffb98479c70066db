//! Memory images: `kjump dump`, and the program as `makedumpfile` and `vmcore-dmesg`.

pub(crate) mod args;
mod diff;
pub mod dmesg;
mod erase;
mod info;
mod kinds;
pub(crate) mod level;
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

use std::fs::File;
use std::io;
use std::path::Path;

use anyhow::Context;
use vmcore::select::Level;

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
        DumpCommand::Dmesg(args) => dmesg::print(&args.file, &args.raw).map(|()| Outcome::Done),
    }
}

/// Saves an image to a disk; returns what there is to say about it.
pub(crate) fn save_to_disk(source: &Path, disk: &Path, level: u8) -> anyhow::Result<String> {
    let level = Level::new(level).context("a dump level is from 0 to 31")?;
    let saved = save::save(&Request::to_disk(source.into(), disk.into(), level))?;
    Ok(saved.in_short())
}

/// The name of what a disk contains, if it is known.
pub(crate) fn content_of_disk(disk: &File) -> io::Result<Option<&'static str>> {
    sink::content(disk)
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
