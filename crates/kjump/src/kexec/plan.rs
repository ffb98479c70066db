//! From words to what is to be done. Nothing is done here.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use super::getopt::{Item, items};
use super::options::{Id, Opt};
use crate::number;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Action {
    Help,
    Version,
    Status(Slot),
    Unload,
    Load(Load),
    Execute { debug: bool },
}

/// What `--status` asks about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slot {
    Normal,
    Crash,
}

/// What is to be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Load {
    pub(super) file: PathBuf,
    pub(super) entry: Option<u64>,
    /// First and last byte of memory that the image may use.
    pub(super) window: Option<(u64, u64)>,
    pub(super) debug: bool,
}

/// Why it is not done.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The words are wrong, or not for this kexec.
    Words(String),
    /// Something failed.
    Failed(anyhow::Error),
}

impl Trouble {
    /// Something that kexec-tools does.
    pub(super) fn later(what: &str) -> Self {
        Self::Words(format!(
            "{what}: not done by this kexec, which loads images that are called and return \
             (--load-preserve-context --args-none FILE)"
        ))
    }

    /// As kexec-tools has it.
    pub(super) fn nothing_loaded() -> Self {
        Self::Words("Nothing has been loaded!".into())
    }

    pub(super) fn text(&self) -> String {
        match self {
            Self::Words(text) => text.clone(),
            Self::Failed(error) => format!("{error:#}"),
        }
    }

    /// The exit status, as kexec-tools has it.
    pub(super) const fn status(&self) -> u8 {
        match self {
            Self::Words(_) => 1,
            Self::Failed(_) => 255,
        }
    }
}

impl From<anyhow::Error> for Trouble {
    fn from(error: anyhow::Error) -> Self {
        Self::Failed(error)
    }
}

/// What the options say so far; the last word counts.
#[derive(Default)]
struct Said {
    load: Option<LoadKind>,
    /// Whether it is about the crash kernel.
    crash: bool,
    exec: bool,
    unload: bool,
    status: bool,
    args_none: bool,
    debug: bool,
    entry: Option<u64>,
    mem_min: Option<u64>,
    mem_max: Option<u64>,
    files: Vec<PathBuf>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum LoadKind {
    Normal,
    PreserveContext,
}

/// What these words ask for.
pub(super) fn plan(words: &[OsString]) -> Result<Action, Trouble> {
    let mut said = Said::default();
    for item in items(words).map_err(Trouble::Words)? {
        match item {
            Item::Word(word) => said.files.push(word.into()),
            Item::Option(Opt { id: Id::Help, .. }, _) => return Ok(Action::Help),
            Item::Option(Opt { id: Id::Version, .. }, _) => return Ok(Action::Version),
            Item::Option(option, value) => said.hear(option, &value)?,
        }
    }
    said.action()
}

impl Said {
    fn hear(&mut self, option: &Opt, value: &OsStr) -> Result<(), Trouble> {
        match option.id {
            Id::Load => self.will_load(LoadKind::Normal),
            Id::LoadPanic => {
                self.will_load(LoadKind::Normal);
                self.crash = true;
            }
            Id::LoadPreserveContext => {
                self.will_load(LoadKind::PreserveContext);
                self.crash = false;
            }
            Id::Exec => (self.load, self.exec) = (None, true),
            Id::Unload => (self.load, self.unload) = (None, true),
            Id::Status => self.status = true,
            Id::ArgsNone => self.args_none = true,
            Id::Debug => self.debug = true,
            Id::Entry => self.entry = Some(address(option, value)?),
            Id::MemMin => self.mem_min = Some(address(option, value)?),
            Id::MemMax => self.mem_max = Some(address(option, value)?),
            Id::Help | Id::Version | Id::Granted => {}
            Id::Later => return Err(Trouble::later(&format!("--{}", option.long))),
        }
        Ok(())
    }

    /// The kinds of load replace each other, and what was to be run.
    fn will_load(&mut self, kind: LoadKind) {
        (self.load, self.exec) = (Some(kind), false);
    }

    fn action(mut self) -> Result<Action, Trouble> {
        if self.status {
            let normal = self.load.is_some() && !self.crash;
            return Ok(Action::Status(if normal { Slot::Normal } else { Slot::Crash }));
        }
        match (self.load, self.files.as_slice()) {
            _ if self.crash => Err(Trouble::later("--load-panic")),
            _ if self.unload => Ok(Action::Unload),
            (Some(LoadKind::Normal), _) => Err(Trouble::later("--load")),
            (Some(LoadKind::PreserveContext), _) if !self.args_none => Err(Trouble::later(
                "--load-preserve-context without --args-none (with a purgatory, for kernels)",
            )),
            (Some(LoadKind::PreserveContext), [_]) => self.load(),
            (Some(LoadKind::PreserveContext), []) => {
                Err(Trouble::Failed(anyhow::anyhow!("no file to load is named")))
            }
            (Some(LoadKind::PreserveContext), [_, second, ..]) => {
                Err(Trouble::Words(format!("one file is loaded, and {} is another", second.display())))
            }
            (None, [file, ..]) if self.exec => {
                Err(Trouble::Words(format!("--exec runs what is loaded; {} is not", file.display())))
            }
            (None, _) if self.exec => Ok(Action::Execute { debug: self.debug }),
            (None, []) => Err(Trouble::Words("nothing to do; --help tells what there is".into())),
            (None, _) => Err(Trouble::later("load and reboot (no option)")),
        }
    }

    fn load(&mut self) -> Result<Action, Trouble> {
        let window = match (self.mem_min, self.mem_max) {
            (Some(_), None) => return Err(Trouble::Words("--mem-min needs --mem-max".into())),
            (_, None) => None,
            (min, Some(max)) => {
                let min = min.unwrap_or(0);
                if min > max {
                    return Err(Trouble::Words(format!("--mem-min {min:#x} is above --mem-max {max:#x}")));
                }
                Some((min, max))
            }
        };
        let file = self.files.pop().unwrap_or_default();
        Ok(Action::Load(Load { file, entry: self.entry, window, debug: self.debug }))
    }
}

fn address(option: &Opt, value: &OsStr) -> Result<u64, Trouble> {
    let number = value.to_str().ok_or_else(|| format!("{value:?} is no number")).and_then(number::unsigned);
    number.map_err(|text| Trouble::Words(format!("--{}: {text}", option.long)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> String {
        let words: Vec<OsString> =
            line.split(' ').filter(|word| !word.is_empty()).map(OsString::from).collect();
        match plan(&words) {
            Ok(action) => format!("{action:x?}"),
            Err(trouble) => format!("{}: {}", trouble.status(), trouble.text()),
        }
    }

    #[test]
    fn words_become_what_kexec_tools_would_do_or_a_refusal() {
        let lines = [
            "--load-preserve-context --args-none phy_mode",
            "--load-preserve-context phy_mode --args-none --entry 0x1000 -d",
            "-c --load-pres --args-none --mem-min=0x100000 --mem-max 0xffffff phy_mode",
            "--load-preserve-context --args-none --mem-max=0xffffff phy_mode",
            "-e",
            "--exec -d -x -y",
            "-u",
            "-S",
            "-S -l",
            "-lS",
            "-S -p",
            "-S --load-preserve-context",
            "-h --foo",
            "-e -h",
            "-v",
            "--load-preserve-context --args-none a -e",
            "-e --load-preserve-context --args-none a",
            "",
            "vmlinuz",
            "-l vmlinuz",
            "-l vmlinuz --initrd=i",
            "-p vmlinuz",
            "-p -u",
            "-f vmlinuz",
            "-s -u",
            "-e vmlinuz",
            "-t elf-x86 -e",
            "--load-preserve-context phy_mode",
            "--load-preserve-context --args-none",
            "--load-preserve-context --args-none a b",
            "--load-preserve-context --args-none a --mem-min 5",
            "--load-preserve-context --args-none a --mem-min 5 --mem-max 4",
            "--load-preserve-context --args-none a --entry x",
            "--load-jump-back-helper --entry=0x1000",
            "--foo",
        ];
        let text: Vec<String> = lines.iter().map(|line| format!("kexec {line}\n  {}\n", of(line))).collect();
        insta::assert_snapshot!(text.concat());
    }
}
