//! Each form of a dump, given to each reader: all of them find the same as in the raw image.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context as _, Result, bail, ensure};

use crate::check::dump_debuggers::{answers, walked};
use crate::check::dump_readers::pages_by_libkdumpfile;
use crate::check::dumps::{ours, place, saved};
use crate::check::step::Step;
use crate::debian::programs::{self, Age};
use crate::guest::memory_image;
use crate::program;

/// The kernels whose dumps are given to all readers.
const KERNELS: [&str; 2] = ["6.1", "6.12"];

/// A reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reader {
    Crash,
    Drgn,
    Libkdumpfile,
    Makedumpfile,
}

impl Reader {
    const ALL: [Self; 4] = [Self::Crash, Self::Drgn, Self::Libkdumpfile, Self::Makedumpfile];
}

/// Forms that a reader does not open: drgn and the Python module of libkdumpfile open one file,
/// Debian's makedumpfile is built without Snappy.
const NOT_OPENED: [(&str, Reader); 3] =
    [("split", Reader::Drgn), ("split", Reader::Libkdumpfile), ("Snappy", Reader::Makedumpfile)];

/// A dump in one form.
struct Form {
    name: &'static str,
    files: Vec<PathBuf>,
}

impl Form {
    fn new(name: &'static str, file: PathBuf) -> Self {
        Self { name, files: vec![file] }
    }

    fn is_stream(&self) -> bool {
        self.name.starts_with("flattened")
    }
}

/// All steps; they take a quarter of an hour each.
pub(crate) fn steps() -> Vec<Step> {
    let step = |kernel| Step::new(format!("dump/forms/{kernel}"), move || check(kernel).into());
    KERNELS.into_iter().map(step).collect()
}

fn check(kernel: &str) -> Result<()> {
    let image = memory_image::vmcore(kernel)?;
    let raw =
        Raw { crash: answers(kernel, Age::Newest, &[&image])?, drgn: walked(kernel, Age::Newest, &image)? };
    let mut wrong = Vec::new();
    for form in forms(kernel, &image)? {
        for reader in Reader::ALL {
            let result = given(kernel, &image, &raw, &form, reader);
            let is_opened = !NOT_OPENED.contains(&(form.name, reader));
            match result {
                Err(error) if is_opened => wrong.push(format!("{}, {reader:?}: {error:#}", form.name)),
                Ok(()) if !is_opened => wrong.push(format!("{}: {reader:?} opens it now", form.name)),
                _ => {}
            }
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

/// What readers find in the raw image.
struct Raw {
    crash: String,
    drgn: String,
}

fn forms(kernel: &str, image: &Path) -> Result<Vec<Form>> {
    let codecs = [
        ("plain", &["-d", "31"][..], "form-plain"),
        ("zlib", &["-c", "-d", "31"], "form-zlib"),
        ("LZO", &["-l", "-d", "31"], "form-lzo"),
        ("Snappy", &["-p", "-d", "31"], "form-snappy"),
        ("Zstandard", &["-z", "-d", "31"], "form-zstd"),
        ("ELF", &["-E", "-d", "31"], "form-elf"),
    ];
    let form = |(name, options, file)| Ok(Form::new(name, saved(kernel, options, file)?));
    let mut forms = codecs.into_iter().map(form).collect::<Result<Vec<_>>>()?;
    forms.push(Form::new("flattened", flattened(image, "-l", "form-stream")?));
    forms.push(Form::new("flattened ELF", flattened(image, "-E", "form-elf-stream")?));
    let again = place("form-again")?;
    let less = saved(kernel, &["-l", "-d", "17"], "form-17")?;
    program::quiet(ours()?.args(["makedumpfile", "-f", "-z", "-d", "31"]).args([&less, &again]))?;
    forms.push(Form::new("saved again", again));
    let parts = [place("form-part1")?, place("form-part2")?, place("form-part3")?];
    program::quiet(
        ours()?.args(["makedumpfile", "-f", "-l", "-d", "31", "--split"]).arg(image).args(&parts),
    )?;
    let whole = place("form-whole")?;
    program::quiet(ours()?.args(["makedumpfile", "-f", "-l", "--reassemble"]).args(&parts).arg(&whole))?;
    forms.push(Form { name: "split", files: parts.to_vec() });
    forms.push(Form::new("reassembled", whole));
    let rearranged = place("form-rearranged")?;
    let mut rearrange = ours()?;
    rearrange.args(["makedumpfile", "-f", "-R"]).arg(&rearranged);
    program::run(rearrange.stdin(File::open(place("form-stream")?)?).stdout(Stdio::null()))?;
    forms.push(Form::new("rearranged", rearranged));
    Ok(forms)
}

fn flattened(image: &Path, format: &str, name: &str) -> Result<PathBuf> {
    let stream = place(name)?;
    let mut command = ours()?;
    command.args(["makedumpfile", "-F", format, "-d", "31"]).arg(image);
    program::run(command.stdout(File::create(&stream)?).stderr(Stdio::null()))?;
    Ok(stream)
}

fn given(kernel: &str, image: &Path, raw: &Raw, form: &Form, reader: Reader) -> Result<()> {
    let files: Vec<&Path> = form.files.iter().map(PathBuf::as_path).collect();
    match (reader, files.as_slice()) {
        (Reader::Crash, files) => {
            ensure!(answers(kernel, Age::Newest, files)? == raw.crash, "other answers than to the raw image");
        }
        (Reader::Drgn, [file]) => {
            ensure!(walked(kernel, Age::Newest, file)? == raw.drgn, "other objects than in the raw image");
        }
        (Reader::Drgn, _) => bail!("drgn opens one file"),
        (Reader::Libkdumpfile, [file]) => {
            let elf = form.name.ends_with("ELF").then(|| place("form-elf")).transpose()?;
            let (read, expected) = (pages_by_libkdumpfile(file, image, elf.as_deref())?, present(file)?);
            ensure!(read == expected, "{read} pages read of {expected}");
        }
        (Reader::Libkdumpfile, _) => bail!("its Python module opens one file"),
        (Reader::Makedumpfile, files) => by_makedumpfile(image, form, files)?,
    }
    Ok(())
}

/// The number of pages in a dump.
fn present(file: &Path) -> Result<u64> {
    let info = program::read(ours()?.args(["dump", "info", "--json"]).arg(file))?;
    let info: serde_json::Value = serde_json::from_str(&info)?;
    info["present_pages"].as_u64().context("the number of pages")
}

/// makedumpfile filters it again, joins it, or makes a file of the stream.
fn by_makedumpfile(image: &Path, form: &Form, files: &[&Path]) -> Result<()> {
    let again = place("form-theirs")?;
    let _ = fs::remove_file(&again);
    let mut command = programs::newest_makedumpfile()?;
    command.args(["-f", "--message-level", "4"]);
    if form.is_stream() {
        command.arg("-R").arg(&again).stdin(File::open(files[0])?);
        program::run(&mut command)?;
    } else if files.len() > 1 {
        program::quiet(command.arg("--reassemble").args(files).arg(&again))?;
    } else {
        program::quiet(command.args(["-l", "-d", "31"]).args(files).arg(&again))?;
    }
    program::quiet(ours()?.args(["dump", "verify", "--against"]).arg(image).arg(&again)).map(drop)
}
