//! Physical memory drawn as SVG: a column of memory with its addresses, and a card for each image
//! with bands to its places. Heights grow with the logarithm of sizes, so that a page stays visible
//! next to gibibytes.

use std::fmt::Write;

use super::strips::{Kind, Strip};
use super::{Picture, PlacedImage};
use crate::terminal::quantity;

const MARGIN: u32 = 32;
/// Left edge of the column of memory. Addresses are to the left of it.
const COLUMN: u32 = 190;
const COLUMN_WIDTH: u32 = 330;
const CARD: u32 = 670;
const CARD_WIDTH: u32 = 400;
const CARD_HEIGHT: u32 = 110;
const CARD_GAP: u32 = 16;
/// Top of the column, below the heading.
const TOP: u32 = 118;
/// Height of a page; each doubling adds to it.
const PAGE_HEIGHT: u32 = 22;
const DOUBLING_HEIGHT: u32 = 2;
const LEGEND_HEIGHT: u32 = 72;

/// Fill colours of the kinds of memory, and their names in the legend.
const KINDS: [(Kind, &str, &str); 6] = [
    (Kind::Ram, "#cfe8d5", "System RAM"),
    (Kind::Kernel, "#9dbfe6", "kernel"),
    (Kind::Crash, "#f0b8a8", "crash kernel"),
    (Kind::Firmware, "#f3e2b3", "firmware"),
    (Kind::Device, "#d9d4ec", "devices"),
    (Kind::Hole, "#ffffff", "nothing"),
];

/// Colours of images, used in turn: Okabe and Ito's palette, which is safe for colour-blind people.
const IMAGE_COLOURS: [&str; 6] = ["#d55e00", "#0072b2", "#cc79a7", "#009e73", "#e69f00", "#56b4e9"];

const STYLE: &str = "\
text { font-family: 'DejaVu Sans', 'Liberation Sans', Helvetica, Arial, sans-serif; font-size: 13px; \
  fill: #1d2733; }
.address { font-family: 'DejaVu Sans Mono', 'Liberation Mono', Menlo, Consolas, monospace; font-size: 12px; \
  fill: #5a6675; text-anchor: end; }
.size { fill: #5a6675; font-size: 12px; text-anchor: end; }
.title { font-size: 20px; font-weight: bold; }
.note { fill: #5a6675; font-size: 12px; }
.hole { fill: #8a96a3; }
.name { font-weight: bold; font-size: 14px; }
.strip, .tick { stroke: #8a96a3; stroke-width: 1; }
";

/// A strip and its place in the picture.
struct Row<'a> {
    strip: &'a Strip,
    top: u32,
    height: u32,
}

/// The picture as an SVG document.
pub(super) fn draw(picture: &Picture) -> String {
    let rows = rows(&picture.strips);
    let column_end = rows.last().map_or(TOP, |row| row.top + row.height);
    let tops = card_tops(picture, &rows);
    let cards_end = tops.last().map_or(TOP, |top| top + CARD_HEIGHT);
    let bottom = column_end.max(cards_end);
    let height = bottom + LEGEND_HEIGHT + MARGIN;
    let width = if tops.is_empty() { COLUMN + COLUMN_WIDTH + MARGIN } else { CARD + CARD_WIDTH + MARGIN };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n<style>\n{STYLE}</style>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#fbfcfd\"/>\n{HATCH}"
    );
    write_heading(&mut svg, picture);
    write_bands(&mut svg, picture, &rows, &tops);
    write_column(&mut svg, picture, &rows);
    write_cards(&mut svg, picture, &tops);
    write_legend(&mut svg, picture, width, bottom + 28);
    svg.push_str("</svg>\n");
    svg
}

/// The pattern of unused addresses.
const HATCH: &str = "\
<defs><pattern id=\"hatch\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\" \
patternTransform=\"rotate(45)\">\
<rect width=\"8\" height=\"8\" fill=\"#ffffff\"/><line x1=\"0\" y1=\"0\" x2=\"0\" y2=\"8\" \
stroke=\"#dfe4ea\" stroke-width=\"3\"/></pattern></defs>\n";

fn rows(strips: &[Strip]) -> Vec<Row<'_>> {
    let mut top = TOP;
    let mut rows = Vec::new();
    for strip in strips {
        // Unused addresses get little room, however many there are.
        let doublings = if strip.kind == Kind::Hole { 0 } else { Picture::doublings(strip.size()) };
        let height = PAGE_HEIGHT + DOUBLING_HEIGHT * doublings;
        rows.push(Row { strip, top, height });
        top += height;
    }
    rows
}

/// The tops of the cards: each next to the middle of its image if there is room, else below the
/// previous card. Images are placed in the order of their first address; the result is in the order
/// of the list.
fn card_tops(picture: &Picture, rows: &[Row<'_>]) -> Vec<u32> {
    let middle = |index: usize| {
        let mut own = rows.iter().filter(|row| row.strip.images.contains(&index));
        let first = own.next().map_or(TOP, |row| row.top);
        let last = own.next_back().map_or(first, |row| row.top + row.height);
        u32::midpoint(first, last)
    };
    let mut order: Vec<usize> = (0..picture.images.len()).collect();
    order.sort_by_key(|&index| middle(index));
    let mut tops = vec![TOP; picture.images.len()];
    let mut free = TOP;
    for index in order {
        let top = free.max(middle(index).saturating_sub(CARD_HEIGHT / 2));
        if let Some(place) = tops.get_mut(index) {
            *place = top;
        }
        free = top + CARD_HEIGHT + CARD_GAP;
    }
    tops
}

fn write_heading(svg: &mut String, picture: &Picture) {
    let kernel = picture.release.as_deref().unwrap_or("an unknown kernel");
    let images = match picture.images.len() {
        0 => "no image is loaded".into(),
        1 => "1 image is loaded".into(),
        count => format!("{count} images are loaded"),
    };
    let _ = writeln!(svg, "<text class=\"title\" x=\"{MARGIN}\" y=\"48\">Physical memory</text>");
    let _ = writeln!(
        svg,
        "<text x=\"{MARGIN}\" y=\"72\">{} of System RAM under {}; {images}</text>",
        quantity::bytes(picture.ram),
        escaped(kernel)
    );
    let _ = writeln!(
        svg,
        "<text class=\"note\" x=\"{MARGIN}\" y=\"92\">Heights grow with the logarithm of sizes.</text>"
    );
}

fn write_column(svg: &mut String, picture: &Picture, rows: &[Row<'_>]) {
    for Row { strip, top, height } in rows {
        let (fill, class) = match strip.kind {
            Kind::Hole => ("url(#hatch)", "hole"),
            kind => (fill(kind), "what"),
        };
        let _ = writeln!(
            svg,
            "<rect class=\"strip\" x=\"{COLUMN}\" y=\"{top}\" width=\"{COLUMN_WIDTH}\" height=\"{height}\" \
             fill=\"{fill}\"/>"
        );
        write_image_stripes(svg, strip, *top, *height);
        write_address(svg, picture, *top, strip.first);
        let (middle, left, right) = (top + height / 2 + 5, COLUMN + 14, COLUMN + COLUMN_WIDTH - 22);
        let name = escaped(&shortened(&strip.name));
        let size = quantity::bytes(strip.size());
        let _ = writeln!(
            svg,
            "<text class=\"{class}\" x=\"{left}\" y=\"{middle}\">{name}</text>\n\
             <text class=\"size\" x=\"{right}\" y=\"{middle}\">{size}</text>"
        );
    }
    if let Some(Row { strip, top, height }) = rows.last() {
        write_address(svg, picture, top + height, strip.last.saturating_add(1));
    }
}

/// The address where a strip starts, with a tick.
fn write_address(svg: &mut String, picture: &Picture, y: u32, address: u64) {
    let digits = picture.digits();
    let (left, right, baseline) = (COLUMN - 6, COLUMN - 10, y + 4);
    let _ = writeln!(
        svg,
        "<line class=\"tick\" x1=\"{left}\" y1=\"{y}\" x2=\"{COLUMN}\" y2=\"{y}\"/>\n\
         <text class=\"address\" x=\"{right}\" y=\"{baseline}\">{address:0digits$x}</text>"
    );
}

/// A stripe at the column's edge for each image that has a place there.
fn write_image_stripes(svg: &mut String, strip: &Strip, top: u32, height: u32) {
    let mut right = COLUMN + COLUMN_WIDTH;
    // More than a few images in one place cannot be distinguished anyway.
    for &image in strip.images.iter().take(6) {
        right -= 10;
        let _ = writeln!(
            svg,
            "<rect x=\"{right}\" y=\"{top}\" width=\"10\" height=\"{height}\" fill=\"{}\"/>",
            image_colour(image)
        );
    }
}

/// A band from each place of an image to its card.
fn write_bands(svg: &mut String, picture: &Picture, rows: &[Row<'_>], tops: &[u32]) {
    let left = COLUMN + COLUMN_WIDTH;
    let bend = u32::midpoint(left, CARD);
    for (image, card_top) in (0..picture.images.len()).zip(tops) {
        let own: Vec<&Row<'_>> = rows.iter().filter(|row| row.strip.images.contains(&image)).collect();
        let parts = u32::try_from(own.len()).unwrap_or(u32::MAX).max(1);
        for (row, part) in own.into_iter().zip(0_u32..) {
            let (top, bottom) = (row.top, row.top + row.height);
            let card_from = card_top + CARD_HEIGHT * part / parts;
            let card_to = card_top + CARD_HEIGHT * (part + 1) / parts;
            let _ = writeln!(
                svg,
                "<path d=\"M{left} {top} C{bend} {top} {bend} {card_from} {CARD} {card_from} \
                 L{CARD} {card_to} C{bend} {card_to} {bend} {bottom} {left} {bottom} Z\" fill=\"{}\" \
                 fill-opacity=\"0.18\"/>",
                image_colour(image)
            );
        }
    }
}

fn write_cards(svg: &mut String, picture: &Picture, tops: &[u32]) {
    for ((image, placed), top) in picture.images.iter().enumerate().zip(tops) {
        let colour = image_colour(image);
        let _ = writeln!(
            svg,
            "<rect x=\"{CARD}\" y=\"{top}\" width=\"{CARD_WIDTH}\" height=\"{CARD_HEIGHT}\" rx=\"6\" \
             fill=\"#ffffff\" stroke=\"{colour}\" stroke-width=\"1.5\"/>\n\
             <rect x=\"{CARD}\" y=\"{top}\" width=\"6\" height=\"{CARD_HEIGHT}\" rx=\"3\" fill=\"{colour}\"/>"
        );
        let text = CARD + 20;
        let _ = writeln!(
            svg,
            "<text class=\"name\" x=\"{text}\" y=\"{}\">{}</text>",
            top + 24,
            escaped(&placed.title())
        );
        for (line, y) in card_lines(placed).iter().zip([top + 44, top + 62, top + 80, top + 98]) {
            let _ = writeln!(svg, "<text class=\"note\" x=\"{text}\" y=\"{y}\">{}</text>", escaped(line));
        }
    }
}

fn card_lines(placed: &PlacedImage) -> Vec<String> {
    let image = &placed.image;
    let size = quantity::bytes(quantity::page_bytes(image.pages));
    let own = match (image.claimed, image.in_use) {
        (claimed, _) if claimed == image.pages => "all its own".into(),
        (0, 0) => "exchanged at each call".into(),
        (claimed, in_use) => format!("{claimed} its own, {in_use} in use by the kernel"),
    };
    let calls = quantity::count(image.calls, "call");
    let faults = if image.faults == 0 {
        String::new()
    } else {
        format!(", {}", quantity::count(image.faults, "fault"))
    };
    let displaced = (!placed.displaced.is_none()).then(|| placed.displaced.brief());
    let lines = [
        format!("{}-bit, entry {:#x}, {calls}{faults}", image.mode, image.entry),
        format!("{} ({size})", quantity::count(image.pages, "page")),
        own,
    ];
    lines.into_iter().chain(displaced).collect()
}

/// The kinds of memory that are drawn, in one or more rows.
fn write_legend(svg: &mut String, picture: &Picture, width: u32, mut top: u32) {
    let mut left = COLUMN;
    for (kind, colour, name) in KINDS {
        if !picture.strips.iter().any(|strip| strip.kind == kind) {
            continue;
        }
        let wide = 26 + 8 * u32::try_from(name.len()).unwrap_or(0);
        if left + wide + MARGIN > width {
            (left, top) = (COLUMN, top + 28);
        }
        let fill = if kind == Kind::Hole { "url(#hatch)" } else { colour };
        let _ = writeln!(
            svg,
            "<rect class=\"strip\" x=\"{left}\" y=\"{top}\" width=\"18\" height=\"18\" fill=\"{fill}\"/>\n\
             <text x=\"{}\" y=\"{}\">{name}</text>",
            left + 26,
            top + 14
        );
        left += wide + 28;
    }
}

fn fill(kind: Kind) -> &'static str {
    KINDS.iter().find(|(other, _, _)| *other == kind).map_or("#ffffff", |(_, colour, _)| colour)
}

fn image_colour(image: usize) -> &'static str {
    IMAGE_COLOURS.get(image % IMAGE_COLOURS.len()).unwrap_or(&"#000000")
}

/// A name, shortened to leave room for the size.
fn shortened(name: &str) -> String {
    const LONGEST: usize = 28;
    if name.chars().count() <= LONGEST {
        return name.into();
    }
    name.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// A text, escaped for XML. Control characters, which XML does not allow, are left out.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars().filter(|character| !character.is_control()) {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::map::examples;

    #[test]
    fn a_picture_of_a_cloud_machine_with_three_images() {
        insta::assert_snapshot!(draw(&examples::cloud()));
    }

    #[test]
    fn neither_rows_nor_cards_overlap() {
        let picture = examples::cloud();
        let rows = rows(&picture.strips);
        assert!(rows.windows(2).all(|pair| pair[0].top + pair[0].height == pair[1].top));
        let mut tops = card_tops(&picture, &rows);
        tops.sort_unstable();
        assert!(tops.windows(2).all(|pair| pair[0] + CARD_HEIGHT < pair[1]));
    }

    #[test]
    fn names_cannot_break_out_of_the_document() {
        assert_eq!(escaped("<a href=\"x\">&\u{1b}[m"), "&lt;a href=&quot;x&quot;&gt;&amp;[m");
        assert_eq!(shortened(&"x".repeat(40)).chars().count(), 28);
    }
}
