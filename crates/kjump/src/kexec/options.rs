//! The options of kexec-tools 2.0.32 on x86: those that are done here, and those that are known and refused.

use clap::{Arg, ArgAction, Command, ValueHint};

/// An option.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Opt {
    pub(super) long: &'static str,
    /// Letters it has, each of which will do; empty if none.
    pub(super) short: &'static str,
    /// What its value is called, if it takes one.
    pub(super) value: Option<&'static str>,
    /// The option that this is another name of, itself included.
    pub(super) same_as: Option<&'static str>,
    pub(super) id: Id,
    /// Empty for what is refused.
    pub(super) help: &'static str,
}

/// What an option does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Id {
    Help,
    Version,
    Debug,
    Load,
    LoadPanic,
    LoadPreserveContext,
    Exec,
    Unload,
    Status,
    ArgsNone,
    Entry,
    MemMin,
    MemMax,
    /// Asks for what is done, or left undone, anyway.
    Granted,
    /// Not done here so far.
    Later,
}

const fn flag(long: &'static str, short: &'static str, id: Id, help: &'static str) -> Opt {
    Opt { long, short, value: None, same_as: None, id, help }
}

const fn with_value(long: &'static str, value: &'static str, id: Id, help: &'static str) -> Opt {
    Opt { long, short: "", value: Some(value), same_as: None, id, help }
}

const fn later(long: &'static str, short: &'static str) -> Opt {
    flag(long, short, Id::Later, "")
}

const fn later_with_value(long: &'static str, value: &'static str) -> Opt {
    with_value(long, value, Id::Later, "")
}

const fn later_synonym(long: &'static str, value: &'static str, same_as: &'static str) -> Opt {
    Opt { same_as: Some(same_as), ..with_value(long, value, Id::Later, "") }
}

/// Every option of kexec-tools, so that a shortened name means what it means there.
pub(super) const OPTIONS: &[Opt] = &[
    flag("help", "h?", Id::Help, "Print this and exit"),
    flag("version", "v", Id::Version, "Print the version and exit"),
    flag("debug", "d", Id::Debug, "Print what is loaded where"),
    flag(
        "load-preserve-context",
        "",
        Id::LoadPreserveContext,
        "Load FILE to be called and to return; what was loaded before is unloaded",
    ),
    flag("args-none", "", Id::ArgsNone, "Enter FILE itself, without a purgatory before it; needed to load"),
    with_value("entry", "ADDR", Id::Entry, "Enter at this address in place of what FILE says"),
    with_value("mem-min", "ADDR", Id::MemMin, "First address of the window of --mem-max, 0 if not given"),
    with_value(
        "mem-max",
        "ADDR",
        Id::MemMax,
        "Last address of a window that FILE may use: all System RAM in it is saved around each call, and zero at first",
    ),
    flag("exec", "e", Id::Exec, "Call what is loaded; prints nothing if it returns"),
    flag("unload", "u", Id::Unload, "Unload what is loaded"),
    flag(
        "status",
        "S",
        Id::Status,
        "Exit with 1 if a crash kernel is loaded, or with --load or --load-preserve-context an image or kernel; else \
         with 0",
    ),
    flag("load", "l", Id::Load, "With --status only, so far"),
    flag("load-panic", "p", Id::LoadPanic, "With --status only, so far"),
    flag("kexec-syscall", "c", Id::Granted, "Accepted: images to call are not loaded by a system call"),
    flag("kexec-syscall-auto", "a", Id::Granted, "Accepted, likewise"),
    flag("no-ifdown", "x", Id::Granted, "Accepted: a call does not take network interfaces down"),
    flag("no-sync", "y", Id::Granted, "Accepted: a call does not need disks synchronised"),
    later("force", "f"),
    later("kexec-file-syscall", "s"),
    Opt { short: "t", ..later_with_value("type", "TYPE") },
    later("no-checks", "i"),
    later("load-jump-back-helper", ""),
    later("reuseinitrd", ""),
    later("print-ckr-size", ""),
    later("hotplug", ""),
    later("no-cma", ""),
    later("force-dtb", ""),
    later("load-live-update", ""),
    later("exec-live-update", ""),
    later("reset-vga", ""),
    later_with_value("serial", "DEVICE"),
    later_with_value("serial-baud", "RATE"),
    later("console-vga", ""),
    later("console-serial", ""),
    later("elf32-core-headers", ""),
    later("elf64-core-headers", ""),
    later("pass-memmap-cmdline", ""),
    later("noefi", ""),
    later("reuse-video-type", ""),
    later_synonym("append", "TEXT", "command-line"),
    later_synonym("command-line", "TEXT", "command-line"),
    later("reuse-cmdline", ""),
    later_synonym("initrd", "FILE", "initrd"),
    later_synonym("ramdisk", "FILE", "initrd"),
    later("args-elf", ""),
    later("args-linux", ""),
    later_with_value("module", "WORDS"),
    later("real-mode", ""),
    later("entry-32bit", ""),
    later_with_value("dtb", "FILE"),
];

/// The options of kexec that are done here, for manual pages and completions. The words themselves are read in the
/// manner of `getopt_long(3)`.
#[must_use]
pub fn command() -> Command {
    let done = OPTIONS.iter().filter(|option| option.id != Id::Later);
    Command::new("kexec")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Load an image that is called and returns, and call it, in the words of kexec-tools")
        .override_usage(
            "kexec --load-preserve-context --args-none [OPTIONS] FILE\n       kexec --exec\n       kexec --unload\n       \
             kexec --status [--load]",
        )
        .after_help(
            "Exit status: 0 done, 1 the command line is wrong or nothing is loaded, 255 failed, 3 an exception ended \
             the image.\nWhat else kexec-tools has is refused by name.",
        )
        .max_term_width(100)
        .disable_help_flag(true)
        .disable_version_flag(true)
        .args(done.map(argument))
        .arg(Arg::new("file").value_name("FILE").value_hint(ValueHint::FilePath).help("A static ELF executable"))
}

fn argument(option: &'static Opt) -> Arg {
    let mut letters = option.short.chars();
    let argument = Arg::new(option.long).long(option.long).help(option.help).short(letters.next());
    match option.value {
        Some(name) => argument.value_name(name).action(ArgAction::Set),
        None => argument.action(ArgAction::SetTrue),
    }
}

/// The text of `--help`.
pub(super) fn help() -> String {
    command().render_help().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sound() {
        command().debug_assert();
        for (index, option) in OPTIONS.iter().enumerate() {
            let others = OPTIONS.iter().skip(index + 1);
            assert!(others.clone().all(|other| other.long != option.long), "--{} twice", option.long);
            assert!(
                others.clone().all(|other| !option.short.chars().any(|letter| other.short.contains(letter)))
            );
            assert_eq!(option.help.is_empty(), option.id == Id::Later, "--{}", option.long);
        }
    }

    #[test]
    fn help_names_what_is_done_here() {
        insta::assert_snapshot!(command().term_width(100).render_help().to_string());
    }
}
