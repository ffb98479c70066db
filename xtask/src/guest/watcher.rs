//! The kernel's log of a guest with the time of each line.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use lab::Listener;

/// A line of the log.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// CPU time of the emulator at its first byte, in seconds.
    pub(crate) cpu: f64,
    /// Time of the clock at its first byte, in seconds.
    pub(crate) clock: f64,
    pub(crate) text: String,
}

/// Reads the kernel's log while it is written, and records the emulator's CPU time at each line.
#[derive(Default)]
pub(crate) struct Watcher {
    lines: Arc<Mutex<Vec<Line>>>,
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Watcher {
    /// The lines so far. Nothing is read after this.
    pub(crate) fn lines(&mut self) -> Vec<Line> {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // The thread only reads: a panic in it loses lines, which is noticed.
            let _ = thread.join();
        }
        std::mem::take(&mut self.lines.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Listener for Watcher {
    fn out(&mut self, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn err(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(&mut io::stderr().lock(), bytes)
    }

    fn note(&mut self, text: &str) {
        if let Some(path) = text.strip_prefix("the kernel log is ") {
            let (path, lines, done) = (PathBuf::from(path), Arc::clone(&self.lines), Arc::clone(&self.done));
            self.thread = Some(std::thread::spawn(move || watch(&path, &lines, &done)));
        }
    }
}

fn watch(path: &Path, lines: &Mutex<Vec<Line>>, done: &AtomicBool) {
    let start = Instant::now();
    let mut log = None;
    let mut line = Vec::new();
    let mut began = None;
    while !done.load(Ordering::Relaxed) {
        let mut fresh = Vec::new();
        if log.is_none() {
            log = File::open(path).ok();
        }
        if let Some(log) = &mut log {
            // On an error, the next iteration reads the bytes.
            let _ = log.read_to_end(&mut fresh);
        }
        if fresh.is_empty() {
            std::thread::sleep(Duration::from_millis(2));
            continue;
        }
        let now = (emulator_cpu_time(), start.elapsed().as_secs_f64());
        for byte in fresh {
            let (cpu, clock) = *began.get_or_insert(now);
            if byte != b'\n' {
                line.push(byte);
                continue;
            }
            let text = String::from_utf8_lossy(&line).into_owned();
            line.clear();
            began = None;
            lines.lock().unwrap_or_else(PoisonError::into_inner).push(Line { cpu, clock, text });
        }
    }
}

/// CPU time in seconds of the running child processes. Other work on the machine does not count.
fn emulator_cpu_time() -> f64 {
    /// `USER_HZ` of every x86 kernel.
    const TICKS: f64 = 100.0;
    let own = std::process::id().to_string();
    let mut ticks = 0.0;
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let text = std::fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        // proc(5): after the name come state and parent; the eleventh and twelfth are user and
        // system time.
        let fields: Vec<&str> =
            text.rsplit_once(") ").map_or_else(Vec::new, |(_, rest)| rest.split(' ').collect());
        if fields.get(1) == Some(&own.as_str()) {
            let times = fields.get(11..13).unwrap_or_default();
            ticks += times.iter().filter_map(|time| time.parse::<f64>().ok()).sum::<f64>();
        }
    }
    ticks / TICKS
}
