//! Parses the command line into an [`Action`]. Nothing is read or done here.

mod effects;

use std::ffi::{OsStr, OsString};

use clap::Args;

use super::getopt::{Item, items};
use super::options::{Id, Opt};
use super::request::Action;
use super::trouble::Trouble;
use crate::kernel::file::Kind;
use effects::Parsed;

/// Act as kexec; implied when invoked as `kexec`
#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub(crate) struct KexecArgs {
    /// See `kjump kexec --help`
    #[arg(value_name = "ARG", trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) arguments: Vec<OsString>,
}

/// What these arguments ask for.
pub(super) fn read(arguments: &[OsString]) -> Result<Action, Trouble> {
    let (items, end) = items(arguments);
    let mut parsed = Parsed::default();
    for item in &items {
        match item {
            // Scripts pass empty variables in quotes.
            Item::Operand(operand) if operand.as_encoded_bytes().trim_ascii().is_empty() => {}
            Item::Operand(operand) => parsed.operands.push(operand.clone()),
            Item::Option(Opt { id: Id::Help, .. }, _) => {
                return Ok(Action::Help { all: items.contains(&Item::Operand("all".into())) });
            }
            Item::Option(Opt { id: Id::Version, .. }, _) => return Ok(Action::Version),
            Item::Option(Opt { id: Id::PrintCrashSize, .. }, _) => return Ok(Action::PrintCrashSize),
            Item::Option(option, value) => parsed.apply(option, value)?,
        }
    }
    end.map_err(Trouble::Usage)?;
    parsed.action()
}

/// The error for a value that an option does not take.
fn bad_value(option: &Opt, value: &OsStr) -> Trouble {
    Trouble::Usage(format!("Bad option value in --{}={}", option.long, value.display()))
}

/// A format by kexec-tools' name.
fn kind_named(name: &str) -> Result<Kind, String> {
    Ok(match name {
        "bzImage64" => Kind::BzImage64,
        "bzImage" => Kind::BzImage,
        "elf-x86_64" => Kind::Elf64,
        "elf-x86" => Kind::Elf32,
        "multiboot-x86" => Kind::Multiboot1,
        "multiboot2-x86" => Kind::Multiboot2,
        "uki" => Kind::Uki,
        "nbi-x86" | "beoboot-x86" => {
            return Err(format!("{name} is an obsolete format that is not supported"));
        }
        _ => {
            return Err(format!(
                "Unsupported type {name}; expected bzImage64, bzImage, elf-x86_64, elf-x86, multiboot2-x86, \
                 multiboot-x86 or uki"
            ));
        }
    })
}

#[cfg(test)]
mod tests;
