//! `cargo xtask bench hibernate`: hibernation by jump, compared with the kernel's own (swsusp) in
//! the same virtual machine, with the same memory in use and the same disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use lab::{Error, Job, Listener, Vm};

use crate::bench::figure::Figure;
use crate::build::product;
use crate::tree;

/// The meaning of the figures.
pub(crate) const MEANING: &str = "\
live: memory of a process that is checked after resuming; a third of its pages hardly compresses
off: from the command until the machine is off. By jump, that includes booting the kernel that saves,
unless it was prepared
back: from the command in the kernel that was booted next until the hibernated one prints again
image: bytes on the disk; by jump, encrypted. All times are the host's";

/// MiB of live memory, and of the machine. swsusp can save half of memory.
const SIZES: [(u64, u32); 2] = [(128, 512), (460, 1152)];
/// Bytes of the disk.
const DISK: u64 = 3 << 30;

/// Fills memory, says when it starts and when it goes on, and checks the memory.
const JOB: &str = "
set -e
guest remember $1 /tmp/memory &
until [ -e /tmp/memory ]; do sleep 0.1; done
sync
eval \"$3\"
echo leaving
eval \"$2\"
echo back
touch /tmp/memory.check; until [ -e /tmp/memory.checked ]; do sleep 0.1; done
cat /tmp/memory.checked
";

/// A way to hibernate.
struct Way {
    name: &'static str,
    /// What is done before the time starts.
    prepare: &'static str,
    save: &'static str,
    resume: &'static str,
}

const WAYS: [Way; 5] = [
    Way {
        name: "jump, lz4, prepared",
        prepare: "kjump hibernate --prepare --to /dev/vda",
        save: "kjump hibernate --to /dev/vda --key-file /key",
        resume: "kjump resume --from /dev/vda --key-file /key",
    },
    Way {
        name: "jump, lz4",
        prepare: "",
        save: "kjump hibernate --to /dev/vda --key-file /key",
        resume: "kjump resume --from /dev/vda --key-file /key",
    },
    Way {
        name: "jump, zstd",
        prepare: "",
        save: "kjump hibernate --to /dev/vda --key-file /key --compress zstd",
        resume: "kjump resume --from /dev/vda --key-file /key",
    },
    Way {
        name: "jump, lz4, not encrypted",
        prepare: "",
        save: "kjump hibernate --to /dev/vda --no-encryption",
        resume: "kjump resume --from /dev/vda --no-encryption",
    },
    Way {
        name: "swsusp",
        prepare: "",
        save: "mkswap /dev/vda > /dev/null; swapon /dev/vda; cat /sys/block/vda/dev > /sys/power/resume; \
               echo shutdown > /sys/power/disk; echo disk > /sys/power/state",
        resume: "cat /sys/block/vda/dev > /sys/power/resume",
    },
];

/// Measures every way at every size.
pub(crate) fn figures(kernel: &str) -> Result<Vec<Figure>> {
    let vm = product::beside(product::vm(kernel)?, kernel)?;
    let dir = tree::target().join("bench");
    fs::create_dir_all(&dir)?;
    let key = dir.join("key");
    fs::write(&key, "the key file of a benchmark")?;
    let vm = vm.smp(2).file(&key, "/key");
    let mut figures = Vec::new();
    for (live, machine) in SIZES {
        for way in &WAYS {
            let figure = |name: &str, value: f64, unit: &str| Figure {
                name: format!("{live} MiB live, {}: {name}", way.name),
                value,
                unit: unit.into(),
            };
            let run = Run::make(&vm.clone().mem(machine), way, live, &dir.join("image"))?;
            figures.extend([
                figure("off", run.off, "s"),
                figure("back", run.back, "s"),
                figure("image", run.bytes / f64::from(1 << 20), "MiB"),
            ]);
        }
    }
    Ok(figures)
}

/// The measurements of one hibernation.
struct Run {
    off: f64,
    back: f64,
    bytes: f64,
}

impl Run {
    fn make(vm: &Vm, way: &Way, live: u64, image: &Path) -> Result<Self> {
        let _file = Image::new(image)?;
        let vm = vm.clone().disk(image);
        let script = image.with_extension("sh");
        fs::write(&script, JOB)?;
        let job = Job::script(&script, vec![live.to_string().into(), way.save.into(), way.prepare.into()])?;
        let mut first = Clock::default();
        match vm.stream(&job, &mut first) {
            Err(Error::GuestEnded { why, .. }) if why == "it powered off" => {}
            Err(error) => return Err(error.into()),
            Ok(ended) => bail!("{}: status {}: {}", way.name, ended.into_outcome().status, first.errors),
        }
        let off = first.since("leaving")?;
        let bytes = allocated(image)?;
        let mut second = Clock::default();
        let resume = format!("echo leaving; {}; exit 99", way.resume);
        let outcome = vm.resumes().stream(&Job::shell(resume), &mut second)?.into_outcome();
        let whole = second.text.contains("all as it was");
        if outcome.status != 0 || !whole {
            bail!("{}: not resumed, status {}: {}", way.name, outcome.status, second.errors);
        }
        Ok(Self { off, back: second.between("leaving", "back")?, bytes })
    }
}

/// An empty disk, removed when dropped.
struct Image(PathBuf);

impl Image {
    fn new(path: &Path) -> Result<Self> {
        let file = fs::File::create(path).with_context(|| path.display().to_string())?;
        file.set_len(DISK)?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The bytes of a sparse file that are not a hole.
fn allocated(path: &Path) -> Result<f64> {
    use std::os::unix::fs::MetadataExt as _;
    let blocks = fs::metadata(path)?.blocks();
    #[expect(clippy::cast_precision_loss, reason = "a few GiB")]
    Ok((blocks * 512) as f64)
}

/// Notes when lines arrive.
#[derive(Default)]
struct Clock {
    text: String,
    errors: String,
    lines: Vec<(String, Instant)>,
}

impl Clock {
    fn at(&self, line: &str) -> Result<Instant> {
        let found = self.lines.iter().find(|(text, _)| text == line);
        Ok(found.with_context(|| format!("no line {line:?}: {}{}", self.text, self.errors))?.1)
    }

    fn since(&self, line: &str) -> Result<f64> {
        Ok(self.at(line)?.elapsed().as_secs_f64())
    }

    fn between(&self, from: &str, to: &str) -> Result<f64> {
        Ok(self.at(to)?.duration_since(self.at(from)?).as_secs_f64())
    }
}

impl Listener for Clock {
    fn out(&mut self, bytes: &[u8]) -> io::Result<()> {
        let now = Instant::now();
        self.text += &String::from_utf8_lossy(bytes);
        let known = self.lines.len();
        self.lines.extend(self.text.lines().skip(known).map(|line| (line.to_owned(), now)));
        Ok(())
    }

    fn err(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.errors += &String::from_utf8_lossy(bytes);
        Ok(())
    }

    fn note(&mut self, _: &str) {}
}
