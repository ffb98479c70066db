//! The width of a terminal, and output that waits in one.

use std::io;
use std::os::fd::AsFd;

use rustix::io::Errno;
use rustix::termios::{tcdrain, tcgetwinsize};

/// The width of the terminal that this file is, or `None` if it is not a terminal or does not
/// know.
pub fn columns(file: impl AsFd) -> Option<usize> {
    let size = tcgetwinsize(file).ok()?;
    (size.ws_col > 0).then_some(usize::from(size.ws_col))
}

/// Waits until everything that was written to this terminal has left the machine. Other files have
/// nothing to wait for.
///
/// # Errors
/// tcdrain(3) fails.
pub fn drain(file: impl AsFd) -> io::Result<()> {
    match tcdrain(file) {
        Err(Errno::NOTTY | Errno::INVAL) => Ok(()),
        result => Ok(result?),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_file_that_is_no_terminal_has_nothing_to_wait_for() {
        super::drain(std::fs::File::open("/dev/null").unwrap()).unwrap();
    }

    #[test]
    fn a_file_that_is_no_terminal_has_no_columns() {
        assert_eq!(super::columns(std::fs::File::open("/dev/null").unwrap()), None);
    }
}
