//! The layout of sources: the length of lines and of files, and that rustfmt formats all of each
//! file.

use std::fs;
use std::io::Write as _;
use std::ops::Range;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::rust_source::{self, Kind};
use crate::tree;

/// Columns of any line, as in rustfmt.toml, and of a line that is a comment. A figure or a table in
/// a comment may be as wide as any line.
const WIDTH: usize = 110;
const COMMENT_WIDTH: usize = 100;

/// Lines of a file.
const LENGTH: usize = 500;
/// Files that are longer, and their most lines: none of them grows.
const LONG: [(&str, usize); 6] = [
    ("crates/abi/src/device.rs", 533),
    ("crates/firmware/src/examination/steps.rs", 719),
    ("crates/kjump/src/dump/makedumpfile.rs", 541),
    ("crates/plan/tests/plans/linux.rs", 553),
    ("crates/relocator/src/code.S", 868),
    ("lab/tests/stories/kexec.rs", 530),
];

/// As in the kernel's coding style.
const TAB: usize = 8;

/// Fails on long lines and long files, and where rustfmt gives up.
///
/// # Errors
/// Every such place.
pub(crate) fn check() -> Result<()> {
    let mut found = Vec::new();
    for file in tree::sources(&["rs", "c", "h", "S", "inc"])? {
        let text = fs::read_to_string(tree::root().join(&file)).with_context(|| file.clone())?;
        found.extend(too_long(&file, text.lines().count()));
        found.extend(long_lines(&text).into_iter().map(|line| format!("{file}:{line}")));
        if file.ends_with(".rs") {
            found.extend(unformatted(&text)?.map(|line| format!("{file}:{line}")));
        }
    }
    ensure!(found.is_empty(), "{}\n{} places", found.join("\n"), found.len());
    Ok(())
}

/// The complaint about a file with more lines than it may have.
fn too_long(file: &str, lines: usize) -> Option<String> {
    let known = LONG.iter().find(|(path, _)| *path == file);
    let most = known.map_or(LENGTH, |(_, most)| *most);
    (lines > most).then(|| format!("{file}: {lines} lines; at most {most}"))
}

/// The lines that are too long, each with its number and length.
fn long_lines(text: &str) -> Vec<String> {
    let (mut found, mut is_figure) = (Vec::new(), false);
    for (number, line) in (1..).zip(text.lines()) {
        let is_fence = is_comment(line) && line.contains("```");
        is_figure = is_comment(line) && is_figure != is_fence;
        let (what, most) = match is_comment(line) {
            true if is_figure || is_table(line) => ("figure", WIDTH),
            true => ("comment", COMMENT_WIDTH),
            false => ("line", WIDTH),
        };
        let columns = columns(line);
        if columns > most {
            found.push(format!("{number}: {what} of {columns} columns; at most {most}"));
        }
    }
    found
}

/// Comments of Rust, C and assembly, among them the middle of a block.
fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    ["//", "/*", "* ", "*/", "# "].iter().any(|mark| line.starts_with(mark))
}

/// A row of a table in a documentation comment, which cannot be broken.
fn is_table(line: &str) -> bool {
    line.trim_start().trim_start_matches(['/', '!']).trim_start().starts_with('|')
}

fn columns(line: &str) -> usize {
    line.chars().fold(0, |column, c| if c == '\t' { column / TAB * TAB + TAB } else { column + 1 })
}

/// The first line that is not as rustfmt formats it, or that rustfmt leaves as it is. It does not
/// report that it gave up on an expression, so it is passed the text without indentation and must
/// restore it.
///
/// # Errors
/// rustfmt cannot be run, or refuses the text.
fn unformatted(text: &str) -> Result<Option<String>> {
    let formatted = rustfmt(&without_indentation(text))?;
    let mut lines = (1..).zip(text.lines().zip(formatted.lines()));
    let different = lines.find(|(_, (before, after))| before != after);
    Ok(different.map(|(number, _)| format!("{number}: not as rustfmt formats it, if it does")))
}

/// Lines that begin in a literal, a block comment, an attribute or the arguments of a macro keep
/// their indentation: rustfmt may leave them as they are.
fn without_indentation(text: &str) -> String {
    let (kept, mut spoiled, mut at) = (kept_lines(text), String::new(), 0);
    for line in text.split_inclusive('\n') {
        let is_kept = kept.iter().any(|range| range.start < at && at < range.end);
        spoiled += if is_kept { line } else { line.trim_start_matches(' ') };
        at += line.len();
    }
    spoiled
}

fn kept_lines(text: &str) -> Vec<Range<usize>> {
    let parts = rust_source::comments_and_literals(text);
    let is_block = |range: &Range<usize>| text[range.clone()].starts_with("/*");
    let kept = parts.into_iter().filter(|(kind, range)| *kind == Kind::Literal || is_block(range));
    kept.map(|(_, range)| range).chain(arguments(&rust_source::code_only(text))).collect()
}

/// The arguments of macros and attributes: from the bracket after `name!`, `macro_rules! name` or
/// `#` to the one that closes it.
fn arguments(code: &str) -> Vec<Range<usize>> {
    let bytes = code.as_bytes();
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(mark) = bytes[at..].iter().position(|byte| b"!#".contains(byte)).map(|place| at + place) {
        at = mark + 1;
        let is_macro = bytes[mark] == b'!' && bytes[..mark].last().is_some_and(is_name);
        let name = bytes[at..].iter().take_while(|byte| is_name(byte) || **byte == b' ').count();
        let open = match bytes[mark] {
            b'#' => at + usize::from(bytes.get(at) == Some(&b'!')),
            _ => at + name,
        };
        let brackets = if is_macro { &b"([{"[..] } else { b"[" };
        if (is_macro || bytes[mark] == b'#') && bytes.get(open).is_some_and(|byte| brackets.contains(byte)) {
            at = closing(bytes, open);
            found.push(open..at);
        }
    }
    found
}

fn closing(bytes: &[u8], open: usize) -> usize {
    let mut depth = 0_usize;
    for (place, byte) in bytes.iter().enumerate().skip(open) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            return place + 1;
        }
    }
    bytes.len()
}

fn rustfmt(text: &str) -> Result<String> {
    let mut command = Command::new("rustfmt");
    command.args(["--edition", "2024", "--config-path"]).arg(tree::root());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().context("cannot run rustfmt")?;
    child.stdin.take().context("rustfmt reads its standard input")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "rustfmt: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_110_columns_and_comments_100() {
        let text = |width: usize, mark: &str| format!("{mark}{}\n", "x".repeat(width - mark.len()));
        assert!(long_lines(&(text(110, "") + &text(100, "    // "))).is_empty());
        assert_eq!(long_lines(&text(111, "")), ["1: line of 111 columns; at most 110"]);
        assert_eq!(long_lines(&text(101, " * ")), ["1: comment of 101 columns; at most 100"]);
        assert_eq!(long_lines(&("\n".to_owned() + &text(101, "/// "))).len(), 1);
    }

    #[test]
    fn files_have_500_lines_and_those_that_have_more_do_not_grow() {
        let new = "crates/phys/src/new.rs";
        assert_eq!(too_long(new, 500), None);
        assert_eq!(too_long(new, 501).unwrap(), "crates/phys/src/new.rs: 501 lines; at most 500");
        for (path, most) in LONG {
            assert!(most > LENGTH, "{path} needs no limit of its own");
            assert!(too_long(path, most).is_none() && too_long(path, most + 1).is_some());
        }
    }

    #[test]
    fn figures_and_tables_may_be_as_wide_as_code() {
        let row = |width: usize, mark: &str| format!("{mark}{}\n", "x".repeat(width - mark.len()));
        assert!(long_lines(&row(110, "//! | ")).is_empty());
        assert!(long_lines(&format!("/// ```text\n{}/// ```\n", row(110, "/// "))).is_empty());
        assert_eq!(long_lines(&format!("/// ```\n/// ```\n{}", row(110, "/// "))).len(), 1);
    }

    #[test]
    fn a_tab_goes_to_the_next_multiple_of_eight() {
        assert_eq!(["\t", "a\tb", "\t\t", "é"].map(columns), [8, 9, 16, 1]);
    }

    #[test]
    fn what_rustfmt_formats_passes() {
        let text =
            "fn main() {\n    let text = \"a\n  b\";\n    println!(\n    \"{text}\"  );\n    // c\n}\n";
        assert_eq!(
            unformatted(&text.replace("println!(\n    \"{text}\"  )", "println!(\"{text}\")")).unwrap(),
            None
        );
    }

    #[test]
    fn what_rustfmt_gives_up_on_fails() {
        let long = "x".repeat(120);
        let text = format!("const A: &[(&str, u8)] = &[\n    (\"{long}\", 1 ),\n    (\"a\",   2),\n];\n");
        assert!(unformatted(&text).unwrap().is_some());
    }

    #[test]
    fn the_arguments_of_macros_and_attributes_are_left_alone() {
        let code = "#![x] #[a(b)] a!(b(c) d) e != f !(g) macro_rules! g { h { } } i";
        let found: Vec<_> = arguments(code).into_iter().map(|range| &code[range]).collect();
        assert_eq!(found, ["[x]", "[a(b)]", "(b(c) d)", "{ h { } }"]);
    }
}
