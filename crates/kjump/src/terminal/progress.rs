//! Progress of long operations, on standard error: one line that is updated, or a line every few
//! seconds in a log.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// An operation in progress. Its line is removed when it is dropped.
pub(crate) struct Progress {
    done: Arc<AtomicU64>,
    printer: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Starts an operation of `steps` steps. It is shown if it takes more than two seconds and
    /// standard error is a terminal.
    pub(crate) fn start(name: String, steps: u64) -> Self {
        let terminal = io::stderr().is_terminal();
        Self::shown(terminal.then_some(Manner::Line), move |done, elapsed| line(&name, done, steps, elapsed))
    }

    /// As [`Progress::start`], for steps of `bytes` bytes each; also shows the rate. If standard
    /// error is not a terminal, for example the console of a crash kernel or a log, it gets plain
    /// lines, some seconds apart.
    pub(crate) fn start_bytes(name: String, steps: u64, bytes: u64) -> Self {
        let manner = if io::stderr().is_terminal() { Manner::Line } else { Manner::Log };
        Self::shown(Some(manner), move |done, elapsed| {
            line(&name, done, steps, elapsed) + &rate(done.saturating_mul(bytes), elapsed)
        })
    }

    fn shown(manner: Option<Manner>, text: impl Fn(u64, Duration) -> String + Send + 'static) -> Self {
        let done = Arc::new(AtomicU64::new(0));
        let printer = manner.and_then(|manner| {
            let (stop, stopped) = mpsc::channel();
            let counter = Arc::clone(&done);
            let print = move || {
                let start = Instant::now();
                let (mut wait, again) = manner.waits();
                while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                    wait = again;
                    manner.show(&text(counter.load(Ordering::Relaxed), start.elapsed()));
                }
                manner.end();
            };
            // Without a thread for it, no progress is shown.
            Some((stop, std::thread::Builder::new().spawn(print).ok()?))
        });
        Self { done, printer }
    }

    /// Counts one more step.
    pub(crate) fn step(&self) {
        self.steps(1);
    }

    /// Counts more steps.
    pub(crate) fn steps(&self, steps: u64) {
        self.done.fetch_add(steps, Ordering::Relaxed);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, printer)) = self.printer.take() {
            drop(stop);
            // The thread only prints. A failure of it does not matter to the operation.
            let _ = printer.join();
        }
    }
}

/// How progress is shown.
#[derive(Clone, Copy)]
enum Manner {
    /// In place of the previous line.
    Line,
    /// On a new line each time.
    Log,
}

impl Manner {
    /// The time to wait before progress is shown first, and the time between later lines.
    const fn waits(self) -> (Duration, Duration) {
        match self {
            Self::Line => (Duration::from_secs(2), Duration::from_millis(500)),
            Self::Log => (Duration::from_secs(5), Duration::from_secs(5)),
        }
    }

    fn show(self, text: &str) {
        let mut output = io::stderr().lock();
        // A line that cannot be printed is not worth an error.
        let _ = match self {
            Self::Line => write!(output, "\r\x1b[K{text}"),
            Self::Log => writeln!(output, "{text}"),
        };
        let _ = output.flush();
    }

    /// Removes the line.
    fn end(self) {
        if matches!(self, Self::Line) {
            self.show("");
        }
    }
}

fn line(name: &str, done: u64, steps: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs();
    if steps <= 1 {
        return format!("{name}: {seconds} s");
    }
    let percent = u128::from(done) * 100 / u128::from(steps);
    let rest = match elapsed.as_millis() * u128::from(steps.saturating_sub(done)) / u128::from(done.max(1)) {
        _ if done == 0 => String::new(),
        milliseconds => format!(", {} s left", milliseconds.div_ceil(1000)),
    };
    format!("{name}: {done} of {steps} ({percent} %), {seconds} s{rest}")
}

fn rate(bytes: u64, elapsed: Duration) -> String {
    let microseconds = elapsed.as_micros().max(1);
    format!(", {} MB/s", u128::from(bytes) / microseconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_the_average_since_the_start() {
        assert_eq!(rate(0, Duration::ZERO), ", 0 MB/s");
        assert_eq!(rate(5_000_000_000, Duration::from_secs(10)), ", 500 MB/s");
    }

    #[test]
    fn the_line_shows_the_time_that_is_left() {
        let five = Duration::from_secs(5);
        assert_eq!(line("calls", 250, 1000, five), "calls: 250 of 1000 (25 %), 5 s, 15 s left");
        assert_eq!(line("calls", 0, 1000, five), "calls: 0 of 1000 (0 %), 5 s");
        assert_eq!(line("loading", 0, 1, five), "loading: 5 s");
        assert_eq!(
            line("calls", u64::MAX, u64::MAX, five),
            format!("calls: {0} of {0} (100 %), 5 s, 0 s left", u64::MAX)
        );
    }
}
