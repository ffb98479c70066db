//! A map of the memory of an image by kind of page, drawn in the terminal or as SVG.

use std::fmt::Write;

use anyhow::Context;
use vmcore::MemoryImage;

use super::kinds::{Kind, Kinds};
use super::source;
use crate::dump::args::DumpMapArgs;
use crate::terminal::Terminal;
use crate::terminal::quantity::{self, page_bytes};
use crate::terminal::report::{self, Outcome};

/// Cells in a row of the picture.
const COLUMNS: u64 = 64;
/// Rows at most: cells grow with memory.
const ROWS: u64 = 40;

/// A piece of memory, by its most frequent kind.
struct Cell {
    kind: Option<Kind>,
}

struct Picture {
    kinds: Kinds,
    /// Frames of a cell.
    each: u64,
    /// Rows that contain memory, by the number of their first frame.
    rows: Vec<(u64, Vec<Cell>)>,
    release: String,
}

/// Draws an image.
pub(super) fn run(args: &DumpMapArgs) -> anyhow::Result<Outcome> {
    let image = source::informed(source::image_or_raw(&args.file, &args.raw)?)?;
    let picture = Picture::of(&image);
    match &args.svg {
        Some(path) => {
            std::fs::write(path, picture.svg()).with_context(|| path.display().to_string())?;
        }
        None => report::print(&picture.text(Terminal::of_stdout()))?,
    }
    Ok(Outcome::Done)
}

impl Picture {
    fn of(image: &MemoryImage<'_>) -> Self {
        let kinds = Kinds::of(image, super::level::cpus());
        let frames = image.ram().count().max(1);
        // The smallest power of two for which all memory fits; rows without memory are left out.
        let each = frames.div_ceil(COLUMNS * ROWS).next_power_of_two();
        let width = each * COLUMNS;
        let mut rows = Vec::new();
        let mut from = image.ram().next(0).map(|page| page.number() / width * width);
        while let Some(start) = from {
            let cells =
                (0..COLUMNS).map(|n| cell(&kinds, start + n * each, start + (n + 1) * each)).collect();
            rows.push((start, cells));
            from = image.ram().next(start + width).map(|page| page.number() / width * width);
        }
        let release = image.vmcoreinfo().ok().and_then(|info| info.text("OSRELEASE").map(str::to_owned));
        Self { kinds, each, rows, release: release.unwrap_or_else(|| "an unknown kernel".to_owned()) }
    }

    fn heading(&self) -> String {
        format!("Memory of {}; a cell is {}", self.release, quantity::bytes(page_bytes(self.each)))
    }

    fn text(&self, terminal: Terminal) -> String {
        let mut text = self.heading() + "\n\n";
        for (start, cells) in &self.rows {
            let line: String = cells.iter().map(|cell| cell.letter()).collect();
            let line = if terminal.colour { coloured(&line) } else { line };
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{:>12x} {line}", page_bytes(*start));
        }
        text.push('\n');
        for (kind, set) in &self.kinds.0 {
            let pages = set.count();
            let size = quantity::bytes(page_bytes(pages));
            let _ = writeln!(text, "{} {:<18}{pages:>12}  {size:>9}", letter(*kind), kind.name());
        }
        text
    }

    fn svg(&self) -> String {
        const CELL: u64 = 11;
        const LEFT: u64 = 130;
        const TOP: u64 = 84;
        let legend = LEFT + COLUMNS * CELL + 32;
        let rows = self.rows.len() as u64;
        let height = (TOP + rows * CELL + 32).max(TOP + self.kinds.0.len() as u64 * 26 + 32);
        let width = legend + 300;
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\">\n<style>\n{STYLE}</style>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#fbfcfd\"/>\n\
             <text class=\"title\" x=\"32\" y=\"44\">{}</text>\n",
            escaped(&self.heading())
        );
        for ((start, cells), row) in self.rows.iter().zip(0..) {
            let y = TOP + row * CELL;
            if row % 4 == 0 {
                let _ = writeln!(
                    svg,
                    "<text class=\"address\" x=\"{}\" y=\"{}\">{:x}</text>",
                    LEFT - 10,
                    y + 10,
                    page_bytes(*start)
                );
            }
            for (cell, column) in cells.iter().zip(0..) {
                let Some(kind) = cell.kind else { continue };
                let _ = writeln!(
                    svg,
                    "<rect x=\"{}\" y=\"{y}\" width=\"10\" height=\"10\" fill=\"{}\"/>",
                    LEFT + column * CELL,
                    colour(kind)
                );
            }
        }
        for ((kind, set), row) in self.kinds.0.iter().zip(0..) {
            let y = TOP + row * 26;
            let size = quantity::bytes(page_bytes(set.count()));
            let _ = writeln!(
                svg,
                "<rect class=\"swatch\" x=\"{legend}\" y=\"{y}\" width=\"16\" height=\"16\" fill=\"{}\"/>\n\
                 <text x=\"{}\" y=\"{}\">{}</text>\n<text class=\"size\" x=\"{}\" y=\"{}\">{size}</text>",
                colour(*kind),
                legend + 26,
                y + 13,
                kind.name(),
                legend + 268,
                y + 13
            );
        }
        svg + "</svg>\n"
    }
}

const STYLE: &str = "\
text { font-family: 'DejaVu Sans', 'Liberation Sans', Helvetica, Arial, sans-serif; font-size: 13px; \
    fill: #1d2733; }
.address { font-family: 'DejaVu Sans Mono', 'Liberation Mono', Menlo, Consolas, monospace; font-size: 12px; \
    fill: #5a6675; text-anchor: end; }
.size { fill: #5a6675; text-anchor: end; }
.title { font-size: 18px; font-weight: bold; }
.swatch { stroke: #8a96a3; }
";

/// Of equally frequent kinds the first one counts. Absent memory counts only where there is nothing
/// else.
fn cell(kinds: &Kinds, from: u64, to: u64) -> Cell {
    let shares = kinds.shares(from, to);
    let most = |shares: &mut dyn Iterator<Item = &(Kind, u64)>| {
        shares.filter(|(_, count)| *count > 0).max_by_key(|(_, count)| *count).map(|(kind, _)| *kind)
    };
    let present = most(&mut shares.iter().rev().filter(|(kind, _)| *kind != Kind::Absent));
    Cell { kind: present.or_else(|| most(&mut shares.iter())) }
}

impl Cell {
    fn letter(&self) -> char {
        self.kind.map_or(' ', letter)
    }
}

const fn letter(kind: Kind) -> char {
    match kind {
        Kind::Kernel => 'K',
        Kind::Objects => 'S',
        Kind::Structures => 'P',
        Kind::Cache => 'c',
        Kind::User => 'u',
        Kind::Free => '.',
        Kind::Unknown => '?',
        Kind::Absent => '-',
    }
}

/// Colours that colour-blind people can distinguish; pale for absent memory.
const fn colour(kind: Kind) -> &'static str {
    match kind {
        Kind::Kernel => "#d55e00",
        Kind::Objects => "#e69f00",
        Kind::Structures => "#cc79a7",
        Kind::Cache => "#009e73",
        Kind::User => "#0072b2",
        Kind::Free => "#dfe6ec",
        Kind::Unknown => "#1d2733",
        Kind::Absent => "#f3f5f7",
    }
}

/// The same, in the terminal's palette.
fn coloured(line: &str) -> String {
    let mut text = String::new();
    let mut now = None;
    for letter in line.chars() {
        let code = match letter {
            'K' => Some(31),
            'S' => Some(33),
            'P' => Some(35),
            'c' => Some(32),
            'u' => Some(34),
            '.' | '-' => Some(90),
            _ => None,
        };
        if code != now {
            let _ = write!(text, "\x1b[{}m", code.unwrap_or(0));
            now = code;
        }
        text.push(letter);
    }
    text + "\x1b[0m"
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use vmcore::FrameSet;

    fn set(from: u64, to: u64) -> FrameSet {
        let mut set = FrameSet::new();
        set.insert(from, to);
        set
    }

    #[test]
    fn a_cell_shows_its_most_frequent_kind() {
        let kinds =
            Kinds(vec![(Kind::Kernel, set(0, 10)), (Kind::Free, set(10, 16)), (Kind::Absent, set(16, 64))]);
        let letters: String = [(0, 16), (8, 16), (12, 32), (16, 32), (100, 116)]
            .map(|(from, to)| cell(&kinds, from, to).letter())
            .into_iter()
            .collect();
        assert_eq!(letters, "K..- ");
    }

    #[test]
    fn colours_change_only_where_kinds_do() {
        assert_eq!(coloured("KK."), "\x1b[31mKK\x1b[90m.\x1b[0m");
    }
}
