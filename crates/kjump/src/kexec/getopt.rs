//! Parsing as by `getopt_long(3)`: options and operands in any order, long options abbreviated as
//! long as they are unique, `--option VALUE` and `--option=VALUE`, bundled short options. An
//! optional value needs the `=`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::options::{OPTIONS, Opt};

/// A parsed argument.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// An option, and its value if it takes one.
    Option(&'static Opt, OsString),
    /// An argument that is not an option.
    Operand(OsString),
}

/// The parsed arguments in their order, up to the first wrong one, and for that the message of
/// `getopt_long(3)`.
pub(super) fn items(arguments: &[OsString]) -> (Vec<Item>, Result<(), String>) {
    let mut items = Vec::new();
    let end = read(arguments, &mut items);
    (items, end)
}

fn read(arguments: &[OsString], items: &mut Vec<Item>) -> Result<(), String> {
    let mut rest = arguments.iter();
    while let Some(argument) = rest.next() {
        match argument.as_bytes() {
            b"--" => {
                items.extend(rest.cloned().map(Item::Operand));
                break;
            }
            [b'-', b'-', long @ ..] => items.push(long_option(long, &mut rest)?),
            [b'-', bundle @ ..] if !bundle.is_empty() => bundled(bundle, &mut rest, items)?,
            _ => items.push(Item::Operand(argument.clone())),
        }
    }
    Ok(())
}

fn long_option<'a>(text: &[u8], rest: &mut impl Iterator<Item = &'a OsString>) -> Result<Item, String> {
    let (name, value) = match text.iter().position(|&byte| byte == b'=') {
        Some(at) => {
            let (name, value) = text.split_at(at);
            (name, value.get(1..).map(|value| OsString::from_vec(value.to_vec())))
        }
        None => (text, None),
    };
    let name = OsStr::from_bytes(name).to_string_lossy();
    let option = find_long(&name)?;
    match (option.value, value) {
        (None, None) => Ok(Item::Option(option, OsString::new())),
        (None, Some(_)) => Err(format!("option '--{}' doesn't allow an argument", option.long)),
        (Some(_), Some(value)) => Ok(Item::Option(option, value)),
        (Some(_), None) if option.optional => Ok(Item::Option(option, OsString::new())),
        (Some(_), None) => match rest.next() {
            Some(value) => Ok(Item::Option(option, value.clone())),
            None => Err(format!("option '--{}' requires an argument", option.long)),
        },
    }
}

/// The option of this name, or the only one whose name starts with it.
fn find_long(name: &str) -> Result<&'static Opt, String> {
    if let Some(exact) = OPTIONS.iter().find(|option| option.long == name) {
        return Ok(exact);
    }
    let beginning = |option: &&'static Opt| option.long.starts_with(name);
    let mut candidates: Vec<&Opt> =
        OPTIONS.iter().filter(|option| option.is_theirs()).filter(beginning).collect();
    // kjump's own options do not make abbreviations of kexec-tools' options ambiguous.
    if candidates.is_empty() {
        candidates = OPTIONS.iter().filter(beginning).collect();
    }
    match candidates.as_slice() {
        [] => Err(format!("unrecognized option '--{name}'{}", meant(name))),
        [only] => Ok(only),
        // Two names of the same option are not ambiguous.
        [first, others @ ..]
            if others.iter().all(|other| first.same_as.is_some() && other.same_as == first.same_as) =>
        {
            Ok(first)
        }
        many => {
            let names: Vec<String> = many.iter().map(|option| format!("'--{}'", option.long)).collect();
            Err(format!("option '--{name}' is ambiguous; possibilities: {}", names.join(" ")))
        }
    }
}

/// A question for the option whose name begins most alike.
fn meant(name: &str) -> String {
    /// Fewer common letters are chance.
    const LEAST: usize = 4;
    let common = |option: &Opt| option.long.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
    let alike = OPTIONS.iter().rev().max_by_key(|option| common(option));
    alike.filter(|option| common(option) >= LEAST).map_or_else(
        || "; see `kexec --help`".into(),
        |option| format!("; did you mean '--{}'?", option.long),
    )
}

fn bundled<'a>(
    bundle: &[u8],
    rest: &mut impl Iterator<Item = &'a OsString>,
    items: &mut Vec<Item>,
) -> Result<(), String> {
    for (at, &letter) in bundle.iter().enumerate() {
        let letter = char::from(letter);
        let found = OPTIONS.iter().find(|option| option.short.contains(letter) && !option.short.is_empty());
        let option = found.ok_or_else(|| format!("invalid option -- '{}'", letter.escape_default()))?;
        if option.value.is_none() {
            items.push(Item::Option(option, OsString::new()));
            continue;
        }
        let attached = bundle.get(at + 1..).filter(|value| !value.is_empty());
        let value = attached.map(|value| OsString::from_vec(value.to_vec())).or_else(|| rest.next().cloned());
        let value = value.ok_or_else(|| format!("option requires an argument -- '{letter}'"))?;
        items.push(Item::Option(option, value));
        break;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(line: &str) -> Result<String, String> {
        let arguments: Vec<OsString> =
            line.split(' ').filter(|argument| !argument.is_empty()).map(OsString::from).collect();
        let (items, end) = items(&arguments);
        end?;
        let shown = items.iter().map(|item| match item {
            Item::Option(option, value) if option.value.is_some() => {
                format!("--{}={}", option.long, value.display())
            }
            Item::Option(option, _) => format!("--{}", option.long),
            Item::Operand(operand) => operand.display().to_string(),
        });
        Ok(shown.collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn arguments_are_parsed_as_by_getopt_long() {
        for (line, items) in [
            ("-l -e", "--load --exec"),
            ("-su", "--kexec-file-syscall --unload"),
            ("-telf-x86 f", "--type=elf-x86 f"),
            ("-lt elf-x86 f", "--load --type=elf-x86 f"),
            ("f --mem-min 0x1000 --mem-max=0x2000 g", "f --mem-min=0x1000 --mem-max=0x2000 g"),
            ("--load-pres --args-n f", "--load-preserve-context --args-none f"),
            ("--load f", "--load f"),
            ("--entry= f", "--entry= f"),
            ("--init i --app x", "--initrd=i --append=x"),
            ("--initrd-a a:b --mac m", "--initrd-add=a:b --machine=m"),
            ("-e -- -l --x", "--exec -l --x"),
            ("- f", "- f"),
            ("--unl", "--unload"),
            ("--entry -e", "--entry=-e"),
            ("-?", "--help"),
            ("-l --boot-entry f", "--load --boot-entry= f"),
            ("--boot-e=f -e", "--boot-entry=f --exec"),
        ] {
            assert_eq!(read(line).as_deref(), Ok(items), "{line}");
        }
    }

    #[test]
    fn errors_have_the_text_of_getopt_long() {
        for (line, text) in [
            ("--foo", "unrecognized option '--foo'; see `kexec --help`"),
            ("--initramfs=i", "unrecognized option '--initramfs'; did you mean '--initrd'?"),
            ("--commandline=x", "unrecognized option '--commandline'; did you mean '--command-line'?"),
            ("--mem 1", "option '--mem' is ambiguous; possibilities: '--mem-min' '--mem-max'"),
            ("--help=x", "option '--help' doesn't allow an argument"),
            ("f --mem-max", "option '--mem-max' requires an argument"),
            ("-q", "invalid option -- 'q'"),
            ("-t", "option requires an argument -- 't'"),
        ] {
            assert_eq!(read(line), Err(text.to_owned()), "{line}");
        }
    }

    #[test]
    fn every_option_is_found_by_its_full_name() {
        for option in OPTIONS {
            let line = if option.value.is_some() {
                format!("--{}=1", option.long)
            } else {
                format!("--{}", option.long)
            };
            assert_eq!(read(&line), Ok(line.clone()));
        }
    }

    proptest! {
        #[test]
        fn any_arguments_are_parsed(arguments in prop::collection::vec("(--?)?[a-z=?-]{0,6}", 0..6)) {
            let _ = items(&arguments.iter().map(OsString::from).collect::<Vec<_>>());
        }
    }
}
