//! Describes a load for `--debug`, `--check` and `--dry-run`.

use super::files::Files;
use super::prepare::Prepared;
use super::syscall::Choice;
use crate::input::Name;
use crate::kernel::file::Loader;
use crate::terminal::quantity;

/// The files and the choices made, one a line. Files contain what their authors like, so control
/// characters are replaced: they could command the terminal.
pub(super) fn lines(files: &Files, loader: Loader, choice: &Choice) -> Vec<String> {
    let kernel = &files.kernel;
    let packed: Vec<String> = kernel.wrappings.iter().map(|format| format!(", in {format}")).collect();
    let about: Vec<String> = kernel.about().into_iter().map(|text| format!(", {text}")).collect();
    let size = quantity::bytes(kernel.kernel().len() as u64);
    let mut lines =
        vec![format!("{}: {loader}, {size}{}{}", Name(&kernel.path), packed.concat(), about.concat())];
    lines
        .extend(files.initrd_sizes().map(|(name, size)| format!("initrd {name}: {}", quantity::bytes(size))));
    lines.extend(files.prepared.iter().map(Prepared::describe));
    lines.push(format!("command line: {}", String::from_utf8_lossy(&files.command_line)));
    lines.push(format!("by {}: {}", choice.first.name(), choice.why));
    lines.iter().map(|line| line.replace(|c: char| c.is_control() && c != '\t', "?")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kexec::request::{Load, Wanted};
    use crate::kexec::syscall;

    #[test]
    fn files_cannot_command_the_terminal() {
        let path = std::env::temp_dir().join(format!("kjump-describe-{}", std::process::id()));
        std::fs::write(&path, kernel_file::testing::bzimage((1 << 20) - 0x400, 60 << 20)).unwrap();
        let load =
            Load { command_line: Some("\u{1b}]0;owned\u{7}\u{1b}[31m quiet".into()), ..Load::default() };
        let files = Files::read(&load, &path, || Ok(Vec::new())).unwrap();
        std::fs::remove_file(&path).unwrap();
        let choice = syscall::choose(&load, Wanted::Either, Loader::BzImage, false).unwrap();
        let lines = lines(&files, Loader::BzImage, &choice);
        assert!(lines.contains(&"command line: ?]0;owned??[31m quiet".to_owned()), "{lines:?}");
    }
}
