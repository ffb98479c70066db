//! Memory images: `kjump dump`, and the likeness of `makedumpfile`.

pub(crate) mod args;
mod diff;
pub mod dmesg;
mod info;
mod kinds;
mod level;
pub mod makedumpfile;
mod map;
mod rearrange;
mod save;
mod sink;
pub(crate) mod source;
mod summary;
mod verify;

use vmcore::codec::{Codec, Effort};
use vmcore::select::Level;
use vmcore::write::Compression;

use crate::terminal::report::{self, Outcome};
use args::{DumpCommand, SaveArgs};
use level::{processors, with_higher};
use save::{Form, Request};

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
    let to_output = args.goal.as_os_str() == "-";
    let exact = Level::new(17).unwrap_or_default();
    let request = Request {
        sources: [vec![args.source], args.part].concat(),
        vmcoreinfo: None,
        goals: [vec![args.goal], args.split].concat(),
        form: match (args.elf, args.flat) {
            (true, _) => Form::Elf,
            (_, true) => Form::Flat,
            _ => Form::Kdump,
        },
        flattened: args.flattened || to_output,
        levels: match (args.exact, args.resume_on_enospc) {
            (true, _) => vec![exact],
            (_, true) => with_higher(args.level),
            _ => args.level,
        },
        compression: args.compress.unwrap_or(Compression::Alike(Effort::usual(Codec::Zstd))),
        threads: args.threads.unwrap_or_else(processors),
        memory_limit: args.memory_limit,
        limit: None,
        replace: true,
        progress: true,
        incomplete_by_its_name: false,
    };
    let saved = save::save(&request)?;
    // Standard output may be the dump itself.
    if json && !to_output {
        report::print_json(&saved)?;
    } else {
        eprint!("{}", saved.text());
    }
    Ok(if saved.is_whole() { Outcome::Done } else { Outcome::No })
}
