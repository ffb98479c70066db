//! A line on standard error for what takes longer than people like to wait in the dark.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What is under way; the line goes away with it.
pub(crate) struct Progress {
    done: Arc<AtomicU64>,
    printer: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Progress {
    /// Something with this name, in so many steps; it is shown if it takes more than two seconds and standard error is
    /// a terminal.
    pub(crate) fn start(name: String, steps: u64) -> Self {
        let done = Arc::new(AtomicU64::new(0));
        let printer = io::stderr().is_terminal().then(|| {
            let (stop, stopped) = mpsc::channel();
            let counter = Arc::clone(&done);
            let print = move || {
                let start = Instant::now();
                let mut wait = Duration::from_secs(2);
                while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                    wait = Duration::from_millis(500);
                    show(&line(&name, counter.load(Ordering::Relaxed), steps, start.elapsed()));
                }
                show("");
            };
            (stop, std::thread::spawn(print))
        });
        Self { done, printer }
    }

    /// Says that one more step is done.
    pub(crate) fn step(&self) {
        self.steps(1);
    }

    /// Says that so many more steps are done.
    pub(crate) fn steps(&self, steps: u64) {
        self.done.fetch_add(steps, Ordering::Relaxed);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((stop, printer)) = self.printer.take() {
            drop(stop);
            // It only prints; if that failed, what was under way is not worse for it.
            let _ = printer.join();
        }
    }
}

/// Puts a text in place of the line.
fn show(text: &str) {
    let mut output = io::stderr().lock();
    // A line that cannot be printed is not worth an error.
    let _ = write!(output, "\r\x1b[K{text}");
    let _ = output.flush();
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_tells_how_much_is_left() {
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
