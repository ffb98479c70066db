//! Tests that run in virtual machines, written as stories of a few lines.
//!
//! A story is a function that is passed the name of a kernel, starts machines by
//! [`stage::vm`](crate::stage::vm), and panics or returns an error if a check fails.
//! [`stories!`](crate::stories) lists the stories of a chapter. `cargo xtask test vm` fetches
//! kernels, builds the product and runs every story. A plain `cargo test` has neither and skips the
//! stories.

use std::collections::BTreeSet;
use std::env;
use std::process::ExitCode;

use crate::Result;
use crate::stage::INVENTORY;

/// The kernels that every story should pass on.
pub const EVERY: &[&str] = &["6.1", "6.12"];
/// With a kernel of Debian's next release, for what depends on the kernel's version.
pub const WITH_NEWEST: &[&str] = &["6.1", "6.12", "newest-backport"];
/// Debian unstable's kernel and the real-time kernels, for the same stories when there is time.
pub const OTHERS: &[&str] = &["newest", "6.1-rt", "6.12-rt"];
/// The kernels of [`EVERY`] with all drivers.
pub const FULL: &[&str] = &["6.1-full", "6.12-full"];
/// Pairs of kernels: the running one, and one that is booted from it.
pub const PAIRS: &[&str] = &["6.1+6.1", "6.12+6.12", "6.1+6.12", "6.12+6.1"];

/// The stories of a chapter: `KERNELS => FUNCTION`, or `KERNELS, WHEN => FUNCTION` for a story that
/// the ordinary test leaves out ([`long`](crate::story::Story::long)), or runs on only one of its
/// kernels ([`first`](crate::story::Story::first) and [`last`](crate::story::Story::last)). The
/// name of a story is the name of its function.
#[macro_export]
macro_rules! stories {
    ($($kernels:expr $(, $when:ident)? => $name:ident),+ $(,)?) => {
        &[$($crate::story::Story::new(stringify!($name), $kernels, $name)$(.$when())?),+]
    };
}

/// One story.
pub struct Story {
    name: &'static str,
    kernels: &'static [&'static str],
    when: When,
    run: fn(&str) -> Result<()>,
}

/// On which of its kernels the ordinary test runs a story. With `--soak` it runs on all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum When {
    Always,
    First,
    Last,
    Never,
}

impl Story {
    /// A story that runs on each of these kernels; [`stories!`](crate::stories) calls this.
    #[must_use]
    pub const fn new(
        name: &'static str,
        kernels: &'static [&'static str],
        run: fn(&str) -> Result<()>,
    ) -> Self {
        Self { name, kernels, when: When::Always, run }
    }

    /// A story that takes minutes: only `cargo xtask test --soak` runs it.
    #[must_use]
    pub const fn long(self) -> Self {
        Self { when: When::Never, ..self }
    }

    /// A story in which little depends on the kernel's version: the ordinary test runs it on the
    /// first of its kernels.
    #[must_use]
    pub const fn first(self) -> Self {
        Self { when: When::First, ..self }
    }

    /// As [`Self::first`], but on the last of its kernels, so that both are about as often tested.
    #[must_use]
    pub const fn last(self) -> Self {
        Self { when: When::Last, ..self }
    }

    /// Whether only `cargo xtask test --soak` runs it on this kernel.
    fn is_long_on(&self, kernel: &str) -> bool {
        match self.when {
            When::Always => false,
            When::First => self.kernels.first() != Some(&kernel),
            When::Last => self.kernels.last() != Some(&kernel),
            When::Never => true,
        }
    }
}

/// The `main` of a program of stories. `--list` prints their names, `NAME KERNEL` runs one.
#[must_use]
pub fn main(chapters: &[&[Story]]) -> ExitCode {
    let stories = || chapters.iter().copied().flatten();
    if let Some(name) = repeated(stories()) {
        eprintln!("two stories have the name {name} on the same kernel");
        return ExitCode::FAILURE;
    }
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        _ if env::var_os(INVENTORY).is_none() => skip(stories().count()),
        ["--list"] => list(stories()),
        [name, kernel] => match stories().find(|story| story.name == name && story.kernels.contains(&kernel))
        {
            Some(story) => run(story, kernel),
            None => unknown(name, kernel),
        },
        _ => unknown("", ""),
    }
}

/// The first name that two stories have on one kernel: `NAME KERNEL` could not select one of them.
fn repeated<'a>(stories: impl Iterator<Item = &'a Story>) -> Option<&'static str> {
    let mut steps = BTreeSet::new();
    let mut named = stories.flat_map(|story| story.kernels.iter().map(|kernel| (story.name, *kernel)));
    named.find(|step| !steps.insert(*step)).map(|(name, _)| name)
}

fn skip(count: usize) -> ExitCode {
    println!("{count} stories skipped: they need virtual machines; `cargo xtask test vm` runs them");
    ExitCode::SUCCESS
}

fn list<'a>(stories: impl Iterator<Item = &'a Story>) -> ExitCode {
    for story in stories {
        for kernel in story.kernels {
            println!("{} {kernel} {}", story.name, if story.is_long_on(kernel) { "long" } else { "short" });
        }
    }
    ExitCode::SUCCESS
}

fn run(story: &Story, kernel: &str) -> ExitCode {
    match (story.run)(kernel) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let causes =
                std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
            eprintln!("{}", causes.map(ToString::to_string).collect::<Vec<_>>().join(": "));
            ExitCode::FAILURE
        }
    }
}

fn unknown(name: &str, kernel: &str) -> ExitCode {
    eprintln!("no story {name:?} on {kernel:?}; --list prints their names");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_story(_: &str) -> Result<()> {
        Ok(())
    }

    fn another_story(_: &str) -> Result<()> {
        Ok(())
    }

    fn a_third_story(_: &str) -> Result<()> {
        Ok(())
    }

    const STORIES: &[Story] = stories! {
        EVERY => a_story,
        &["6.1"], long => another_story,
        WITH_NEWEST, last => a_third_story,
    };

    #[test]
    fn a_story_is_named_after_its_function() {
        let names: Vec<_> = STORIES.iter().map(|story| (story.name, story.kernels)).collect();
        let expected = [("a_story", EVERY), ("another_story", &["6.1"][..]), ("a_third_story", WITH_NEWEST)];
        assert_eq!(names, expected);
    }

    #[test]
    fn the_ordinary_test_leaves_out_what_is_long_and_other_kernels() {
        let long = |story: &Story| -> Vec<_> {
            story.kernels.iter().copied().filter(|kernel| story.is_long_on(kernel)).collect()
        };
        assert_eq!(STORIES.iter().map(long).collect::<Vec<_>>(), [vec![], vec!["6.1"], vec!["6.1", "6.12"]]);
        assert_eq!(long(&Story::new("a_story", EVERY, a_story).first()), ["6.12"]);
    }

    #[test]
    fn a_repeated_name_is_found() {
        assert_eq!(repeated(STORIES.iter()), None);
        assert_eq!(repeated(STORIES.iter().chain(&STORIES[1..2])), Some("another_story"));
    }
}
