//! `cargo xtask bench switch`: the time of a switch to another kernel and back.
//!
//! Both kernels run on the same CPUs, so the time stamp counter that one reads when it leaves
//! continues when the other arrives. Each reports the time of its own phases: the running one on
//! standard output, the other in the kernel log.

use std::io;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lab::{Job, Listener, Vm};
use serde_json::{Deserializer, Value};

use crate::bench::figure::Figure;
use crate::build::product;
use crate::debian::kernels;
use crate::tree;

/// The meaning of the figures.
pub(crate) const MEANING: &str = "\
A is the kernel of --kernel, B a second instance of it; both drive the same disk and network card
A to B: from the call in A until B's program continues; B to A likewise (medians)
a plain suspend: suspending and resuming all devices without sleeping, by the kernel's own test, in the
same run; this needs CONFIG_PM_DEBUG, as in 6.1-full
a suspend call: a call with --quiesce suspend of an image that returns immediately
there and back, by the host: from the line before `kjump switch` to its result, including B's work";

/// The number of switches from A to B.
const TURNS: usize = 20;

/// B's program: it returns in a loop, and logs the time of its phases.
const THERE: &str = r#"value=0
log() { echo "<1>switch-figures: $*" > /dev/kmsg; }
log "{\"up\": $(cut -d' ' -f1 /proc/uptime)}"
while phases=$(kjump return --json $value); do
    log $phases
    value=$((value + 1))
done
"#;

/// A's program. Its standard output is a sequence of JSON values.
const HERE: &str = r#"
set -e
there=$1; turns=$2; cpus=$3
now() { cut -d' ' -f1 /proc/uptime; }
[ ! -e /sys/power/pm_test ] || echo "{\"plain\": [$(guest plain-suspends 10 | tr '\n' , | sed 's/,$//')]}"
kjump call --json --repeat 10 --quiesce suspend /lib/kjump/payloads/sum64
kjump initramfs -o /tmp/b.cpio --kernel-version $there \
    --driver virtio_pci --driver virtio_blk --driver virtio_net \
    --disk first --add /there.sh:/there.sh -- sh /there.sh >&2
echo "{\"before_boot\": $(now)}"
kjump boot --json --kernel /boot/vmlinuz-$there --initrd /tmp/b.cpio --memory 256M --cpus $cpus \
    --append 'console=ttyS0 quiet no_timer_check'
echo "{\"after_boot\": $(now)}"
for turn in $(seq $turns); do
    echo '{"mark": "leaving"}'
    kjump switch --json b $turn
done
kjump status --json
"#;

/// Measures with one CPU and with two.
pub(crate) fn figures(kernel: &str) -> Result<Vec<Figure>> {
    let vm = product::beside(product::vm(kernel)?, kernel)?;
    let there = kernels::get(kernel)?.release;
    let mut figures = Vec::new();
    for (cpus, name) in [(1, "1 CPU"), (2, "2 CPUs")] {
        let reports = measure(&vm.clone().smp(cpus), &there, cpus)?;
        figures.extend(
            reports
                .figures()?
                .into_iter()
                .map(|figure| Figure { name: format!("{name}: {}", figure.name), ..figure }),
        );
    }
    Ok(figures)
}

fn measure(vm: &Vm, there: &str, cpus: u32) -> Result<Reports> {
    let dir = tree::target().join("bench");
    std::fs::create_dir_all(&dir)?;
    let (script, disk, here) = (dir.join("there.sh"), dir.join("disk"), dir.join("here.sh"));
    std::fs::write(&script, THERE)?;
    std::fs::write(&here, HERE)?;
    std::fs::write(&disk, vec![0x5a; 1 << 20])?;
    let arguments = [there.into(), TURNS.to_string().into(), cpus.to_string().into()];
    let job = Job::script(&here, arguments.into())?;
    let mut recorder = Recorder::default();
    let vm = vm.clone().mem(1024).disk(disk).file(script, "/there.sh").timeout(Duration::from_secs(600));
    let outcome = vm.stream(&job, &mut recorder)?.into_outcome();
    let log = outcome.kernel_log();
    ensure!(outcome.status == 0, "{}(the kernel's log is {})", recorder.errors, outcome.log.display());
    let marked = log.lines().filter_map(|line| line.split_once("switch-figures: ").map(|(_, json)| json));
    let there = marked.map(serde_json::from_str).collect::<Result<Vec<Value>, _>>().context("B's report")?;
    let here = Deserializer::from_slice(&recorder.out)
        .into_iter()
        .collect::<Result<Vec<Value>, _>>()
        .context("A's report")?;
    Ok(Reports { here, there, turns: recorder.turns() })
}

/// The reports of both kernels, and times by the host's clock.
struct Reports {
    here: Vec<Value>,
    there: Vec<Value>,
    /// Seconds of each turn by the host's clock.
    turns: Vec<f64>,
}

impl Reports {
    fn figures(&self) -> Result<Vec<Figure>> {
        let turns = Turns::of(self)?;
        let (forth, back) = (turns.forth()?, turns.back()?);
        let by_plain = self.plain()?.into_iter().flat_map(|plain| {
            [
                milliseconds("a plain suspend", plain),
                times("A to B by a plain suspend", forth / plain),
                times("B to A by a plain suspend", back / plain),
            ]
        });
        let call = milliseconds("a suspend call", self.suspend_call());
        let host = median(self.turns.iter().map(|seconds| seconds * 1e3).collect())?;
        let more = [milliseconds("there and back, by the host", host), self.exchanged()];
        Ok(by_plain
            .chain([call])
            .chain(self.first_boot(turns.boot))
            .chain(turns.figures()?)
            .chain(more)
            .collect())
    }

    /// Milliseconds, if the kernel has the test.
    fn plain(&self) -> Result<Option<f64>> {
        let plain = numbers(&self.here, "/plain");
        let plain = plain.first().map(|plain| {
            let microseconds = plain.as_array().into_iter().flatten().filter_map(Value::as_f64);
            median(microseconds.map(|time| time / 1e3).collect())
        });
        plain.transpose()
    }

    fn suspend_call(&self) -> f64 {
        let phases = numbers(&self.here, "/timing/phases");
        let mut phases = phases.into_iter().filter_map(Value::as_array).flatten();
        let all = phases.find(|phase| phase["name"] == "all");
        all.and_then(|all| all.pointer("/microseconds/median")?.as_f64()).unwrap_or(f64::NAN) / 1e3
    }

    fn first_boot(&self, boot: &Value) -> [Figure; 4] {
        let seconds = |report, place| {
            numbers(report, place).first().and_then(|value| value.as_f64()).unwrap_or(f64::NAN) * 1e3
        };
        let all = seconds(&self.here, "/after_boot") - seconds(&self.here, "/before_boot");
        let phases: f64 =
            ["quiesce", "enter", "run", "leave", "resume"].iter().map(|name| phase(boot, name)).sum();
        [
            milliseconds("first boot: load", all - phases),
            milliseconds("first boot: A's suspend", phase(boot, "quiesce") + phase(boot, "enter")),
            milliseconds(
                "first boot: B's boot, until its program runs, by its own clock",
                seconds(&self.there, "/up"),
            ),
            milliseconds("first boot: B's boot and its first suspend", phase(boot, "run")),
        ]
    }

    fn exchanged(&self) -> Figure {
        let exchanged = numbers(&self.here, "/images/0/exchanged");
        let value = exchanged.last().and_then(|count| count.as_f64()).unwrap_or(f64::NAN);
        Figure { name: "pages exchanged each time".into(), value, unit: "pages".into() }
    }
}

/// The phases of all turns: A's n-th switch ends B's n-th return, and B's next return ends that
/// switch.
struct Turns<'a> {
    boot: &'a Value,
    visits: Vec<&'a Value>,
    returns: Vec<&'a Value>,
}

impl<'a> Turns<'a> {
    fn of(reports: &'a Reports) -> Result<Self> {
        let mut visits = numbers(&reports.here, "/phases_microseconds");
        let returns = numbers(&reports.there, "/phases_microseconds");
        let counted = (visits.len(), returns.len());
        ensure!(counted == (TURNS + 1, TURNS), "{} visits, {} returns", counted.0, counted.1);
        Ok(Self { boot: visits.remove(0), visits, returns })
    }

    fn forth(&self) -> Result<f64> {
        let turns = self.visits.iter().zip(&self.returns);
        median(turns.map(|(here, there)| way(here, there)).collect())
    }

    fn back(&self) -> Result<f64> {
        let turns = self.visits.iter().zip(self.returns.iter().skip(1));
        median(turns.map(|(here, there)| way(there, here)).collect())
    }

    fn figures(&self) -> Result<Vec<Figure>> {
        let of = |values: &[&Value], name| median(values.iter().map(|value| phase(value, name)).collect());
        Ok(vec![
            milliseconds("A to B", self.forth()?),
            milliseconds("A to B: A to rest", of(&self.visits, "quiesce")?),
            milliseconds("A to B: A's pages out", of(&self.visits, "enter")?),
            milliseconds("A to B: B's pages in", of(&self.returns, "leave")?),
            milliseconds("A to B: B back to work", of(&self.returns, "resume")?),
            milliseconds("B to A", self.back()?),
            milliseconds("B to A: B to rest", of(&self.returns, "quiesce")?),
            milliseconds("B to A: B leaves", of(&self.returns, "enter")?),
            milliseconds("B to A: A's pages in", of(&self.visits, "leave")?),
            milliseconds("B to A: A back to work", of(&self.visits, "resume")?),
        ])
    }
}

/// Milliseconds from one kernel's call until the other continues.
fn way(from: &Value, to: &Value) -> f64 {
    phase(from, "quiesce") + phase(from, "enter") + phase(to, "leave") + phase(to, "resume")
}

/// Milliseconds.
fn phase(phases: &Value, name: &str) -> f64 {
    phases[name].as_f64().unwrap_or(f64::NAN) / 1e3
}

fn milliseconds(name: &str, value: f64) -> Figure {
    Figure { name: name.into(), value, unit: "ms".into() }
}

fn times(name: &str, value: f64) -> Figure {
    Figure { name: name.into(), value, unit: "times".into() }
}

fn numbers<'a>(report: &'a [Value], place: &str) -> Vec<&'a Value> {
    report.iter().filter_map(|value| value.pointer(place)).collect()
}

fn median(mut numbers: Vec<f64>) -> Result<f64> {
    numbers.sort_by(f64::total_cmp);
    numbers.get(numbers.len() / 2).copied().context("nothing was measured")
}

/// Records A's output, and the times at which it leaves and returns.
#[derive(Default)]
struct Recorder {
    out: Vec<u8>,
    errors: String,
    left: Vec<Instant>,
    returned: Vec<Instant>,
}

impl Recorder {
    fn turns(&self) -> Vec<f64> {
        self.left
            .iter()
            .zip(&self.returned)
            .map(|(left, returned)| (*returned - *left).as_secs_f64())
            .collect()
    }
}

impl Listener for Recorder {
    fn out(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.extend_from_slice(bytes);
        let text = String::from_utf8_lossy(bytes);
        self.returned
            .extend(text.contains("\"ending\"").then(Instant::now).filter(|_| !self.left.is_empty()));
        self.left.extend(text.contains("leaving").then(Instant::now));
        Ok(())
    }

    fn err(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.errors += &String::from_utf8_lossy(bytes);
        Ok(())
    }

    fn note(&mut self, _: &str) {}
}
