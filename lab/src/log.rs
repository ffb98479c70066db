//! The directory of a run, and the evaluation of its serial log.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{Error, Result};

/// The message of a kernel that has booted.
const FIRST_PROCESS: &str = "Run /init as init process";
/// Lines of a log that an error message shows.
const TAIL_LINES: usize = 40;

/// One run's directory: `serial.log`, `emulator.log`, and the initramfs or the CD while it is
/// needed.
pub(crate) struct RunDir {
    dir: PathBuf,
}

impl RunDir {
    /// Creates a new directory.
    pub(crate) fn create(runs: &Path, kernel: &str) -> Result<Self> {
        fs::create_dir_all(runs).map_err(Error::file("create", runs))?;
        remove_old(runs);
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let mut turn = 0;
        loop {
            let dir = runs.join(format!("{kernel}-{time}-{}.{turn}", std::process::id()));
            match fs::create_dir(&dir) {
                Ok(()) => return Ok(Self { dir }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => turn += 1,
                Err(error) => return Err(Error::file("create", &dir)(error)),
            }
        }
    }

    pub(crate) fn serial(&self) -> PathBuf {
        self.dir.join("serial.log")
    }

    /// The messages of QEMU or Bochs itself.
    pub(crate) fn emulator(&self) -> PathBuf {
        self.dir.join("emulator.log")
    }

    /// The bytes of the agent, where a port of the machine writes to a file.
    pub(crate) fn agent(&self) -> PathBuf {
        self.dir.join("agent.line")
    }

    /// The CD, where the machine boots from one.
    pub(crate) fn iso(&self) -> PathBuf {
        self.dir.join("boot.iso")
    }

    /// Another file of the run.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn initramfs(&self) -> PathBuf {
        self.dir.join("initramfs.cpio")
    }

    /// The whole serial log.
    pub(crate) fn log(&self) -> String {
        text(&self.serial())
    }

    /// The end of the serial log, and the messages of the emulator itself.
    pub(crate) fn tail(&self) -> String {
        let complaints = text(&self.emulator());
        let serial = self.log();
        let lines: Vec<_> = serial.lines().collect();
        let last = lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n");
        let emulator = if complaints.is_empty() {
            String::new()
        } else {
            format!("\nthe emulator printed: {}", complaints.trim_end())
        };
        format!("--- the end of {}:\n{last}{emulator}", self.serial().display())
    }

    /// Why a machine stopped, by its log.
    pub(crate) fn reason_of_end(&self) -> String {
        let serial = self.log();
        let panic = serial.lines().rev().find_map(|line| line.split_once("Kernel panic - "));
        match panic {
            Some((_, why)) => format!("kernel panic, {why}"),
            None if serial.contains("reboot: Power down") => "it powered off".to_owned(),
            None if serial.contains("reboot: Restarting system") => "it rebooted".to_owned(),
            None if serial.is_empty() => "the emulator ended before the kernel printed anything".to_owned(),
            None => "reset without a panic (a triple fault, or a reset by firmware)".to_owned(),
        }
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        // Tens of megabytes of no further use. It may be missing, if it was never written.
        for file in [self.initramfs(), self.iso()] {
            let _ = fs::remove_file(file);
        }
    }
}

/// Removes logs that are older than a week.
fn remove_old(runs: &Path) {
    const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
    for entry in fs::read_dir(runs).into_iter().flatten().flatten() {
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let old = modified.is_ok_and(|time| time.elapsed().is_ok_and(|age| age > WEEK));
        if old && entry.path().join("serial.log").exists() {
            // Another process may remove it at the same time.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// The lines of a kernel log that report a fault which the kernel survived, except one of stock
/// kernels themselves: see `is_early_reseed`. Lines before the first kernel starts its first
/// process do not count: kjump has not run then, and they come from a busy host that keeps the
/// kernel waiting.
#[must_use]
pub fn complaints(serial: &str) -> Vec<&str> {
    const SIGNS: [&str; 9] = [
        "WARNING: CPU",
        "WARNING: possible",
        "BUG:",
        "Oops:",
        "general protection fault",
        "Call Trace:",
        "INFO: task ",
        "rcu: INFO:",
        "nobody cared",
    ];
    let since_init = serial.split_once(FIRST_PROCESS).map_or(serial, |(_, after)| after);
    let lines = reports(since_init).into_iter().filter(|report| !is_early_reseed(report)).flatten();
    lines.filter(|line| SIGNS.iter().any(|sign| line.contains(sign))).collect()
}

/// The log in parts: each report from `cut here` to `end trace` is one, and so is each stretch
/// between them.
fn reports(serial: &str) -> Vec<Vec<&str>> {
    let mut parts = vec![Vec::new()];
    for line in serial.lines() {
        if line.contains("[ cut here ]") {
            parts.push(Vec::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push(line);
        }
        if line.contains("[ end trace ") {
            parts.push(Vec::new());
        }
    }
    parts
}

/// In the first two minutes after boot the kernel reseeds its random numbers every few seconds, for
/// which it reads the clock. If one is requested while the clocks are suspended, as by ACPI's
/// allocations, the kernel warns. This is harmless, and an ordinary suspend to RAM does it too.
fn is_early_reseed(report: &[&str]) -> bool {
    let count = |sign: &str| report.iter().filter(|line| line.contains(sign)).count();
    let trace = report.iter().skip_while(|line| !line.contains("Call Trace:")).skip(1);
    let caller = trace.into_iter().find(|line| !line.contains(" ? ") && line.contains("+0x"));
    count("WARNING: CPU") == 1
        && count("Call Trace:") == 1
        && report.iter().any(|line| line.contains("WARNING: CPU") && line.contains(" ktime_get_seconds+"))
        && caller.is_some_and(|line| line.contains(" crng_make_state+"))
        && report.last().is_some_and(|line| line.contains("[ end trace "))
        && ["BUG:", "Oops:", "general protection fault", "INFO: task ", "rcu: INFO:", "WARNING: possible"]
            .iter()
            .all(|sign| count(sign) == 0)
}

/// A log as text, with invalid UTF-8 replaced.
pub(crate) fn text(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_a_complaint_and_a_message_is_not() {
        let log =
            "[1.0] Linux version 6.1\n[2.0] WARNING: CPU: 0 PID: 1 at kernel/x.c:1\n[3.0] debug: fine\n";
        assert_eq!(complaints(log), ["[2.0] WARNING: CPU: 0 PID: 1 at kernel/x.c:1"]);
    }

    #[test]
    fn only_the_first_boot_is_not_ours() {
        let stall = "[25.4] rcu: INFO: rcu_preempt self-detected stall on CPU\n";
        let booted = "[26.0] Run /init as init process\n";
        assert_eq!(complaints(&format!("{stall}{booted}")), [""; 0]);
        assert_eq!(complaints(&format!("{stall}{booted}{stall}{booted}")), [stall.trim_end()]);
        assert_eq!(complaints(stall), [stall.trim_end()]);
    }

    const RESEED: &str = "[6.1] ------------[ cut here ]------------
[6.1] WARNING: CPU: 0 PID: 88 at kernel/time/timekeeping.c:975 ktime_get_seconds+0x3a/0x40
[6.1] RIP: 0010:ktime_get_seconds+0x3a/0x40
[6.1] Call Trace:
[6.1]  <TASK>
[6.1]  crng_make_state+0x5c/0x160
[6.1]  get_random_u32+0x80/0xf0
[6.1]  </TASK>
[6.1] ---[ end trace 0000000000000000 ]---
";

    #[test]
    fn a_reseed_while_clocks_are_suspended_is_no_complaint() {
        assert_eq!(complaints(&format!("[1.0] before\n{RESEED}[7.0] after\n{RESEED}")), [""; 0]);
    }

    #[test]
    fn any_difference_from_it_is_a_complaint() {
        for (what, instead) in [
            ("crng_make_state", "timespec64_add"),
            (" crng_make_state", " ? crng_make_state"),
            (
                "WARNING: CPU: 0 PID: 88 at kernel/time/timekeeping.c:975 ktime_get_seconds",
                "WARNING: CPU: 0 at x",
            ),
            ("</TASK>", "BUG: unable to handle page fault"),
            ("[6.1] ---[ end trace 0000000000000000 ]---\n", ""),
        ] {
            let log = RESEED.replace(what, instead);
            assert!(log != RESEED && !complaints(&log).is_empty(), "{log}");
        }
    }

    #[test]
    fn other_reports_next_to_it_are_complaints() {
        let log = format!("[5.0] rcu: INFO: stall\n{RESEED}[7.0] BUG: bad page state\n");
        assert_eq!(complaints(&log), ["[5.0] rcu: INFO: stall", "[7.0] BUG: bad page state"]);
    }
}
