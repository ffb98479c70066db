//! The words of makedumpfile, as far as its work is done here; what is not is refused by name.
//!
//! Exit statuses are makedumpfile's: 0 done, 1 failed.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{ArgAction, CommandFactory, Parser};
use vmcore::codec::{Codec, Effort};

use super::save::{self, Form, Request};
use super::summary::Saved;
use crate::report;

const NAME: &str = "makedumpfile";

/// The heading of options whose work is not done here.
const REFUSED: &str = "Known and refused";

/// Make a small dump file of a memory image
///
/// Takes the words of makedumpfile. The dump level is a sum of what is left out: 1 pages of zeros, 2 page cache, 4 page
/// cache with private data too, 8 memory of processes, 16 free pages.
#[derive(Debug, Parser)]
#[command(
    name = NAME,
    version,
    infer_long_args = true,
    disable_help_flag = true,
    disable_version_flag = true,
    override_usage = "makedumpfile [-c|-l|-p|-z|-E] [-d DL] [-F] [-f] VMCORE DUMPFILE\n       makedumpfile -R DUMPFILE < FLATTENED"
)]
struct Words {
    /// Compress each page with zlib
    #[arg(short = 'c', group = "codec")]
    zlib: bool,
    /// Compress each page with LZO
    #[arg(short = 'l', group = "codec")]
    lzo: bool,
    /// Compress each page with Snappy
    #[arg(short = 'p', group = "codec")]
    snappy: bool,
    /// Compress each page with Zstandard
    #[arg(short = 'z', group = "codec")]
    zstd: bool,
    /// Write an ELF file
    #[arg(short = 'E', group = "codec")]
    elf: bool,
    /// Dump level, 0 to 31; of several, the next is tried when there is no room
    #[arg(short = 'd', value_name = "DL", default_value = "0", value_parser = super::levels)]
    level: super::Levels,
    /// Write a flattened stream to standard output
    #[arg(short = 'F')]
    flattened: bool,
    /// Rearrange a flattened stream from standard input
    #[arg(short = 'R', conflicts_with_all = ["flattened", "codec"])]
    rearrange: bool,
    /// Replace DUMPFILE if it is there
    #[arg(short = 'f')]
    force: bool,
    /// Do everything but write the dump
    #[arg(long)]
    dry_run: bool,
    /// Print how many pages are excluded as what
    #[arg(long)]
    show_stats: bool,
    /// What to print, a sum: 1 progress, 2 common messages, 4 errors, 8 details, 16 the report
    #[arg(long, value_name = "ML", default_value_t = 7)]
    message_level: u8,
    /// Print messages of the report too
    #[arg(short = 'D')]
    debug: bool,
    /// Threads; without it, one for each processor
    #[arg(long, value_name = "N")]
    num_threads: Option<usize>,
    /// Granted: memory is always read in the way that does
    #[arg(long, hide = true)]
    non_mmap: bool,
    /// Granted: memory use has a bound anyway
    #[arg(long, hide = true, value_name = "KB")]
    cyclic_buffer: Option<u64>,
    /// Granted: there is no other way here
    #[arg(long, hide = true)]
    non_cyclic: bool,
    /// Granted: nothing needs a folder to work in
    #[arg(long, hide = true, value_name = "DIR")]
    work_dir: Option<PathBuf>,
    /// Granted: the cache of writes is what a thread has in hand
    #[arg(short = 'b', hide = true, value_name = "ORDER")]
    cache_order: Option<u32>,
    #[command(flatten)]
    later: Later,
    /// Print this help
    #[arg(short = 'h', long, action = ArgAction::Help)]
    help: Option<bool>,
    /// Print the version
    #[arg(short = 'v', long, action = ArgAction::Version)]
    version: Option<bool>,
    /// The image, and the file to write
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Words that are known, and whose work is not done here.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = REFUSED)]
struct Later {
    #[arg(short = 'e', hide = true)]
    exclude_vmemmap: bool,
    #[arg(short = 'x', hide = true)]
    vmlinux: Option<PathBuf>,
    #[arg(short = 'i', hide = true)]
    vmcoreinfo: Option<PathBuf>,
    #[arg(short = 'g', hide = true)]
    generate: Option<PathBuf>,
    #[arg(short = 'L', hide = true)]
    limit: Option<String>,
    #[arg(short = 'X', hide = true)]
    exclude_xen: bool,
    #[arg(long, hide = true)]
    xen_syms: Option<PathBuf>,
    #[arg(long, hide = true)]
    xen_vmcoreinfo: Option<PathBuf>,
    #[arg(long = "xen_phys_start", hide = true)]
    xen_phys_start: Option<String>,
    #[arg(long, hide = true)]
    config: Option<PathBuf>,
    #[arg(long, hide = true)]
    eppic: Option<PathBuf>,
    #[arg(long, hide = true)]
    extension: Option<PathBuf>,
    #[arg(long, hide = true)]
    split: bool,
    #[arg(long, hide = true)]
    splitblock_size: Option<String>,
    #[arg(long, hide = true)]
    reassemble: bool,
    #[arg(long, hide = true)]
    diskset: Option<PathBuf>,
    #[arg(long, hide = true)]
    dump_dmesg: bool,
    #[arg(long, hide = true)]
    partial_dmesg: bool,
    #[arg(long, hide = true)]
    mem_usage: bool,
    #[arg(long, hide = true)]
    check_params: bool,
    #[arg(long, hide = true)]
    vtop: Option<String>,
}

/// The table of options: help and completions are made of it.
#[must_use]
pub fn command() -> clap::Command {
    Words::command()
}

/// Runs makedumpfile with the words behind its name.
#[must_use]
pub fn run(words: &[OsString]) -> ExitCode {
    let name = [OsString::from(NAME)];
    let matches = match command().try_get_matches_from(name.iter().chain(words)) {
        Ok(matches) => matches,
        Err(error) => return refuse(&error),
    };
    if let Some(word) = refused(&matches) {
        report::complain(NAME, &format!("{word} is not done here"));
        return failed(true);
    }
    let words = match <Words as clap::FromArgMatches>::from_arg_matches(&matches) {
        Ok(words) => words,
        Err(error) => return refuse(&error),
    };
    let speak = words.message_level & 2 != 0;
    match words.act() {
        Ok(whole) => {
            if speak {
                eprintln!("{}", if whole { "makedumpfile Completed." } else { "makedumpfile Failed." });
            }
            ExitCode::from(u8::from(!whole))
        }
        Err(error) => {
            if words.message_level & 4 != 0 {
                report::complain(NAME, &format!("{error:#}"));
            }
            failed(speak)
        }
    }
}

fn refuse(error: &clap::Error) -> ExitCode {
    // If nobody reads it, nobody misses it.
    let _ = error.print();
    if error.use_stderr() { failed(true) } else { ExitCode::SUCCESS }
}

fn failed(speak: bool) -> ExitCode {
    if speak {
        eprintln!("makedumpfile Failed.");
    }
    ExitCode::FAILURE
}

/// The first word whose work is not done here, as it is spelled.
fn refused(matches: &clap::ArgMatches) -> Option<String> {
    let command = command();
    let given = |option: &&clap::Arg| {
        option.get_help_heading() == Some(REFUSED)
            && matches.value_source(option.get_id().as_str()) == Some(ValueSource::CommandLine)
    };
    let option = command.get_arguments().find(given)?;
    let long = option.get_long().map(|long| format!("--{long}"));
    long.or_else(|| option.get_short().map(|short| format!("-{short}")))
}

impl Words {
    /// Answers with whether every page was understood and read.
    fn act(&self) -> anyhow::Result<bool> {
        if self.rearrange {
            return self.rearrange().map(|()| true);
        }
        let saved = save::save(&self.request()?)?;
        self.tell(&saved);
        Ok(saved.is_whole())
    }

    fn request(&self) -> anyhow::Result<Request> {
        let (source, goal) = match (self.files.as_slice(), self.flattened || self.dry_run) {
            ([source, goal], false) => (source, goal.clone()),
            ([source], true) if self.dry_run => (source, "/dev/null".into()),
            ([source, _], true) if self.dry_run => (source, "/dev/null".into()),
            ([source], true) => (source, "-".into()),
            (_, true) => anyhow::bail!("one file is wanted: VMCORE"),
            (_, false) => anyhow::bail!("two files are wanted: VMCORE and DUMPFILE"),
        };
        Ok(Request {
            source: source.clone(),
            goal,
            form: if self.elf { Form::Elf } else { Form::Kdump },
            flattened: self.flattened && !self.dry_run,
            levels: self.level.clone(),
            effort: Effort::usual(self.codec()),
            threads: self.num_threads.map_or_else(super::processors, |threads| threads.clamp(1, 1024)),
            replace: self.force,
        })
    }

    fn codec(&self) -> Codec {
        match (self.zlib, self.lzo, self.snappy, self.zstd) {
            (true, ..) => Codec::Zlib,
            (_, true, ..) => Codec::Lzo,
            (_, _, true, _) => Codec::Snappy,
            (.., true) => Codec::Zstd,
            _ => Codec::Raw,
        }
    }

    fn tell(&self, saved: &Saved) {
        let asked = self.message_level & 16 != 0 || self.show_stats || self.debug;
        if asked || (self.message_level & 4 != 0 && !saved.is_whole()) {
            eprint!("{}", saved.text());
        }
        if self.message_level & 2 != 0 && !self.flattened && !self.dry_run {
            let files = self.files.last().map(|file| file.display().to_string()).unwrap_or_default();
            eprintln!("\nThe dumpfile is saved to {files}.");
        }
    }

    fn rearrange(&self) -> anyhow::Result<()> {
        let [goal] = self.files.as_slice() else { anyhow::bail!("one file is wanted: DUMPFILE") };
        super::rearrange::from(std::io::stdin().lock(), goal, self.force)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_of(line: &str) -> Option<String> {
        refused(&command().try_get_matches_from(line.split(' ')).unwrap())
    }

    #[test]
    fn the_table_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn what_is_not_done_here_is_refused_by_name() {
        for (words, name) in [
            ("--split a b c", "--split"),
            ("--reassemble a b", "--reassemble"),
            ("--dump-dmesg a b", "--dump-dmesg"),
            ("--mem-usage /proc/kcore", "--mem-usage"),
            ("-x vmlinux -d 31 a b", "-x"),
            ("-e -l a b", "-e"),
            ("-L 10 a b", "-L"),
            ("--config=rules a b", "--config"),
        ] {
            assert_eq!(refused_of(&format!("makedumpfile {words}")).as_deref(), Some(name), "{words}");
        }
        for words in
            ["-l -d 31 a b", "-F -c a", "-R a", "--num-threads 2 --message-level 7 -z -d 1,31 a b", "-E a b"]
        {
            assert_eq!(refused_of(&format!("makedumpfile {words}")), None, "{words}");
        }
    }
}
