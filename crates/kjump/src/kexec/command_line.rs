//! The command line of the kernel to load, from the options. Nothing is read here.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::request::Load;

/// The command line. `running` is the running kernel's, needed for `--reuse-cmdline`; `own` is the
/// kernel file's, used where no option asks for another.
pub(super) fn of(load: &Load, running: Option<&[u8]>, own: Option<&[u8]>) -> Vec<u8> {
    let given = load.command_line.as_deref().map(OsStr::as_bytes);
    let reused = running.filter(|_| load.reuse).map(|line| reused(line, load));
    match (reused, given) {
        (Some(reused), Some(given)) => [&reused, b" ".as_slice(), given].concat(),
        (Some(reused), None) => reused,
        (None, Some(given)) => given.to_vec(),
        (None, None) => own.unwrap_or(b"").to_vec(),
    }
}

/// The running kernel's command line, without the parameters for the file it was loaded from, and
/// without those to remove.
fn reused(running: &[u8], load: &Load) -> Vec<u8> {
    let line = running.split(|byte| matches!(byte, b'\n' | b'\r' | 0)).next().unwrap_or(running);
    let removed = |word: &[u8]| {
        word.starts_with(b"BOOT_IMAGE")
            || (load.crash && word.starts_with(b"crashkernel"))
            || load.remove.iter().any(|name| is_named(word, name.as_bytes()))
    };
    let mut kept: Vec<u8> = Vec::new();
    for (word, blanks) in words(line) {
        if !removed(word) {
            kept.extend_from_slice(word);
            kept.extend_from_slice(blanks);
        }
    }
    while kept.last() == Some(&b' ') {
        kept.pop();
    }
    kept
}

/// Whether a parameter is the name, or the name with a value, or the whole parameter.
fn is_named(word: &[u8], name: &[u8]) -> bool {
    word == name || word.strip_prefix(name).is_some_and(|rest| rest.starts_with(b"="))
}

/// The parameters, each with the blanks after it. A blank between quotes is part of a parameter, as
/// in the kernel (`lib/cmdline.c`).
fn words(line: &[u8]) -> Vec<(&[u8], &[u8])> {
    let mut words = Vec::new();
    let mut rest = line.trim_ascii_start();
    while !rest.is_empty() {
        let (word, behind) = rest.split_at(word_length(rest));
        let (blanks, next) =
            behind.split_at(behind.iter().take_while(|byte| byte.is_ascii_whitespace()).count());
        words.push((word, blanks));
        rest = next;
    }
    words
}

fn word_length(rest: &[u8]) -> usize {
    let mut is_quoted = false;
    let ends = |&byte: &u8| {
        is_quoted ^= byte == b'"';
        byte.is_ascii_whitespace() && !is_quoted
    };
    rest.iter().position(ends).unwrap_or(rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RUNNING: &[u8] =
        b"BOOT_IMAGE=/vmlinuz root=/dev/vda1 ro  quiet crashkernel=256M dyndbg=\"file a +p\"\n";

    fn line(load: &Load) -> String {
        String::from_utf8(of(load, Some(RUNNING), Some(b"of the file"))).unwrap()
    }

    fn reusing() -> Load {
        Load { reuse: true, ..Load::default() }
    }

    #[test]
    fn the_running_kernels_line_is_used_without_the_file_it_came_from() {
        let rest = "root=/dev/vda1 ro  quiet crashkernel=256M dyndbg=\"file a +p\"";
        assert_eq!(line(&reusing()), rest);
        assert_eq!(line(&Load { command_line: Some("x".into()), ..reusing() }), format!("{rest} x"));
        let crash = Load { crash: true, ..reusing() };
        assert_eq!(line(&crash), "root=/dev/vda1 ro  quiet dyndbg=\"file a +p\"");
    }

    #[test]
    fn the_option_counts_and_the_files_own_line_only_without_it() {
        assert_eq!(line(&Load { command_line: Some("x  y".into()), ..Load::default() }), "x  y");
        assert_eq!(line(&Load { command_line: Some("".into()), ..Load::default() }), "");
        assert_eq!(line(&Load::default()), "of the file");
    }

    #[test]
    fn parameters_are_removed_by_their_name_or_their_full_text() {
        let remove = vec!["quiet".into(), "dyndbg".into(), "root=/dev/vda1".into(), "crash".into()];
        assert_eq!(line(&Load { remove, ..reusing() }), "ro  crashkernel=256M");
    }

    proptest! {
        #[test]
        fn a_line_without_such_parameters_is_unchanged(text in "[a-z= \"]{0,40}") {
            let trimmed = text.trim_start_matches(' ').trim_end_matches(' ');
            prop_assert_eq!(of(&reusing(), Some(text.as_bytes()), None), trimmed.as_bytes());
        }
    }
}
