//! The program as makedumpfile. Options that are not supported are refused by name.
//!
//! Exit statuses are makedumpfile's: 0 for success, 1 for failure.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{ArgAction, CommandFactory, Parser};
use sys::mapping::FileBytes;
use vmcore::codec::{Codec, Effort};
use vmcore::paging::AddressSpace;
use vmcore::write::Compression;
use vmcore::{MemoryImage, Vmcoreinfo, Vmlinux, WriteAt};

use super::args::RawArgs;
use super::dmesg;
use super::erase::Config;
use super::request::{OutputFormat, Request};
use super::save;
use super::sink::{Replace, Sink, WriteMode};
use super::source::{self, Facts};
use super::summary::Saved;
use crate::terminal::report;

const NAME: &str = "makedumpfile";

/// The heading of options that are not supported.
const REFUSED: &str = "Not supported";

/// Make a small dump file from a memory image
///
/// Accepts makedumpfile's options. The dump level is the sum of the pages to exclude: 1 zero pages,
/// 2 page cache, 4 page cache with private data too, 8 memory of processes, 16 free pages.
#[derive(Debug, Parser)]
#[command(
    name = NAME,
    infer_long_args = true,
    disable_help_flag = true,
    disable_version_flag = true,
    override_usage = "makedumpfile [-c|-l|-p|-z|-E] [-d DL] [-x VMLINUX|-i VMCOREINFO] [--config FILE] \
        [-L SIZE] [-f] VMCORE DUMPFILE\n       \
        makedumpfile [-c|-l|-p|-z|-E] [-d DL] -F VMCORE > FLATTENED\n       \
        makedumpfile -R DUMPFILE < FLATTENED\n       \
        makedumpfile [-c|-l|-p|-z] [-d DL] --split VMCORE DUMPFILE1 DUMPFILE2...\n       \
        makedumpfile --reassemble DUMPFILE1 DUMPFILE2... DUMPFILE\n       \
        makedumpfile --dump-dmesg VMCORE LOGFILE\n       \
        makedumpfile --dump-dmesg -F VMCORE > LOGFILE\n       \
        makedumpfile --mem-usage /proc/kcore\n       \
        makedumpfile -g VMCOREINFO -x VMLINUX"
)]
struct Options {
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
    /// Dump level, 0 to 31; if there are several, the next one is tried when there is no room
    #[arg(short = 'd', value_name = "DL", default_value = "0", value_parser = super::level::levels)]
    level: super::level::Levels,
    /// Write a flattened stream to standard output
    #[arg(short = 'F')]
    flattened: bool,
    /// Rearrange a flattened stream from standard input
    #[arg(short = 'R', conflicts_with_all = ["flattened", "codec"])]
    rearrange: bool,
    /// Replace DUMPFILE if it exists, or is a disk with a file system
    #[arg(short = 'f')]
    force: bool,
    /// VMCOREINFO of the kernel, to use instead of the image's own
    #[arg(short = 'i', value_name = "VMCOREINFO", conflicts_with = "vmlinux")]
    vmcoreinfo: Option<PathBuf>,
    /// Take the facts about the kernel from its ELF file, by its BTF and symbols
    #[arg(short = 'x', value_name = "VMLINUX")]
    vmlinux: Option<PathBuf>,
    /// Write the VMCOREINFO of the kernel's ELF file
    #[arg(short = 'g', value_name = "VMCOREINFO", requires = "vmlinux")]
    generate: Option<PathBuf>,
    /// Erase the data that the rules in FILE name, see makedumpfile.conf(5)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Write at most SIZE bytes (or with K, M or G); a dump that does not fit is incomplete
    #[arg(short = 'L', value_name = "SIZE", value_parser = limit)]
    limit: Option<u64>,
    /// Divide the dump among several files
    #[arg(long, conflicts_with_all = ["flattened", "elf"])]
    split: bool,
    /// Join the files of a split set
    #[arg(long, conflicts_with_all = ["flattened", "elf", "split"])]
    reassemble: bool,
    /// Write the kernel's log from the image
    #[arg(long)]
    dump_dmesg: bool,
    /// Report memory use by kind of page (of /proc/kcore)
    #[arg(long)]
    mem_usage: bool,
    /// Only check the command line
    #[arg(long)]
    check_params: bool,
    /// Translate a virtual address of the kernel
    #[arg(long, value_name = "ADDR", value_parser = hexadecimal)]
    vtop: Option<u64>,
    /// Do everything but write the dump
    #[arg(long)]
    dry_run: bool,
    /// Print the number of excluded pages of each kind
    #[arg(long)]
    show_stats: bool,
    /// The sum of what to print: 1 progress, 2 common messages, 4 errors, 8 details, 16 the report
    #[arg(long, value_name = "ML", default_value_t = 7, value_parser = clap::value_parser!(u8).range(0..=31))]
    message_level: u8,
    /// Also print the report
    #[arg(short = 'D')]
    debug: bool,
    /// Number of threads; by default one for each CPU
    #[arg(long, value_name = "N")]
    num_threads: Option<usize>,
    /// Accepted for compatibility; no effect: memory is mapped if that works
    #[arg(long, hide = true)]
    non_mmap: bool,
    /// Accepted for compatibility; no effect
    #[arg(long, hide = true, value_name = "KB")]
    cyclic_buffer: Option<u64>,
    /// Accepted for compatibility; no effect
    #[arg(long, hide = true)]
    non_cyclic: bool,
    /// Accepted for compatibility; no effect: the parts of a split set have about the same number
    /// of pages
    #[arg(long, hide = true, value_name = "KB")]
    splitblock_size: Option<String>,
    /// Accepted for compatibility; no effect: no working directory is needed
    #[arg(long, hide = true, value_name = "DIR")]
    work_dir: Option<PathBuf>,
    /// Accepted for compatibility; no effect
    #[arg(short = 'b', hide = true, value_name = "ORDER")]
    cache_order: Option<u32>,
    /// Print this help
    #[arg(short = 'h', long, action = ArgAction::Help)]
    help: Option<bool>,
    /// Print the version
    #[arg(short = 'v', long)]
    version: bool,
    /// The image, and the file to write
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten, next_help_heading = REFUSED)]
    refused: Refused,
}

/// Options of makedumpfile that are not supported.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = REFUSED)]
struct Refused {
    #[arg(short = 'e', hide = true)]
    exclude_vmemmap: bool,
    #[arg(short = 'X', hide = true)]
    exclude_xen: bool,
    #[arg(long, hide = true)]
    xen_syms: Option<PathBuf>,
    #[arg(long, hide = true)]
    xen_vmcoreinfo: Option<PathBuf>,
    #[arg(long = "xen_phys_start", hide = true)]
    xen_phys_start: Option<String>,
    #[arg(long, hide = true)]
    eppic: Option<PathBuf>,
    #[arg(long, hide = true)]
    extension: Option<PathBuf>,
    #[arg(long, hide = true)]
    diskset: Option<PathBuf>,
    #[arg(long, hide = true)]
    partial_dmesg: bool,
}

/// The table of options, for help and completions.
#[must_use]
pub fn command() -> clap::Command {
    Options::command()
}

/// Runs makedumpfile with these arguments, after its name.
#[must_use]
pub fn run(args: &[OsString]) -> ExitCode {
    let name = [OsString::from(NAME)];
    let matches = match command().try_get_matches_from(name.iter().chain(args)) {
        Ok(matches) => matches,
        Err(error) => return refuse(&error),
    };
    if let Some(option) = refused(&matches) {
        report::complain(NAME, &format!("{option} is not supported"));
        return failed(true);
    }
    let args = match <Options as clap::FromArgMatches>::from_arg_matches(&matches) {
        Ok(args) => args,
        Err(error) => return refuse(&error),
    };
    if args.version {
        return report::exit(NAME, report::print(&version()).map(|()| report::Outcome::Done));
    }
    let has_messages = args.message_level & 2 != 0;
    match args.run() {
        Ok(is_whole) => {
            args.inform(if is_whole { "makedumpfile Completed." } else { "makedumpfile Failed." });
            ExitCode::from(u8::from(!is_whole))
        }
        Err(error) => {
            if args.message_level & 4 != 0 {
                report::complain(NAME, &format!("{error:#}"));
            }
            failed(has_messages)
        }
    }
}

/// The version of makedumpfile whose options are accepted, for scripts that compare it.
fn version() -> String {
    format!(
        "makedumpfile: version 1.7.8 (kjump {})\nlzo\tenabled\nsnappy\tenabled\nzstd\tenabled\n",
        env!("CARGO_PKG_VERSION")
    )
}

fn refuse(error: &clap::Error) -> ExitCode {
    if let (ErrorKind::UnknownArgument, Some(ContextValue::String(option))) =
        (error.kind(), error.get(ContextKind::InvalidArg))
    {
        report::complain(NAME, &format!("unknown option {option}; `{NAME} --help` lists the options"));
        return failed(true);
    }
    // If this cannot be printed, the exit status remains.
    let _ = error.print();
    if error.use_stderr() { failed(true) } else { ExitCode::SUCCESS }
}

fn failed(has_messages: bool) -> ExitCode {
    if has_messages {
        report::inform("makedumpfile Failed.\n");
    }
    ExitCode::FAILURE
}

/// The first option that is not supported, as it is spelled.
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

/// A size in bytes, KiB, MiB or GiB.
fn limit(argument: &str) -> Result<u64, String> {
    let (digits, shift) = match argument.as_bytes().last() {
        Some(b'k' | b'K') => (&argument[..argument.len() - 1], 10),
        Some(b'm' | b'M') => (&argument[..argument.len() - 1], 20),
        Some(b'g' | b'G') => (&argument[..argument.len() - 1], 30),
        _ => (argument, 0),
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    number.filter(|size| *size > 0).ok_or_else(|| format!("{argument:?} is not a size such as 100M"))
}

/// VMCOREINFO made from a kernel's ELF file.
fn vmcoreinfo_of(path: &Path) -> anyhow::Result<Vmcoreinfo> {
    let named = || path.display().to_string();
    let bytes = FileBytes::of(&mut File::open(path).with_context(named)?).with_context(named)?;
    Vmlinux::parse(&bytes).and_then(|kernel| kernel.vmcoreinfo()).with_context(named)
}

fn hexadecimal(argument: &str) -> Result<u64, String> {
    u64::from_str_radix(argument.trim_start_matches("0x"), 16)
        .map_err(|_| "expected a hexadecimal address".into())
}

impl Options {
    /// Returns whether the dump, if one was written, has every page.
    fn run(&self) -> anyhow::Result<bool> {
        if self.check_params {
            return self.check().map(|()| true);
        }
        if self.rearrange {
            return self.rearrange();
        }
        if self.dump_dmesg {
            return self.save_log().map(|()| true);
        }
        if let Some(output) = &self.generate {
            return self.generate(output).map(|()| true);
        }
        if let Some(address) = self.vtop {
            return self.translate(address).map(|()| true);
        }
        let saved = save::save(&self.request()?)?;
        self.report(&saved);
        Ok(saved.is_whole())
    }

    /// Checks the command line as a run does, except that the files need not exist.
    fn check(&self) -> anyhow::Result<()> {
        if self.rearrange {
            self.one_file("DUMPFILE").map(drop)
        } else if self.dump_dmesg {
            self.log_files().map(drop)
        } else if self.generate.is_some() {
            Ok(())
        } else if self.vtop.is_some() {
            self.one_file("VMCORE").map(drop)
        } else {
            self.sources_and_outputs().map(drop)
        }
    }

    fn one_file(&self, name: &str) -> anyhow::Result<&Path> {
        match self.files.as_slice() {
            [file] => Ok(file),
            _ => anyhow::bail!("expected one file: {name}"),
        }
    }

    /// The image, and where its log goes: with -F, to standard output.
    fn log_files(&self) -> anyhow::Result<(&Path, &Path)> {
        match self.files.as_slice() {
            [source] if self.flattened => Ok((source, Path::new("-"))),
            _ if self.flattened => anyhow::bail!("expected one file: VMCORE; -F writes to standard output"),
            [source, output] => Ok((source, output)),
            _ => anyhow::bail!("expected two files: VMCORE and LOGFILE"),
        }
    }

    fn save_log(&self) -> anyhow::Result<()> {
        let (source, output) = self.log_files()?;
        let image = source::informed(self.image(source)?)?;
        if self.has_details() {
            report::inform(&save::details(&image));
        }
        dmesg::save(&image, output, Replace::if_forced(self.force))?;
        if !self.flattened {
            self.inform(&format!("\nThe dmesg log is saved to {}.\n", output.display()));
        }
        Ok(())
    }

    fn has_details(&self) -> bool {
        self.message_level & 8 != 0 || self.debug
    }

    fn request(&self) -> anyhow::Result<Request> {
        let (sources, outputs) = self.sources_and_outputs()?;
        Ok(Request {
            sources,
            raw: RawArgs::default(),
            facts: self.facts()?,
            config: self.config.clone().map(|path| Config { path, vmlinux: self.vmlinux.clone() }),
            details: self.has_details(),
            outputs,
            remote: None,
            format: if self.elf { OutputFormat::Elf } else { OutputFormat::Kdump },
            flattened: self.flattened && !self.dry_run,
            levels: if self.mem_usage {
                super::level::levels("31").unwrap_or_default()
            } else {
                self.level.clone()
            },
            compression: Compression::Fixed(Effort::usual(self.codec())),
            threads: self.num_threads.map_or_else(super::level::cpus, |threads| threads.clamp(1, 1024)),
            memory_limit: None,
            limit: self.limit,
            replace: Replace::if_forced(self.force),
            progress: self.message_level & 1 != 0,
            keeps_name_if_incomplete: true,
        })
    }

    /// The facts of `-i` or `-x`.
    fn facts(&self) -> anyhow::Result<Option<Facts>> {
        let (path, vmcoreinfo) = match (&self.vmcoreinfo, &self.vmlinux) {
            (Some(path), _) => {
                let text = std::fs::read(path).with_context(|| path.display().to_string())?;
                (path, Vmcoreinfo::parse(&text))
            }
            (None, Some(path)) => (path, vmcoreinfo_of(path)?),
            (None, None) => return Ok(None),
        };
        Ok(Some(Facts { path: path.clone(), vmcoreinfo }))
    }

    fn image(&self, path: &Path) -> anyhow::Result<MemoryImage<'static>> {
        source::with_facts(source::image(path)?, self.facts()?.as_ref())
    }

    fn generate(&self, output: &Path) -> anyhow::Result<()> {
        let vmlinux = self.vmlinux.as_deref().context("-g needs -x VMLINUX")?;
        let text = vmcoreinfo_of(vmlinux)?.to_text();
        let file = Sink::file(output, WriteMode::Cached, Replace::if_forced(self.force))?;
        file.write_at(0, text.as_bytes())?;
        file.finish(text.len() as u64)?;
        self.inform(&format!("\nThe vmcoreinfo is saved to {}.\n", output.display()));
        Ok(())
    }

    fn sources_and_outputs(&self) -> anyhow::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
        let nowhere = || vec![PathBuf::from("/dev/null")];
        match self.files.as_slice() {
            [source] if self.mem_usage => Ok((vec![source.clone()], nowhere())),
            _ if self.mem_usage => anyhow::bail!("expected one file: /proc/kcore"),
            [parts @ .., output] if self.reassemble && parts.len() > 1 => {
                Ok((parts.to_vec(), vec![output.clone()]))
            }
            _ if self.reassemble => anyhow::bail!("expected two or more input files and DUMPFILE"),
            [source, outputs @ ..] if self.split && outputs.len() > 1 => {
                Ok((vec![source.clone()], outputs.to_vec()))
            }
            _ if self.split => anyhow::bail!("expected VMCORE and two or more output files"),
            [source] | [source, _] if self.dry_run => Ok((vec![source.clone()], nowhere())),
            [source] if self.flattened => Ok((vec![source.clone()], vec!["-".into()])),
            _ if self.flattened => anyhow::bail!("expected one file: VMCORE"),
            [source, output] => Ok((vec![source.clone()], vec![output.clone()])),
            _ => anyhow::bail!("expected two files: VMCORE and DUMPFILE"),
        }
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

    fn report(&self, saved: &Saved) {
        if self.mem_usage {
            self.inform(&saved.usage());
            return;
        }
        if self.message_level & 4 != 0 {
            report::inform(&if saved.is_whole() { saved.warnings() } else { saved.text() });
        }
        if self.message_level & 16 != 0 || self.show_stats || self.debug {
            self.print(&saved.report());
        }
        if !self.flattened && !self.dry_run {
            let names = if self.split { &self.files[1..] } else { &self.files[self.files.len() - 1..] };
            let names: Vec<_> = names.iter().map(|file| file.display().to_string()).collect();
            self.inform(&format!(
                "\nThe dumpfile{} saved to {}.\n",
                if names.len() > 1 { "s are" } else { " is" },
                names.join(", ")
            ));
        }
    }

    /// Prints a common message.
    fn inform(&self, text: &str) {
        if self.message_level & 2 != 0 {
            self.print(text);
        }
    }

    /// Standard output may be the dump.
    fn print(&self, text: &str) {
        if self.flattened {
            report::inform(&format!("{text}\n"));
        } else {
            // A message that cannot be printed does not change the result.
            let _ = report::print(&format!("{text}\n"));
        }
    }

    fn translate(&self, address: u64) -> anyhow::Result<()> {
        let source = self.one_file("VMCORE")?;
        let image = self.image(source)?;
        let place = AddressSpace::of_kernel(&image.vmcoreinfo()?)?.translate(&image, address)?;
        self.print(&format!(
            "\nTranslating virtual address {address:x} to physical address.\n\
             VIRTUAL           PHYSICAL\n{address:16x}  {:x}\n",
            place.phys
        ));
        Ok(())
    }

    /// Returns whether the stream was whole.
    fn rearrange(&self) -> anyhow::Result<bool> {
        let output = self.one_file("DUMPFILE")?;
        let replace = Replace::if_forced(self.force);
        let rearranged = super::rearrange::from(std::io::stdin().lock(), output, replace)?;
        if let Some(bytes) = rearranged.cut_off
            && self.message_level & 4 != 0
        {
            report::inform(&format!(
                "WARNING: the stream was cut off after {bytes} bytes: {} is an incomplete dump\n",
                output.display()
            ));
        }
        self.inform(&format!("\nThe dumpfile is saved to {}.\n", output.display()));
        Ok(rearranged.cut_off.is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused_of(line: &str) -> Option<String> {
        refused(&command().try_get_matches_from(line.split(' ')).unwrap())
    }

    #[test]
    fn the_table_of_options_is_valid() {
        command().debug_assert();
    }

    #[test]
    fn options_that_are_not_supported_are_refused_by_name() {
        for (args, name) in [("-X -d 31 a b", "-X"), ("-e -l a b", "-e"), ("--eppic=macro a b", "--eppic")] {
            assert_eq!(refused_of(&format!("makedumpfile {args}")).as_deref(), Some(name), "{args}");
        }
        for args in
            ["-l -d 31 a b", "-F -c a", "-R a", "--num-threads 2 --message-level 7 -z -d 1,31 a b", "-E a b"]
        {
            assert_eq!(refused_of(&format!("makedumpfile {args}")), None, "{args}");
        }
    }
}
