//! `/sys/power/suspend_stats`: at which step a suspend failed, and which device refused
//! (`kernel/power/main.c`).

use std::path::Path;

use crate::root::Root;
use crate::{Fact, Garbled};

const DIRECTORY: &str = "/sys/power/suspend_stats";

/// The steps of a suspend that the kernel counts failures of, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Tasks are frozen.
    Freeze,
    /// Drivers prepare.
    Prepare,
    /// Devices are suspended.
    Suspend,
    /// Devices that others needed until then are suspended.
    SuspendLate,
    /// The last devices are suspended, with interrupts off.
    SuspendNoirq,
}

impl Step {
    const ALL: [Self; 5] =
        [Self::Freeze, Self::Prepare, Self::Suspend, Self::SuspendLate, Self::SuspendNoirq];

    const fn counter(self) -> &'static str {
        match self {
            Self::Freeze => "failed_freeze",
            Self::Prepare => "failed_prepare",
            Self::Suspend => "failed_suspend",
            Self::SuspendLate => "failed_suspend_late",
            Self::SuspendNoirq => "failed_suspend_noirq",
        }
    }
}

/// The failures of each step since boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Failures([Option<u64>; 5]);

/// Why a suspend failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The step.
    pub step: Step,
    /// The device that refused, by the kernel's name, if it recorded one.
    pub device: Option<String>,
}

impl Failures {
    /// Reads the counters under a root directory. A counter that cannot be read is unknown.
    #[must_use]
    pub fn read(root: &Path) -> Self {
        let root = Root::new(root);
        Self(Step::ALL.map(|step| root.parse(&format!("{DIRECTORY}/{}", step.counter()), parse_count).ok()))
    }

    /// What failed since then, under the same root directory; nothing if no step is counted more
    /// often: what comes before and after the steps is not counted.
    #[must_use]
    pub fn since_then(self, root: &Path) -> Option<Cause> {
        let Self(now) = Self::read(root);
        let more = |(before, now): (&Option<u64>, &Option<u64>)| before.is_some() && now > before;
        let step = Step::ALL[self.0.iter().zip(&now).position(more)?];
        // Before the devices are put to rest the kernel notes no name, and one of an earlier time
        // is there.
        let is_noted = !matches!(step, Step::Freeze | Step::Prepare);
        let device = || Root::new(root).parse(&format!("{DIRECTORY}/last_failed_dev"), parse_device).ok();
        Some(Cause { step, device: is_noted.then(device).flatten() })
    }
}

fn parse_count(text: &str) -> Result<u64, Garbled> {
    text.trim_end().parse().map_err(|_| Garbled { line: 1, wanted: "a number of failures" })
}

/// A name of a device, which is shown to people.
fn parse_device(text: &str) -> Result<String, Garbled> {
    let name = text.trim_end();
    let is_name =
        !name.is_empty() && name.len() < 256 && name.chars().all(|c| c.is_ascii_graphic() || c == ' ');
    is_name.then(|| name.into()).ok_or(Garbled { line: 1, wanted: "the name of a device" })
}

/// The level that each suspend is only tested to, by `/sys/power/pm_test`; `None` where suspends
/// are whole.
///
/// # Errors
/// The file is missing, as in a kernel without `CONFIG_PM_DEBUG`, or cannot be read.
pub fn test_level(root: &Path) -> Fact<Option<String>> {
    Ok(parse_test_level(&Root::new(root).text("/sys/power/pm_test")?))
}

/// The level in force has brackets.
fn parse_test_level(levels: &str) -> Option<String> {
    let level = levels.split_whitespace().find_map(|word| word.strip_prefix('[')?.strip_suffix(']'))?;
    (level != "none").then(|| level.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::PathBuf;

    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Self {
            let root = std::env::temp_dir().join(format!("kjump-suspend-{name}-{}", std::process::id()));
            fs::create_dir_all(root.join(&DIRECTORY[1..])).expect("a temporary directory");
            let directory = Self(root);
            for step in Step::ALL {
                directory.write(step.counter(), "3\n");
            }
            directory
        }

        fn write(&self, name: &str, text: &str) {
            fs::write(self.0.join(&DIRECTORY[1..]).join(name), text).expect("a file of ours");
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn the_step_that_is_counted_once_more_failed_and_its_device() {
        let directory = Directory::new("step");
        directory.write("last_failed_dev", "0000:00:03.0\n");
        let before = Failures::read(&directory.0);
        assert_eq!(before.since_then(&directory.0), None);
        directory.write("failed_suspend_late", "4\n");
        let cause = Cause { step: Step::SuspendLate, device: Some("0000:00:03.0".into()) };
        assert_eq!(before.since_then(&directory.0), Some(cause));
    }

    #[test]
    fn a_device_of_an_earlier_failure_is_not_blamed() {
        let directory = Directory::new("task");
        directory.write("last_failed_dev", "of an earlier time\n");
        let before = Failures::read(&directory.0);
        directory.write("failed_prepare", "4\n");
        assert_eq!(before.since_then(&directory.0), Some(Cause { step: Step::Prepare, device: None }));
        directory.write("failed_freeze", "4\n");
        assert_eq!(before.since_then(&directory.0), Some(Cause { step: Step::Freeze, device: None }));
    }

    #[test]
    fn the_level_that_suspends_are_tested_to_is_the_one_in_brackets() {
        let levels = "none core processors platform [devices] freezer\n";
        assert_eq!(parse_test_level(levels).as_deref(), Some("devices"));
        assert_eq!(parse_test_level("[none] core processors platform devices freezer\n"), None);
        assert_eq!(parse_test_level(""), None);
        test_level(Path::new("/nowhere")).unwrap_err();
    }

    #[test]
    fn an_unknown_count_blames_no_step() {
        let directory = Directory::new("unknown");
        directory.write("failed_suspend", "many\n");
        let before = Failures::read(&directory.0);
        directory.write("failed_suspend", "4\n");
        assert_eq!(before.since_then(&directory.0), None);
        assert_eq!(Failures::read(Path::new("/nowhere")).since_then(Path::new("/nowhere")), None);
        for text in ["", "\n", "a\u{1b}[31m\n", &"x".repeat(300)] {
            parse_device(text).unwrap_err();
        }
    }
}
