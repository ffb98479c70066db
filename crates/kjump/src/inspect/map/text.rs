//! Physical memory drawn in the terminal: a strip of everything, then a line for each part with a
//! bar as long as its size has digits.

use std::fmt::Write;

use super::Picture;
use super::strips::{Kind, Strip};
use crate::terminal::quantity;
use crate::terminal::{Colour, Terminal};

/// Least number of cells of the longest bar.
const LEAST_BAR: usize = 6;
/// Cells of a line besides its addresses and its bar, for the size and a name.
const BESIDE_BAR: usize = 42;

/// The picture, as wide as the terminal.
pub(super) fn draw(picture: &Picture, terminal: Terminal) -> String {
    let mut text = heading(picture);
    text.push_str(&strips_of(picture, terminal));
    write_images(&mut text, picture, terminal);
    text
}

/// The strips alone: all of them in one line, then each on its own line.
pub(super) fn strips_of(picture: &Picture, terminal: Terminal) -> String {
    let mut text = String::new();
    if let Some(overview) = overview(picture, terminal) {
        let _ = writeln!(text, "\n{overview}");
    }
    text.push('\n');
    let bar = bar_width(picture, terminal);
    for strip in &picture.strips {
        write_strip(&mut text, picture, strip, bar, terminal);
    }
    text
}

fn heading(picture: &Picture) -> String {
    let images = match picture.images.len() {
        0 => "no image".into(),
        count => quantity::count(count as u64, "image"),
    };
    let kernel = picture.release.as_ref().map(|release| format!(", kernel {release}")).unwrap_or_default();
    format!("physical memory: {} of System RAM, {images}{kernel}\n", quantity::bytes(picture.ram))
}

/// All strips in one line, each at least one cell and the more cells the larger its size is. `None`
/// if there are more strips than cells.
fn overview(picture: &Picture, terminal: Terminal) -> Option<String> {
    let spare = terminal.width.checked_sub(picture.strips.len() + 2)?;
    let weights: Vec<usize> =
        picture.strips.iter().map(|strip| Picture::doublings(strip.size()) as usize).collect();
    let total = weights.iter().sum::<usize>().max(1);
    let mut line = String::new();
    let mut so_far = 0;
    for (strip, weight) in picture.strips.iter().zip(weights) {
        let before = so_far * spare / total;
        so_far += weight;
        line.push_str(&cells(strip, 1 + so_far * spare / total - before, terminal));
    }
    Some(format!("|{line}|"))
}

fn bar_width(picture: &Picture, terminal: Terminal) -> usize {
    let addresses = 2 * picture.digits() + 1;
    terminal.width.saturating_sub(addresses + BESIDE_BAR).clamp(LEAST_BAR, 26)
}

fn write_strip(text: &mut String, picture: &Picture, strip: &Strip, bar: usize, terminal: Terminal) {
    let digits = picture.digits();
    let largest =
        picture.strips.iter().map(|strip| Picture::doublings(strip.size())).max().unwrap_or(0).max(1);
    let length = 1 + Picture::doublings(strip.size()) as usize * (bar - 1) / largest as usize;
    let drawn = cells(strip, length, terminal) + &" ".repeat(bar - length);
    let size = quantity::bytes(strip.size());
    let marks: String = strip.images.iter().map(|&image| mark(image)).collect();
    let marks = if marks.is_empty() { String::new() } else { format!(" <- {marks}") };
    let line =
        format!("{:0digits$x}-{:0digits$x} {size:>8} {drawn} {}{marks}", strip.first, strip.last, strip.name);
    let _ = writeln!(text, "{}", line.trim_end());
}

/// `count` cells of a strip: the mark of an image in it, else the glyph of its kind of memory.
fn cells(strip: &Strip, count: usize, terminal: Terminal) -> String {
    let glyph =
        strip.images.first().map_or_else(|| glyph(strip.kind, terminal.unicode), |&image| mark(image));
    terminal.paint(colour(strip), &glyph.to_string().repeat(count))
}

/// The legend of the marks.
fn write_images(text: &mut String, picture: &Picture, terminal: Terminal) {
    if !picture.images.is_empty() {
        text.push('\n');
    }
    for (index, placed) in picture.images.iter().enumerate() {
        let image = &placed.image;
        let own = match (image.claimed, image.in_use) {
            (claimed, _) if claimed == image.pages => "all its own".into(),
            (0, 0) => "exchanged at each call".into(),
            (claimed, in_use) => format!("{claimed} its own, {in_use} in use by the kernel"),
        };
        let mark = terminal.paint(Colour::Magenta, &mark(index).to_string());
        let _ = writeln!(
            text,
            "{mark} = {}: {}-bit, entry {:#x}, {} ({own}), {}",
            placed.title(),
            image.mode,
            image.entry,
            quantity::count(image.pages, "page"),
            quantity::count(image.calls, "call"),
        );
        if !placed.displaced.is_none() {
            let _ = writeln!(text, "    {}", placed.displaced);
        }
    }
}

/// A letter for an image; those beyond the alphabet share a star.
fn mark(image: usize) -> char {
    u8::try_from(image).ok().filter(|&image| image < 26).map_or('*', |image| char::from(b'A' + image))
}

const fn glyph(kind: Kind, unicode: bool) -> char {
    match (kind, unicode) {
        (Kind::Ram, true) => '█',
        (Kind::Kernel | Kind::Crash, true) => '▓',
        (Kind::Firmware, true) => '▒',
        (Kind::Device, true) => '░',
        (Kind::Hole, true) => '·',
        (Kind::Ram, false) => '#',
        (Kind::Kernel | Kind::Crash, false) => '%',
        (Kind::Firmware, false) => '=',
        (Kind::Device, false) => '-',
        (Kind::Hole, false) => '.',
    }
}

const fn colour(strip: &Strip) -> Colour {
    match strip.kind {
        _ if !strip.images.is_empty() => Colour::Magenta,
        Kind::Ram => Colour::Green,
        Kind::Kernel => Colour::Blue,
        Kind::Crash => Colour::Red,
        Kind::Firmware => Colour::Yellow,
        Kind::Device => Colour::Cyan,
        Kind::Hole => Colour::Grey,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::map::examples;

    #[test]
    fn a_picture_fits_the_width_and_marks_images() {
        insta::assert_snapshot!(draw(&examples::cloud(), Terminal::plain(80)));
        let wide = Terminal { unicode: true, ..Terminal::plain(120) };
        insta::assert_snapshot!(draw(&examples::cloud(), wide));
    }

    #[test]
    fn a_terminal_with_fewer_cells_than_parts_has_no_overview() {
        let text = draw(&examples::cloud(), Terminal::plain(20));
        assert!(!text.contains('|'));
    }

    #[test]
    fn colours_change_only_colours() {
        let picture = examples::cloud();
        let colourful = draw(&picture, Terminal { colour: true, ..Terminal::plain(80) });
        let mut plain = String::new();
        for part in colourful.split('\x1b') {
            plain.push_str(
                part.split_once('m').filter(|(code, _)| code.starts_with('[')).map_or(part, |(_, rest)| rest),
            );
        }
        assert_eq!(plain, draw(&picture, Terminal::plain(80)));
    }
}
