//! `cargo xtask bench dump`: saving memory images, compared with Debian's makedumpfile on the same
//! image.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::bench::figure::Figure;
use crate::build::product;
use crate::debian::programs;
use crate::guest::memory_image;
use crate::{program, tree};

/// The meaning of the figures.
pub(crate) const MEANING: &str = "\
medians; theirs: Debian's makedumpfile, theirs 2: the same with --num-threads 2, ours: kjump with two threads
the runs of all three alternate, so that other load on the machine affects all of them
a dump to a file includes the time to write it to the disk (fsync)
CPU: user and system time of all threads; memory: largest resident set";

/// A run that takes longer is killed, and its time is this.
const LONGEST: Duration = Duration::from_secs(60);

/// A level, makedumpfile's option, and kjump's codec for the same.
const CASES: [(&str, &str, &str); 6] = [
    ("17", "", "raw"),
    ("17", "-l", "lzo"),
    ("17", "-c", "zlib"),
    ("31", "", "raw"),
    ("31", "-l", "lzo"),
    ("31", "-c", "zlib"),
];

/// Saves the image of a kernel in every case.
pub(crate) fn figures(kernel: &str, runs: usize, grows: bool) -> Result<Vec<Figure>> {
    let image = memory_image::vmcore(kernel)?;
    let ours = product::static_program("kjump", "kjump")?;
    if grows {
        return scale(&ours, runs);
    }
    // Read the image into the page cache: reading a disk is not measured.
    std::io::copy(&mut File::open(&image)?, &mut std::io::sink())?;
    let disk = tree::target().join("material").join("bench.dump");
    let mut figures = Vec::new();
    for (to, place) in [(Path::new("/dev/null"), "null"), (&disk, "disk")] {
        for (level, option, codec) in CASES {
            let name = format!("-d {level} {codec}, {place}");
            let bench = Bench { image: &image, to, level, ours: &ours, runs };
            bench.compare(&name, option, codec, &mut figures)?;
        }
        let bench = Bench { image: &image, to, level: "17", ours: &ours, runs };
        bench.zstd(&format!("-d 17 zstd, {place}"), &mut figures)?;
    }
    let _ = fs::remove_file(disk);
    Ok(figures)
}

/// One image, saved at one level.
struct Bench<'a> {
    image: &'a Path,
    to: &'a Path,
    level: &'a str,
    ours: &'a Path,
    runs: usize,
}

impl Bench<'_> {
    fn compare(&self, name: &str, option: &str, codec: &str, figures: &mut Vec<Figure>) -> Result<()> {
        let options: Vec<_> = option.split_whitespace().collect();
        let [mut theirs, mut threads, mut ours] = [const { Vec::new() }; 3];
        for _ in 0..self.runs {
            theirs.push(self.theirs(&options)?);
            threads.push(self.theirs_by_threads(&options)?);
            ours.push(self.ours(codec)?);
        }
        let [theirs, threads, ours] = [theirs, threads, ours].map(Run::median);
        let mut figure = |what: &str, value: f64, unit: &str| {
            // A bench takes minutes: if a later case fails, these figures are not lost.
            eprintln!("{name}: {what}: {value:.3} {unit}");
            figures.push(Figure { name: format!("{name}: {what}"), value, unit: unit.to_owned() });
        };
        for (who, run) in [("theirs", &theirs), ("theirs 2", &threads), ("ours", &ours)] {
            figure(who, run.seconds, "s");
            figure(&format!("{who}, CPU"), run.cpu_seconds, "s");
        }
        figure("times theirs", theirs.seconds / ours.seconds, "");
        figure("times theirs 2", threads.seconds / ours.seconds, "");
        figure("ours, memory", ours.mebibytes, "MiB");
        if theirs.bytes > 0.0 {
            figure("ours by theirs, bytes", ours.bytes / theirs.bytes, "");
        }
        Ok(())
    }

    /// Debian 12's makedumpfile lacks Zstandard; the newest has it, at kjump's level 1.
    fn zstd(&self, name: &str, figures: &mut Vec<Figure>) -> Result<()> {
        let [mut theirs, mut same, mut usual] = [const { Vec::new() }; 3];
        for _ in 0..self.runs {
            theirs.push(self.by(programs::newest_makedumpfile()?, &["-z"])?);
            same.push(self.ours("zstd:1")?);
            usual.push(self.ours("zstd")?);
        }
        let [theirs, same, usual] = [theirs, same, usual].map(Run::median);
        for (what, value, unit) in [
            ("the newest makedumpfile's", theirs.seconds, "s"),
            ("the newest makedumpfile's, bytes", theirs.bytes, "B"),
            ("ours at the same level", same.seconds, "s"),
            ("ours at the same level, bytes", same.bytes, "B"),
            ("times theirs", theirs.seconds / same.seconds, ""),
            ("ours", usual.seconds, "s"),
            ("ours, CPU", usual.cpu_seconds, "s"),
            ("ours, bytes", usual.bytes, "B"),
            ("ours, memory", usual.mebibytes, "MiB"),
        ] {
            eprintln!("{name}: {what}: {value:.3} {unit}");
            figures.push(Figure { name: format!("{name}: {what}"), value, unit: unit.to_owned() });
        }
        Ok(())
    }

    fn theirs(&self, options: &[&str]) -> Result<Run> {
        self.by(programs::makedumpfile()?, options)
    }

    /// With threads it sometimes aborts; such a run is repeated.
    fn theirs_by_threads(&self, options: &[&str]) -> Result<Run> {
        const ATTEMPTS: usize = 5;
        let options = [options, &["--num-threads", "2"]].concat();
        let mut result = self.theirs(&options);
        for _ in 1..ATTEMPTS {
            match result {
                Err(error) => eprintln!("once more: {error:#}"),
                Ok(run) => return Ok(run),
            }
            result = self.theirs(&options);
        }
        result
    }

    fn by(&self, mut command: Command, options: &[&str]) -> Result<Run> {
        command.args(["--message-level", "4", "-f", "-d", self.level]).args(options);
        run(command.arg(self.image).arg(self.to), self.to)
    }

    fn ours(&self, codec: &str) -> Result<Run> {
        let mut command = Command::new(self.ours);
        command.args(["dump", "save", "--threads", "2", "-d", self.level, "--compress", codec]);
        run(command.arg(self.image).arg(self.to), self.to)
    }
}

/// Cost of one run.
#[derive(Clone, Copy, Debug)]
struct Run {
    seconds: f64,
    cpu_seconds: f64,
    mebibytes: f64,
    /// Size of the file; 0 if the destination is not a file.
    bytes: f64,
}

impl Run {
    fn median(mut runs: Vec<Self>) -> Self {
        runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        runs[runs.len() / 2]
    }
}

fn run(command: &mut Command, to: &Path) -> Result<Run> {
    // A run must not pay for pages that the previous one left to be written.
    if to.is_file() {
        fs::remove_file(to)?;
        program::quiet(&mut Command::new("sync"))?;
    }
    let before = cpu_seconds_of_children()?;
    let start = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn()?;
    let mebibytes = watch(&mut child, start)?;
    if to.is_file() {
        // kjump renames a dump that is on the disk; makedumpfile does not wait for that.
        File::open(to)?.sync_all()?;
    }
    let seconds = start.elapsed().as_secs_f64();
    let status = child.wait()?;
    let mut complaint = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        stderr.read_to_string(&mut complaint)?;
    }
    ensure!(status.success() || start.elapsed() >= LONGEST, "{command:?}: {status}: {complaint}");
    let metadata = fs::metadata(to)?;
    #[expect(clippy::cast_precision_loss, reason = "no dump is that long")]
    let bytes = if metadata.is_file() { metadata.len() as f64 } else { 0.0 };
    Ok(Run { seconds, cpu_seconds: cpu_seconds_of_children()? - before, mebibytes, bytes })
}

/// Waits for the end and returns the largest resident set in MiB.
fn watch(child: &mut Child, start: Instant) -> Result<f64> {
    let mut largest = 0.0_f64;
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    while child.try_wait()?.is_none() {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let kibibytes = text.lines().find_map(|line| line.strip_prefix("VmHWM:")?.split_whitespace().next());
        largest =
            largest.max(kibibytes.and_then(|number| number.parse::<f64>().ok()).unwrap_or(0.0) / 1024.0);
        if start.elapsed() > LONGEST {
            child.kill()?;
        }
        // Each sample costs a program that uses all CPUs: sample less often the longer it runs.
        std::thread::sleep(
            (start.elapsed() / 200).clamp(Duration::from_millis(1), Duration::from_millis(25)),
        );
    }
    Ok(largest)
}

/// User and system time of all children that were waited for, which `stat` counts in hundredths of
/// a second (proc(5), fields 16 and 17).
fn cpu_seconds_of_children() -> Result<f64> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit_once(") ").context("/proc/self/stat has no process name")?.1;
    let ticks = after_name.split(' ').skip(13).take(2).map(|ticks| ticks.parse::<f64>().unwrap_or(0.0));
    Ok(ticks.sum::<f64>() / 100.0)
}

/// Sparse images of 4, 64 and 1024 GiB: the cost of a byte must not depend on the size.
fn scale(ours: &Path, runs: usize) -> Result<Vec<Figure>> {
    let image = tree::target().join("material").join("sparse");
    let mut figures = Vec::new();
    for gibibytes in [4_u32, 64, 1024] {
        write_sparse(&image, gibibytes)?;
        let save = |_| {
            let mut command = Command::new(ours);
            command.args(["dump", "save", "--threads", "2", "-d", "1", "--compress", "lzo"]);
            let limit: &[&str] = if gibibytes == 64 { &["--memory-limit", "40M"] } else { &[] };
            run(command.args(limit).arg(&image).arg("/dev/null"), Path::new("/dev/null"))
        };
        let median = Run::median((0..runs).map(save).collect::<Result<_>>()?);
        let name = format!("{gibibytes} GiB");
        for (what, value, unit) in [
            ("", median.seconds, "s"),
            (" by GiB", median.seconds / f64::from(gibibytes) * 1000.0, "ms"),
            (", memory", median.mebibytes, "MiB"),
        ] {
            figures.push(Figure { name: format!("{name}{what}"), value, unit: unit.to_owned() });
        }
    }
    fs::remove_file(image)?;
    Ok(figures)
}

/// An ELF vmcore with one load header, a hole except for one page in each GiB.
fn write_sparse(path: &Path, gibibytes: u32) -> Result<()> {
    let bytes = u64::from(gibibytes) << 30;
    let mut header = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0\x3e\0\x01\0\0\0".to_vec();
    header.resize(120, 0);
    header[32] = 64;
    header[52] = 64;
    header[54] = 56;
    header[56] = 1;
    header[64] = 1;
    header[72..80].copy_from_slice(&4096_u64.to_le_bytes());
    for at in [96, 104] {
        header[at..at + 8].copy_from_slice(&bytes.to_le_bytes());
    }
    let mut file = File::create(path)?;
    file.write_all(&header)?;
    file.set_len(4096 + bytes)?;
    for number in 0..u64::from(gibibytes) {
        file.write_all_at(&number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_le_bytes(), 4096 + (number << 30))?;
    }
    Ok(())
}
