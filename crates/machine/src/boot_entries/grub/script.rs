//! GRUB's shell language as a tree (the GRUB manual, "Writing full configuration files directly").

use crate::Garbled;

/// The deepest nesting of blocks and conditions.
const DEPTH: usize = 64;

/// A part of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Literal(String),
    /// A variable; outside of quotes, its value is split at spaces.
    Variable {
        name: String,
        quoted: bool,
    },
}

/// A word, in which variables are not replaced yet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) pieces: Vec<Piece>,
    /// Whether a part of it is in quotes, so that it counts even if it is empty.
    pub(super) quoted: bool,
}

impl Word {
    /// The text, of a word without quotes and variables.
    fn plain(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [Piece::Literal(text)] if !self.quoted => Some(text),
            _ => None,
        }
    }
}

/// A statement. Loops are parsed, and left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Statement {
    /// A command, and the block at its end if it has one.
    Command {
        words: Vec<Word>,
        block: Option<Vec<Self>>,
    },
    /// The conditions and what each leads to; the last one's condition may be empty, which holds.
    If(Vec<(Vec<Self>, Vec<Self>)>),
    Loop,
}

#[derive(Debug)]
enum Token {
    Word(Word),
    /// A line feed or semicolon.
    End,
}

/// Parses a script.
pub(super) fn parse(text: &str) -> Result<Vec<Statement>, Garbled> {
    let tokens = tokens(text);
    let mut parser = Parser { tokens: &tokens, at: 0 };
    let (statements, _) = parser.list(&[], 0)?;
    Ok(statements)
}

struct Parser<'a> {
    /// Tokens and the lines that they are on.
    tokens: &'a [(Token, usize)],
    at: usize,
}

impl<'a> Parser<'a> {
    fn garbled<T>(&self, wanted: &'static str) -> Result<T, Garbled> {
        let line = self.tokens.get(self.at.saturating_sub(1)).map_or(1, |(_, line)| *line);
        Err(Garbled { line, wanted })
    }

    /// The reserved word at the current place, where a command would start.
    fn reserved(&self) -> Option<&'a str> {
        match self.tokens.get(self.at) {
            Some((Token::Word(word), _)) => word.plain(),
            _ => None,
        }
    }

    /// Statements up to one of these words, which is taken and returned; without any, up to the end
    /// of the script.
    fn list(&mut self, ends: &[&str], depth: usize) -> Result<(Vec<Statement>, &'a str), Garbled> {
        if depth > DEPTH {
            return self.garbled("a script whose blocks are nested at most 64 deep");
        }
        let mut statements = Vec::new();
        loop {
            while matches!(self.tokens.get(self.at), Some((Token::End, _))) {
                self.at += 1;
            }
            if self.at >= self.tokens.len() {
                return match ends {
                    [] => Ok((statements, "")),
                    _ => self.garbled("the end of the block or condition that is open here"),
                };
            }
            let word = self.reserved().unwrap_or_default();
            if ends.contains(&word) {
                self.at += 1;
                return Ok((statements, word));
            }
            statements.push(match word {
                "if" => self.condition(depth)?,
                "while" | "until" | "for" => self.skipped_loop(depth)?,
                "then" | "elif" | "else" | "fi" | "do" | "done" | "}" => {
                    self.at += 1;
                    return self.garbled("a command");
                }
                _ => self.command(depth)?,
            });
        }
    }

    fn condition(&mut self, depth: usize) -> Result<Statement, Garbled> {
        self.at += 1;
        let mut arms = Vec::new();
        loop {
            let (condition, _) = self.list(&["then"], depth + 1)?;
            let (body, end) = self.list(&["elif", "else", "fi"], depth + 1)?;
            arms.push((condition, body));
            match end {
                "elif" => {}
                "else" => {
                    arms.push((Vec::new(), self.list(&["fi"], depth + 1)?.0));
                    return Ok(Statement::If(arms));
                }
                _ => return Ok(Statement::If(arms)),
            }
        }
    }

    fn skipped_loop(&mut self, depth: usize) -> Result<Statement, Garbled> {
        self.at += 1;
        self.list(&["do"], depth + 1)?;
        self.list(&["done"], depth + 1)?;
        Ok(Statement::Loop)
    }

    fn command(&mut self, depth: usize) -> Result<Statement, Garbled> {
        let mut words = Vec::new();
        while let Some((Token::Word(word), _)) = self.tokens.get(self.at) {
            // It ends a block wherever it is, as in `{ linux /k }`.
            if word.plain() == Some("}") {
                break;
            }
            self.at += 1;
            if word.plain() == Some("{") {
                let (block, _) = self.list(&["}"], depth + 1)?;
                return Ok(Statement::Command { words, block: Some(block) });
            }
            words.push(word.clone());
        }
        Ok(Statement::Command { words, block: None })
    }
}

fn tokens(text: &str) -> Vec<(Token, usize)> {
    let mut tokens = Vec::new();
    let mut line = 1;
    let mut rest = text.chars().peekable();
    while let Some(&next) = rest.peek() {
        match next {
            '\n' | ';' => {
                tokens.push((Token::End, line));
                line += usize::from(next == '\n');
                rest.next();
            }
            '#' => while rest.next_if(|&next| next != '\n').is_some() {},
            _ if next.is_whitespace() => {
                rest.next();
            }
            _ => {
                let first = line;
                let word = word(&mut rest, &mut line);
                if word.quoted || !word.pieces.is_empty() {
                    tokens.push((Token::Word(word), first));
                }
            }
        }
    }
    tokens
}

type Rest<'a> = std::iter::Peekable<std::str::Chars<'a>>;

fn word(rest: &mut Rest<'_>, line: &mut usize) -> Word {
    let mut word = Word::default();
    let mut literal = String::new();
    let mut in_quotes = false;
    while let Some(&next) = rest.peek() {
        if !in_quotes && (next.is_whitespace() || next == ';') {
            break;
        }
        rest.next();
        *line += usize::from(next == '\n');
        match next {
            '\'' if !in_quotes => {
                word.quoted = true;
                for inner in rest.by_ref().take_while(|&inner| inner != '\'') {
                    *line += usize::from(inner == '\n');
                    literal.push(inner);
                }
            }
            '"' => {
                word.quoted = true;
                in_quotes = !in_quotes;
            }
            '\\' => match rest.next() {
                Some('\n') => *line += 1,
                Some(escaped) if in_quotes && !matches!(escaped, '"' | '\\' | '$') => {
                    literal.extend(['\\', escaped]);
                }
                Some(escaped) => literal.push(escaped),
                None => {}
            },
            '$' => match variable(rest) {
                Some(name) => {
                    if !literal.is_empty() {
                        word.pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                    }
                    word.pieces.push(Piece::Variable { name, quoted: in_quotes });
                }
                None => literal.push('$'),
            },
            _ => literal.push(next),
        }
    }
    if !literal.is_empty() {
        word.pieces.push(Piece::Literal(literal));
    }
    word
}

/// The name after a `$`, if there is one.
fn variable(rest: &mut Rest<'_>) -> Option<String> {
    match rest.peek()? {
        '{' => {
            rest.next();
            Some(rest.by_ref().take_while(|&next| next != '}').collect())
        }
        '?' | '@' | '*' | '#' => rest.next().map(String::from),
        _ => {
            let is_of_name = |next: &char| next.is_ascii_alphanumeric() || *next == '_';
            let mut name = String::new();
            while let Some(next) = rest.next_if(is_of_name) {
                name.push(next);
            }
            (!name.is_empty()).then_some(name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn a_block_that_does_not_end_is_named_by_its_line() {
        assert_eq!(
            error("a\nmenuentry b {\nc"),
            "line 3 is not the end of the block or condition that is open here"
        );
        assert_eq!(error("a\n}\n"), "line 2 is not a command");
        assert_eq!(error("if a; fi"), "line 1 is not a command");
        let deep = "if a; then\n".repeat(80);
        assert!(error(&deep).ends_with("nested at most 64 deep"));
    }

    #[test]
    fn quotes_comments_and_continued_lines_are_understood() {
        let literal = |text: &str| Piece::Literal(text.into());
        let statements = parse("a 'b c' \"d $e\" \\\n f#g # h\n").unwrap();
        let [Statement::Command { words, block: None }] = statements.as_slice() else {
            panic!("{statements:?}")
        };
        let pieces: Vec<&[Piece]> = words.iter().map(|word| word.pieces.as_slice()).collect();
        let e = Piece::Variable { name: "e".into(), quoted: true };
        assert_eq!(pieces, [&[literal("a")][..], &[literal("b c")], &[literal("d "), e], &[literal("f#g")]]);
    }
}
