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
use args::{DumpCommand, SaveWords};
use level::{processors, with_higher};
use save::{Form, Request};

/// Runs `kjump dump`.
pub(crate) fn run(command: DumpCommand) -> anyhow::Result<Outcome> {
    match command {
        DumpCommand::Save(words) => save_image(*words),
        DumpCommand::Info(words) => info::run(&words),
        DumpCommand::Verify(words) => verify::run(&words),
        DumpCommand::Map(words) => map::run(&words),
        DumpCommand::Diff(words) => diff::run(&words),
        DumpCommand::Dmesg(words) => dmesg::print(&words.file).map(|()| Outcome::Done),
    }
}

fn save_image(words: SaveWords) -> anyhow::Result<Outcome> {
    let json = words.json;
    let to_output = words.goal.as_os_str() == "-";
    let exact = Level::new(17).unwrap_or_default();
    let request = Request {
        sources: [vec![words.source], words.part].concat(),
        vmcoreinfo: None,
        goals: [vec![words.goal], words.split].concat(),
        form: match (words.elf, words.flat) {
            (true, _) => Form::Elf,
            (_, true) => Form::Flat,
            _ => Form::Kdump,
        },
        flattened: words.flattened || to_output,
        levels: match (words.exact, words.resume_on_enospc) {
            (true, _) => vec![exact],
            (_, true) => with_higher(words.level),
            _ => words.level,
        },
        compression: words.compress.unwrap_or(Compression::Alike(Effort::usual(Codec::Zstd))),
        threads: words.threads.unwrap_or_else(processors),
        memory_limit: words.memory_limit,
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
