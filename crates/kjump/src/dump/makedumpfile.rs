//! The words of makedumpfile, as far as its work is done here; what is not is refused by name.
//!
//! Exit statuses are makedumpfile's: 0 done, 1 failed.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::parser::ValueSource;
use clap::{ArgAction, CommandFactory, Parser};
use sys::mapping::FileBytes;
use vmcore::codec::{Codec, Effort};
use vmcore::paging::AddressSpace;
use vmcore::write::Compression;
use vmcore::{MemoryImage, Vmlinux, WriteAt};

use super::request::{OutputFormat, Request};
use super::save;
use super::sink::{Sink, WriteMode};
use super::summary::Saved;
use super::{dmesg, source};
use crate::terminal::report;

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
    override_usage = "makedumpfile [-c|-l|-p|-z|-E] [-d DL] [-x VMLINUX|-i VMCOREINFO] [-L SIZE] [-f] VMCORE DUMPFILE\n       \
        makedumpfile [-c|-l|-p|-z|-E] [-d DL] -F VMCORE > FLATTENED\n       \
        makedumpfile -R DUMPFILE < FLATTENED\n       \
        makedumpfile [-c|-l|-p|-z] [-d DL] --split VMCORE DUMPFILE1 DUMPFILE2...\n       \
        makedumpfile --reassemble DUMPFILE1 DUMPFILE2... DUMPFILE\n       \
        makedumpfile --dump-dmesg VMCORE LOGFILE\n       \
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
    /// Dump level, 0 to 31; of several, the next is tried when there is no room
    #[arg(short = 'd', value_name = "DL", default_value = "0", value_parser = super::level::levels)]
    level: super::level::Levels,
    /// Write a flattened stream to standard output
    #[arg(short = 'F')]
    flattened: bool,
    /// Rearrange a flattened stream from standard input
    #[arg(short = 'R', conflicts_with_all = ["flattened", "codec"])]
    rearrange: bool,
    /// Replace DUMPFILE if it is there
    #[arg(short = 'f')]
    force: bool,
    /// VMCOREINFO of the kernel, in place of what the image has
    #[arg(short = 'i', value_name = "VMCOREINFO", conflicts_with = "vmlinux")]
    vmcoreinfo: Option<PathBuf>,
    /// Take what is to be known of the kernel from its ELF file, which has BTF and symbols
    #[arg(short = 'x', value_name = "VMLINUX")]
    vmlinux: Option<PathBuf>,
    /// Write VMCOREINFO of the kernel's ELF file
    #[arg(short = 'g', value_name = "VMCOREINFO", requires = "vmlinux")]
    generate: Option<PathBuf>,
    /// Write at most so many bytes, K, M or G; what does not fit makes an incomplete dump
    #[arg(short = 'L', value_name = "SIZE", value_parser = limit)]
    limit: Option<u64>,
    /// Divide the dump among several files
    #[arg(long, conflicts_with_all = ["flattened", "elf"])]
    split: bool,
    /// Put the files of a split set together
    #[arg(long, conflicts_with_all = ["flattened", "elf", "split"])]
    reassemble: bool,
    /// Write the kernel's log out of the image
    #[arg(long)]
    dump_dmesg: bool,
    /// Tell how many pages of the running machine are what: of /proc/kcore
    #[arg(long)]
    mem_usage: bool,
    /// Only tell whether the words are right
    #[arg(long)]
    check_params: bool,
    /// Translate a virtual address of the kernel
    #[arg(long, value_name = "ADDR", value_parser = hexadecimal)]
    vtop: Option<u64>,
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
    /// Granted: parts have about as many pages each
    #[arg(long, hide = true, value_name = "KB")]
    splitblock_size: Option<String>,
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

/// Options that are known and not supported.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = REFUSED)]
struct Later {
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
    config: Option<PathBuf>,
    #[arg(long, hide = true)]
    eppic: Option<PathBuf>,
    #[arg(long, hide = true)]
    extension: Option<PathBuf>,
    #[arg(long, hide = true)]
    diskset: Option<PathBuf>,
    #[arg(long, hide = true)]
    partial_dmesg: bool,
}

/// The table of options: help and completions are made of it.
#[must_use]
pub fn command() -> clap::Command {
    Options::command()
}

/// Runs makedumpfile with the words behind its name.
#[must_use]
pub fn run(args: &[OsString]) -> ExitCode {
    let name = [OsString::from(NAME)];
    let matches = match command().try_get_matches_from(name.iter().chain(args)) {
        Ok(matches) => matches,
        Err(error) => return refuse(&error),
    };
    if let Some(word) = refused(&matches) {
        report::complain(NAME, &format!("{word} is not done here"));
        return failed(true);
    }
    let args = match <Options as clap::FromArgMatches>::from_arg_matches(&matches) {
        Ok(args) => args,
        Err(error) => return refuse(&error),
    };
    let speak = args.message_level & 2 != 0;
    match args.act() {
        Ok(whole) => {
            args.say(if whole { "makedumpfile Completed." } else { "makedumpfile Failed." });
            ExitCode::from(u8::from(!whole))
        }
        Err(error) => {
            if args.message_level & 4 != 0 {
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

/// A size in bytes, or in kibibytes and so on.
fn limit(word: &str) -> Result<u64, String> {
    let (digits, shift) = match word.as_bytes().last() {
        Some(b'k' | b'K') => (&word[..word.len() - 1], 10),
        Some(b'm' | b'M') => (&word[..word.len() - 1], 20),
        Some(b'g' | b'G') => (&word[..word.len() - 1], 30),
        _ => (word, 0),
    };
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    number.filter(|size| *size > 0).ok_or_else(|| format!("{word:?} is no size, as 100M is"))
}

/// What a kernel's ELF file tells.
fn vmcoreinfo_of(path: &Path) -> anyhow::Result<String> {
    let named = || path.display().to_string();
    let bytes = FileBytes::of(&mut File::open(path).with_context(named)?).with_context(named)?;
    Ok(Vmlinux::parse(&bytes).and_then(|kernel| kernel.vmcoreinfo()).with_context(named)?.to_text())
}

fn hexadecimal(word: &str) -> Result<u64, String> {
    u64::from_str_radix(word.trim_start_matches("0x"), 16)
        .map_err(|_| "an address has hexadecimal digits".into())
}

impl Options {
    /// Answers with whether every page was understood and read.
    fn act(&self) -> anyhow::Result<bool> {
        if self.check_params {
            return self.check().map(|()| true);
        }
        if self.rearrange {
            return self.rearrange().map(|()| true);
        }
        if self.dump_dmesg {
            let [source, output] = self.files.as_slice() else {
                anyhow::bail!("two files are wanted: VMCORE and LOGFILE");
            };
            dmesg::save(&self.image(source)?, output, self.force)?;
            self.say(&format!("\nThe dmesg log is saved to {}.\n", output.display()));
            return Ok(true);
        }
        if let Some(output) = &self.generate {
            return self.generate(output).map(|()| true);
        }
        if let Some(address) = self.vtop {
            return self.translate(address).map(|()| true);
        }
        let saved = save::save(&self.request()?)?;
        self.tell(&saved);
        Ok(saved.is_whole())
    }

    /// Files need not be there yet.
    fn check(&self) -> anyhow::Result<()> {
        if self.split || self.reassemble || self.dump_dmesg || self.mem_usage || self.rearrange {
            return Ok(());
        }
        // kdump's scripts ask before they know the files.
        if self.files.len() > 2 {
            anyhow::bail!("two files are wanted: VMCORE and DUMPFILE");
        }
        Ok(())
    }

    fn request(&self) -> anyhow::Result<Request> {
        let (sources, outputs) = self.sources_and_outputs()?;
        Ok(Request {
            sources,
            vmcoreinfo: self.told()?,
            outputs,
            format: if self.elf { OutputFormat::Elf } else { OutputFormat::Kdump },
            flattened: self.flattened && !self.dry_run,
            levels: if self.mem_usage {
                super::level::levels("31").unwrap_or_default()
            } else {
                self.level.clone()
            },
            compression: Compression::Fixed(Effort::usual(self.codec())),
            threads: self.num_threads.map_or_else(super::level::processors, |threads| threads.clamp(1, 1024)),
            memory_limit: None,
            limit: self.limit,
            replace: self.force,
            progress: self.message_level & 1 != 0,
            incomplete_by_its_name: true,
        })
    }

    /// What is told of the kernel in place of what it says itself.
    fn told(&self) -> anyhow::Result<Option<Vec<u8>>> {
        let read = |path: &Path| std::fs::read(path).with_context(|| path.display().to_string());
        match (&self.vmcoreinfo, &self.vmlinux) {
            (Some(path), _) => read(path).map(Some),
            (None, Some(path)) => vmcoreinfo_of(path).map(|text| Some(text.into_bytes())),
            (None, None) => Ok(None),
        }
    }

    fn image(&self, path: &Path) -> anyhow::Result<MemoryImage<'static>> {
        Ok(source::told(source::image(path)?, self.told()?.as_deref()))
    }

    fn generate(&self, output: &Path) -> anyhow::Result<()> {
        let vmlinux = self.vmlinux.as_deref().context("-g wants -x VMLINUX")?;
        let text = vmcoreinfo_of(vmlinux)?;
        let file = Sink::file(output, WriteMode::Cached, self.force)?;
        file.write_at(0, text.as_bytes())?;
        file.finish(text.len() as u64)?;
        self.say(&format!("\nThe vmcoreinfo is saved to {}.\n", output.display()));
        Ok(())
    }

    fn sources_and_outputs(&self) -> anyhow::Result<(Vec<PathBuf>, Vec<PathBuf>)> {
        let nowhere = || vec![PathBuf::from("/dev/null")];
        match self.files.as_slice() {
            [source] if self.mem_usage => Ok((vec![source.clone()], nowhere())),
            _ if self.mem_usage => anyhow::bail!("one file is wanted: /proc/kcore"),
            [parts @ .., output] if self.reassemble && parts.len() > 1 => {
                Ok((parts.to_vec(), vec![output.clone()]))
            }
            _ if self.reassemble => anyhow::bail!("two files and more are wanted, and DUMPFILE"),
            [source, outputs @ ..] if self.split && outputs.len() > 1 => {
                Ok((vec![source.clone()], outputs.to_vec()))
            }
            _ if self.split => anyhow::bail!("VMCORE is wanted, and two files and more"),
            [source] | [source, _] if self.dry_run => Ok((vec![source.clone()], nowhere())),
            [source] if self.flattened => Ok((vec![source.clone()], vec!["-".into()])),
            _ if self.flattened => anyhow::bail!("one file is wanted: VMCORE"),
            [source, output] => Ok((vec![source.clone()], vec![output.clone()])),
            _ => anyhow::bail!("two files are wanted: VMCORE and DUMPFILE"),
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

    fn tell(&self, saved: &Saved) {
        if self.mem_usage {
            self.say(&saved.usage());
            return;
        }
        if self.message_level & 4 != 0 {
            eprint!("{}", if saved.is_whole() { saved.warnings() } else { saved.text() });
        }
        if self.message_level & 16 != 0 || self.show_stats || self.debug {
            self.put(&saved.report());
        }
        if !self.flattened && !self.dry_run {
            let names = if self.split { &self.files[1..] } else { &self.files[self.files.len() - 1..] };
            let names: Vec<_> = names.iter().map(|file| file.display().to_string()).collect();
            self.say(&format!(
                "\nThe dumpfile{} saved to {}.\n",
                if names.len() > 1 { "s are" } else { " is" },
                names.join(", ")
            ));
        }
    }

    /// Says what is wanted to be known if all goes well.
    fn say(&self, text: &str) {
        if self.message_level & 2 != 0 {
            self.put(text);
        }
    }

    /// Standard output may be the dump.
    fn put(&self, text: &str) {
        if self.flattened {
            eprintln!("{text}");
        } else {
            // If nobody reads it, nobody misses it.
            let _ = report::print(&format!("{text}\n"));
        }
    }

    fn translate(&self, address: u64) -> anyhow::Result<()> {
        let [source] = self.files.as_slice() else { anyhow::bail!("one file is wanted: VMCORE") };
        let image = self.image(source)?;
        let place = AddressSpace::of_kernel(&image.vmcoreinfo()?)?.translate(&image, address)?;
        self.put(&format!(
            "\nTranslating virtual address {address:x} to physical address.\n\
             VIRTUAL           PHYSICAL\n{address:16x}  {:x}\n",
            place.phys
        ));
        Ok(())
    }

    fn rearrange(&self) -> anyhow::Result<()> {
        let [output] = self.files.as_slice() else { anyhow::bail!("one file is wanted: DUMPFILE") };
        super::rearrange::from(std::io::stdin().lock(), output, self.force)?;
        self.say(&format!("\nThe dumpfile is saved to {}.\n", output.display()));
        Ok(())
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
        for (args, name) in [
            ("-X -d 31 a b", "-X"),
            ("-e -l a b", "-e"),
            ("--eppic=macro a b", "--eppic"),
            ("--config=rules a b", "--config"),
        ] {
            assert_eq!(refused_of(&format!("makedumpfile {args}")).as_deref(), Some(name), "{args}");
        }
        for args in
            ["-l -d 31 a b", "-F -c a", "-R a", "--num-threads 2 --message-level 7 -z -d 1,31 a b", "-E a b"]
        {
            assert_eq!(refused_of(&format!("makedumpfile {args}")), None, "{args}");
        }
    }
}
