//! From words to what is to be done. Nothing is done here.

mod said;

use std::ffi::{OsStr, OsString};

use clap::Args;

use super::getopt::{Item, items};
use super::options::{Id, Opt};
use super::request::Action;
use super::trouble::Trouble;
use crate::kernel::file::Kind;
use said::Said;

/// Take the words of kexec-tools' kexec; also done when called by that name
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct KexecArgs {
    /// See `kjump kexec --help`
    #[arg(value_name = "WORD", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}

/// What these words ask for.
pub(super) fn read(words: &[OsString]) -> Result<Action, Trouble> {
    let (items, end) = items(words);
    let mut said = Said::default();
    for item in &items {
        match item {
            Item::Word(word) => said.words.push(word.clone()),
            Item::Option(Opt { id: Id::Help, .. }, _) => {
                return Ok(Action::Help { all: items.contains(&Item::Word("all".into())) });
            }
            Item::Option(Opt { id: Id::Version, .. }, _) => return Ok(Action::Version),
            Item::Option(Opt { id: Id::PrintCrashSize, .. }, _) => return Ok(Action::PrintCrashSize),
            Item::Option(option, value) => said.hear(option, value)?,
        }
    }
    end.map_err(Trouble::Words)?;
    said.action()
}

/// An error of getopt's kind for a value that is none.
fn bad_value(option: &Opt, value: &OsStr) -> Trouble {
    Trouble::Words(format!("Bad option value in --{}={}", option.long, value.display()))
}

/// A format by the name that kexec-tools has for it.
fn kind_named(name: &str) -> Result<Kind, String> {
    Ok(match name {
        "bzImage64" => Kind::BzImage64,
        "bzImage" => Kind::BzImage,
        "elf-x86_64" => Kind::Elf64,
        "elf-x86" => Kind::Elf32,
        "multiboot-x86" => Kind::Multiboot1,
        "multiboot2-x86" => Kind::Multiboot2,
        "uki" => Kind::Uki,
        "nbi-x86" | "beoboot-x86" => return Err(format!("{name} is a format that is no longer loaded")),
        _ => {
            return Err(format!(
                "Unsupported type {name}; there are bzImage64, bzImage, elf-x86_64, elf-x86, multiboot2-x86, \
                 multiboot-x86 and uki"
            ));
        }
    })
}

#[cfg(test)]
mod tests;
