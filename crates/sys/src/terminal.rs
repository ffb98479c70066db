//! The width of a terminal.

use std::os::fd::AsFd;

use rustix::termios::tcgetwinsize;

/// The width of the terminal that this file is, or `None` if it is not a terminal or does not
/// know.
pub fn columns(file: impl AsFd) -> Option<usize> {
    let size = tcgetwinsize(file).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_file_that_is_no_terminal_has_no_columns() {
        assert_eq!(super::columns(std::fs::File::open("/dev/null").unwrap()), None);
    }
}
