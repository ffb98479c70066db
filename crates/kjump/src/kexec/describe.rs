//! What a load is made of, in words: for `--debug`, `--check` and `--dry-run`.

use super::files::Files;
use super::syscall::Choice;
use crate::kernel::file::Loader;
use crate::terminal::quantity;

/// What was read, and what is made of it, a line each.
pub(super) fn lines(files: &Files, loader: Loader, choice: &Choice) -> Vec<String> {
    let kernel = &files.kernel;
    let packed: Vec<String> = kernel.wrappings.iter().map(|format| format!(", in {format}")).collect();
    let about: Vec<String> = kernel.about().into_iter().map(|text| format!(", {text}")).collect();
    let size = quantity::bytes(kernel.kernel().len() as u64);
    let mut lines =
        vec![format!("{}: {loader}, {size}{}{}", kernel.path.display(), packed.concat(), about.concat())];
    lines.extend(
        files
            .all_initrds()
            .iter()
            .map(|(name, bytes)| format!("initrd {name}: {}", quantity::bytes(bytes.len() as u64))),
    );
    lines.push(format!("command line: {}", String::from_utf8_lossy(&files.command_line)));
    lines.push(format!("by {}: {}", choice.first.name(), choice.why));
    lines
}
