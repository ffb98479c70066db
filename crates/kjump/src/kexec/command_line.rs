//! The command line of the kernel to load, from the options. Nothing is read here.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use plan::linux::parameters::{self, Parameter};

use super::request::{Base, Load};

/// The command line. `running` is this kernel's, for `--reuse-cmdline`; `own` is the kernel file's,
/// which is used without options. Options add to that of a boot loader's entry.
pub(super) fn of(load: &Load, running: Option<&[u8]>, own: Option<&[u8]>) -> Vec<u8> {
    let given = load.command_line.as_deref().map(OsStr::as_bytes);
    let base = match (running.filter(|_| load.reuse), &load.base) {
        (Some(running), _) => Some(running),
        (None, Base::Line(line)) => Some(line.as_slice()),
        (None, Base::InKernel) => own,
        (None, Base::None) => None,
    };
    match (base.map(|line| reused(line, load)), given) {
        (Some(mut line), given) => {
            parameters::append(&mut line, given.unwrap_or_default());
            line
        }
        (None, Some(given)) => given.to_vec(),
        (None, None) => own.unwrap_or_default().to_vec(),
    }
}

/// This kernel's or an entry's command line without the parameters of its boot loader and those to
/// remove.
fn reused(running: &[u8], load: &Load) -> Vec<u8> {
    let line = running.split(|byte| matches!(byte, b'\n' | b'\r' | 0)).next().unwrap_or(running);
    let is_removed = |parameter: Parameter<'_>| {
        parameter.name().starts_with(b"BOOT_IMAGE")
            || (load.crash && parameter.name().starts_with(b"crashkernel"))
            || load.remove.iter().any(|name| matches(parameter, name.as_bytes()))
    };
    let kept = parameters::parse(line).filter(|&parameter| !is_removed(parameter));
    let mut line: Vec<u8> = kept.flat_map(|it| [it.text, it.spaces]).flatten().copied().collect();
    while line.last() == Some(&b' ') {
        line.pop();
    }
    line
}

/// Whether a parameter has the name in a pattern and, if the pattern has one, the value.
fn matches(parameter: Parameter<'_>, pattern: &[u8]) -> bool {
    let pattern = Parameter::of(pattern);
    parameter.is_named(pattern.name()) && (pattern.value().is_none() || parameter.value() == pattern.value())
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
    fn the_running_kernels_line_is_reused_without_its_boot_image() {
        let rest = "root=/dev/vda1 ro  quiet crashkernel=256M dyndbg=\"file a +p\"";
        assert_eq!(line(&reusing()), rest);
        assert_eq!(line(&Load { command_line: Some("x".into()), ..reusing() }), format!("{rest} x"));
        let crash = Load { crash: true, ..reusing() };
        assert_eq!(line(&crash), "root=/dev/vda1 ro  quiet dyndbg=\"file a +p\"");
    }

    #[test]
    fn options_add_to_the_line_of_a_boot_entry() {
        let given = |base: Base| Load { base, command_line: Some("x".into()), ..Load::default() };
        let entry = Base::Line(b"root=/dev/vda1 quiet crashkernel=1G".to_vec());
        assert_eq!(line(&given(entry.clone())), "root=/dev/vda1 quiet crashkernel=1G x");
        let load = Load { remove: vec!["quiet".into()], crash: true, ..given(entry.clone()) };
        assert_eq!(line(&load), "root=/dev/vda1 x");
        assert_eq!(line(&Load { base: entry, ..reusing() }), line(&reusing()));
        assert_eq!(line(&given(Base::InKernel)), "of the file x");
    }

    #[test]
    fn the_options_replace_the_files_own_command_line() {
        assert_eq!(line(&Load { command_line: Some("x  y".into()), ..Load::default() }), "x  y");
        assert_eq!(line(&Load { command_line: Some("".into()), ..Load::default() }), "");
        assert_eq!(line(&Load::default()), "of the file");
    }

    #[test]
    fn parameters_are_removed_by_name_or_with_their_value() {
        let remove = vec!["quiet".into(), "dyndbg".into(), "root=/dev/vda1".into(), "crash".into()];
        assert_eq!(line(&Load { remove, ..reusing() }), "ro  crashkernel=256M");
    }

    #[test]
    fn parameters_are_removed_as_the_kernel_reads_them() {
        let running =
            b"\"BOOT_IMAGE=/boot dir/vmlinuz\" \"dyndbg=file ec.c +p\" log-buf-len=1M dyndbg=x quiet";
        let line = |name: &str| {
            let load = Load { remove: vec![name.into()], ..reusing() };
            String::from_utf8(of(&load, Some(running), None)).unwrap()
        };
        assert_eq!(line("dyndbg"), "log-buf-len=1M quiet");
        assert_eq!(line("dyndbg=file ec.c +p"), "log-buf-len=1M dyndbg=x quiet");
        assert_eq!(line("log_buf_len"), "\"dyndbg=file ec.c +p\" dyndbg=x quiet");
    }

    #[test]
    fn appended_parameters_come_before_the_arguments_for_init() {
        let load = Load { command_line: Some("maxcpus=1".into()), ..reusing() };
        assert_eq!(of(&load, Some(b"quiet -- single"), None), b"quiet maxcpus=1 -- single");
        let load = Load { command_line: Some("maxcpus=1 -- debug".into()), ..reusing() };
        assert_eq!(of(&load, Some(b"quiet -- single"), None), b"quiet maxcpus=1 -- single debug");
    }

    proptest! {
        #[test]
        fn a_line_without_such_parameters_is_unchanged(text in "[a-z= \"]{0,40}") {
            let trimmed = text.trim_start_matches(' ').trim_end_matches(' ');
            prop_assert_eq!(of(&reusing(), Some(text.as_bytes()), None), trimmed.as_bytes());
        }
    }
}
