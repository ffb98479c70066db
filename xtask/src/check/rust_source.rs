//! What is code, comment or literal in a Rust source file: as much of the language as that takes.

use std::ops::Range;

/// A part of a source file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Comment,
    /// A string, byte string, C string, character or byte.
    Literal,
}

/// The comments and literals of a file, in order; all else is code.
pub(crate) fn comments_and_literals(text: &str) -> Vec<(Kind, Range<usize>)> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let rest = &bytes[at..];
        let part = if rest.starts_with(b"//") {
            Some((Kind::Comment, line_length(rest)))
        } else if rest.starts_with(b"/*") {
            Some((Kind::Comment, block_comment_length(rest)))
        } else if rest[0] == b'"' {
            Some((Kind::Literal, quoted_length(rest, b'"')))
        } else if rest[0] == b'r' && !continues_a_name(bytes, at) {
            raw_string_length(rest).map(|length| (Kind::Literal, length))
        } else if rest[0] == b'\'' && is_character(rest) {
            Some((Kind::Literal, quoted_length(rest, b'\'')))
        } else {
            None
        };
        match part {
            Some((kind, length)) => {
                found.push((kind, at..at + length));
                at += length;
            }
            None => at += 1,
        }
    }
    found
}

/// The text with spaces in place of comments and literals, except for line breaks.
pub(crate) fn code_only(text: &str) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for (_, range) in comments_and_literals(text) {
        bytes[range].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Whether an identifier or keyword stands in the code, outside comments and literals.
pub(crate) fn has_word(text: &str, word: &str) -> bool {
    code_only(text).split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word)
}

fn line_length(rest: &[u8]) -> usize {
    rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len())
}

/// Block comments nest.
fn block_comment_length(rest: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0_usize);
    while at < rest.len() {
        if rest[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn quoted_length(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(rest.len())
}

/// `r"..."` or `r#"..."#`; `None` for a name such as `r#type`.
fn raw_string_length(rest: &[u8]) -> Option<usize> {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    let start = 1 + hashes + 1;
    if rest.get(1 + hashes) != Some(&b'"') {
        return None;
    }
    let end = [&b"\""[..], &b"#".repeat(hashes)].concat();
    let length = rest[start..].windows(end.len()).position(|bytes| bytes == end)?;
    Some(start + length + end.len())
}

/// Whether the `r` at this place belongs to a longer name; the prefixes `br` and `cr` do not count.
fn continues_a_name(bytes: &[u8], at: usize) -> bool {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let before = &bytes[..at];
    match before.last() {
        Some(b'b' | b'c') => before.iter().rev().nth(1).is_some_and(is_name),
        last => last.is_some_and(is_name),
    }
}

/// A character in quotation marks, not a lifetime or label.
fn is_character(rest: &[u8]) -> bool {
    let text = String::from_utf8_lossy(&rest[1..rest.len().min(6)]);
    let mut characters = text.chars();
    match characters.next() {
        Some('\\') => true,
        Some(_) => characters.next() == Some('\''),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_are_blanked_and_code_is_kept() {
        for (text, code) in [
            ("a // b\nc", "a     \nc"),
            ("a /* b /* c */ d */ e", "a                   e"),
            ("f(\"x \\\" y\", 'z')", "f(        ,    )"),
            ("r#\"a \" b\"# c", "           c"),
            ("br\"a\" r#type", "b     r#type"),
            ("for<'a> '\\'' 'b: loop", "for<'a>      'b: loop"),
            ("'é' x", "     x"),
        ] {
            assert_eq!(code_only(text), code, "{text}");
        }
    }

    #[test]
    fn a_word_counts_in_code_only() {
        assert!(has_word("pub unsafe fn a() {}", "unsafe"));
        assert!(has_word("#[unsafe(no_mangle)]", "unsafe"));
        assert!(!has_word("#![forbid(unsafe_code)] // unsafe\nlet a = \"unsafe\";", "unsafe"));
    }
}
