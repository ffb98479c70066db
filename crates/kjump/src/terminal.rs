//! Input and output: the terminal's abilities, and everything that is read from arguments or
//! printed.

pub(crate) mod number;
pub(crate) mod output_file;
pub(crate) mod progress;
pub(crate) mod quantity;
pub(crate) mod report;
pub(crate) mod table;

use std::io::{self, IsTerminal};

/// A colour of the terminal's own palette, by its number in `ESC [ 3 N m` (ECMA-48, 8.3.117).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Colour {
    Red = 1,
    Green = 2,
    Yellow = 3,
    Blue = 4,
    Magenta = 5,
    Cyan = 6,
    /// Bright black.
    Grey = 60,
}

/// The abilities of a terminal: colour, width, characters beyond ASCII.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Terminal {
    pub(crate) colour: bool,
    pub(crate) unicode: bool,
    pub(crate) width: usize,
}

impl Terminal {
    /// Plain text of a width, which works everywhere.
    #[cfg(test)]
    pub(crate) const fn plain(width: usize) -> Self {
        Self { colour: false, unicode: false, width }
    }

    /// The abilities of standard output.
    pub(crate) fn of_stdout() -> Self {
        const USUAL_WIDTH: usize = 80;
        let variable = |name| std::env::var(name).unwrap_or_default();
        let is_terminal = io::stdout().is_terminal();
        let wants_none = !variable("NO_COLOR").is_empty() || variable("TERM") == "dumb";
        Self {
            colour: is_terminal && !wants_none,
            unicode: is_utf8(&["LC_ALL", "LC_CTYPE", "LANG"].map(variable)),
            width: sys::terminal::columns(io::stdout()).unwrap_or(USUAL_WIDTH),
        }
    }

    /// The text in a colour, if the terminal has colours.
    pub(crate) fn paint(self, colour: Colour, text: &str) -> String {
        if self.colour { format!("\x1b[{}m{text}\x1b[0m", 30 + colour as u8) } else { text.into() }
    }
}

/// Whether the first locale that is set has UTF-8.
fn is_utf8(locales: &[String]) -> bool {
    let locale = locales.iter().find(|locale| !locale.is_empty()).map(|locale| locale.to_ascii_lowercase());
    locale.is_some_and(|locale| locale.contains("utf-8") || locale.contains("utf8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_locale_that_is_set_counts() {
        let locales = |all: [&str; 3]| is_utf8(&all.map(str::to_owned));
        assert!(locales(["", "", "C.UTF-8"]));
        assert!(!locales(["C", "", "de_DE.UTF-8"]));
        assert!(!locales(["", "", ""]));
    }

    #[test]
    fn without_colours_a_text_stays_as_it_is() {
        assert_eq!(Terminal::plain(80).paint(Colour::Red, "x"), "x");
        let colourful = Terminal { colour: true, ..Terminal::plain(80) };
        assert_eq!(colourful.paint(Colour::Red, "x"), "\x1b[31mx\x1b[0m");
        assert_eq!(colourful.paint(Colour::Grey, "x"), "\x1b[90mx\x1b[0m");
    }
}
