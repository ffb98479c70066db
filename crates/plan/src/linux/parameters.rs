//! Kernel parameters on a command line, as `parse_args` and `next_arg` read them
//! (`kernel/params.c`, `lib/cmdline.c`): separated by white space, unless it is quoted. A parameter
//! `--` ends them; the arguments after it are for init.

/// A parameter on a command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter<'a> {
    /// The whole parameter as it is written, with its quotes.
    pub text: &'a [u8],
    /// The white space after it.
    pub spaces: &'a [u8],
    /// Its offset in the command line.
    offset: usize,
}

impl<'a> Parameter<'a> {
    /// A text that is a single parameter, even if it contains white space.
    #[must_use]
    pub const fn of(text: &'a [u8]) -> Self {
        Self { text, spaces: &[], offset: 0 }
    }

    /// Its name, without quotes.
    #[must_use]
    pub fn name(self) -> &'a [u8] {
        self.parts().0
    }

    /// The value after `=`, without quotes.
    #[must_use]
    pub fn value(self) -> Option<&'a [u8]> {
        self.parts().1
    }

    /// Whether it has this name. The kernel does not distinguish `-` and `_`.
    #[must_use]
    pub fn is_named(self, name: &[u8]) -> bool {
        let dashes = |byte: &u8| if *byte == b'-' { b'_' } else { *byte };
        self.name().iter().map(dashes).eq(name.iter().map(dashes))
    }

    fn parts(self) -> (&'a [u8], Option<&'a [u8]>) {
        let (body, is_quoted) = match self.text.strip_prefix(b"\"") {
            Some(body) => (body, true),
            None => (self.text, false),
        };
        let unquoted = |part: &'a [u8]| part.strip_suffix(b"\"").unwrap_or(part);
        // A first `=` belongs to the name.
        let equals = body.iter().skip(1).position(|&byte| byte == b'=');
        let Some((name, value)) = equals.and_then(|at| body.split_at_checked(at + 1)) else {
            return (if is_quoted { unquoted(body) } else { body }, None);
        };
        let value = value.strip_prefix(b"=").unwrap_or(value);
        let value = match value.strip_prefix(b"\"") {
            Some(inner) => unquoted(inner),
            None if is_quoted => unquoted(value),
            None => value,
        };
        (name, Some(value))
    }

    fn is_end(self) -> bool {
        matches!(self.parts(), (b"--", None))
    }

    fn has_open_quote(self) -> bool {
        !self.text.iter().filter(|&&byte| byte == b'"').count().is_multiple_of(2)
    }
}

/// The parameters of a command line, and after `--` the arguments for init, which the kernel
/// splits in the same way.
pub fn parse(line: &[u8]) -> impl Iterator<Item = Parameter<'_>> {
    let (_, mut rest) = split_spaces(line);
    std::iter::from_fn(move || {
        let (text, after) = rest.split_at(length(rest));
        let offset = line.len() - rest.len();
        let (spaces, next) = split_spaces(after);
        rest = next;
        (!text.is_empty()).then_some(Parameter { text, spaces, offset })
    })
}

/// The parameters that the kernel reads, without the arguments for init.
pub fn of_kernel(line: &[u8]) -> impl Iterator<Item = Parameter<'_>> {
    parse(line).take_while(|parameter| !parameter.is_end())
}

fn split_spaces(line: &[u8]) -> (&[u8], &[u8]) {
    line.split_at(line.iter().take_while(|&&byte| is_space(byte)).count())
}

/// Bytes of the first parameter.
fn length(line: &[u8]) -> usize {
    let mut is_quoted = false;
    let ends = |&byte: &u8| {
        is_quoted ^= byte == b'"';
        is_space(byte) && !is_quoted
    };
    line.iter().position(ends).unwrap_or(line.len())
}

/// As `isspace` of the kernel, where Latin-1's no-break space is one too.
const fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | 9..=13 | 0xa0)
}

/// Adds kernel parameters to a command line after those that it has, and returns their offset. They
/// come before `--`, and before a parameter with an open quote, which would extend over them.
pub fn add(line: &mut Vec<u8>, parameters: &[u8]) -> usize {
    let last = parse(line).find(|parameter| parameter.is_end() || parameter.has_open_quote());
    if let Some(offset) = last.map(|last| last.offset) {
        line.splice(offset..offset, parameters.iter().chain(b" ").copied());
        return offset;
    }
    separate(line);
    line.extend_from_slice(parameters);
    line.len() - parameters.len()
}

/// Appends a command line to another one: its parameters to the parameters, its arguments for init
/// to those for init.
pub fn append(line: &mut Vec<u8>, more: &[u8]) {
    let end = |line: &[u8]| parse(line).find(|parameter| parameter.is_end()).map(|end| end.offset);
    let (parameters, init) = more.split_at(end(more).unwrap_or(more.len()));
    let (_, parameters) = split_spaces(parameters);
    if !parameters.is_empty() {
        add(line, parameters.trim_ascii_end());
    }
    // Arguments for init follow those that are there.
    let skipped = if end(line).is_some() { 1 } else { 0 };
    if let Some(first) = parse(init).nth(skipped) {
        separate(line);
        line.extend_from_slice(init.get(first.offset..).unwrap_or_default());
    }
}

/// Makes sure that what follows is a parameter of its own.
fn separate(line: &mut Vec<u8>) {
    if line.last().is_some_and(|&last| !is_space(last)) {
        line.push(b' ');
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn added(line: &str, parameters: &str) -> String {
        let mut bytes = line.as_bytes().to_vec();
        let offset = add(&mut bytes, parameters.as_bytes());
        assert!(bytes[offset..].starts_with(parameters.as_bytes()));
        String::from_utf8(bytes).unwrap()
    }

    fn appended(line: &str, more: &str) -> String {
        let mut bytes = line.as_bytes().to_vec();
        append(&mut bytes, more.as_bytes());
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn parameters_are_added_before_the_arguments_for_init() {
        assert_eq!(added("", "a=1"), "a=1");
        assert_eq!(added("quiet", "a=1"), "quiet a=1");
        assert_eq!(added("quiet ", "a=1"), "quiet a=1");
        assert_eq!(added("quiet -- single", "a=1"), "quiet a=1 -- single");
        assert_eq!(added("-- single", "a=1"), "a=1 -- single");
        assert_eq!(added("quiet \"--\" single", "a=1"), "quiet a=1 \"--\" single");
        assert_eq!(added("x=-- --y \"a -- b\"", "a=1"), "x=-- --y \"a -- b\" a=1");
    }

    #[test]
    fn an_open_quote_does_not_extend_over_added_parameters() {
        assert_eq!(added("quiet dyndbg=\"file a", "a=1"), "quiet a=1 dyndbg=\"file a");
    }

    #[test]
    fn parameters_and_arguments_for_init_are_appended_to_their_kind() {
        assert_eq!(appended("ro quiet", "a=1  b"), "ro quiet a=1  b");
        assert_eq!(appended("ro -- single", "a=1"), "ro a=1 -- single");
        assert_eq!(appended("ro -- single", " a=1 -- debug"), "ro a=1 -- single debug");
        assert_eq!(appended("ro", "-- debug"), "ro -- debug");
        assert_eq!(appended("ro", ""), "ro");
        assert_eq!(appended("", "a=1 -- debug"), "a=1 -- debug");
    }

    #[test]
    fn names_and_values_are_those_that_the_kernel_finds() {
        let parameter = |text: &'static str| parse(text.as_bytes()).next().unwrap().parts();
        let pair = |name: &'static str, value: &'static str| (name.as_bytes(), Some(value.as_bytes()));
        assert_eq!(parameter("quiet"), (b"quiet".as_slice(), None));
        assert_eq!(parameter("a=1=2"), pair("a", "1=2"));
        assert_eq!(parameter("a="), pair("a", ""));
        assert_eq!(parameter("=a"), (b"=a".as_slice(), None));
        assert_eq!(parameter("dyndbg=\"file ec.c +p\""), pair("dyndbg", "file ec.c +p"));
        assert_eq!(parameter("\"dyndbg=file ec.c +p\""), pair("dyndbg", "file ec.c +p"));
        assert_eq!(parameter("\"quiet\""), (b"quiet".as_slice(), None));
        assert_eq!(parameter("\"\""), (b"".as_slice(), None));
        assert_eq!(parameter("a=\""), pair("a", ""));
        let first = parse(b" log-buf-len=1M").next().unwrap();
        assert!(first.is_named(b"log_buf_len") && first.is_named(b"log-buf-len") && !first.is_named(b"log"));
    }

    /// `next_arg` of `lib/cmdline.c`, step by step: name, value, and the rest of the line.
    fn next_arg(line: &[u8]) -> (Vec<u8>, Option<Vec<u8>>, &[u8]) {
        let mut args = line.to_vec();
        args.push(0);
        let (mut at, mut is_quoted, mut starts_quoted) = (0, false, false);
        if args[0] == b'"' {
            (at, is_quoted, starts_quoted) = (1, true, true);
        }
        let (mut i, mut equals) = (0, 0);
        while args[at + i] != 0 {
            let byte = args[at + i];
            if is_space(byte) && !is_quoted {
                break;
            }
            if equals == 0 && byte == b'=' {
                equals = i;
            }
            is_quoted ^= byte == b'"';
            i += 1;
        }
        let rest = line.get(at + i..).unwrap_or_default();
        let mut value = None;
        if equals != 0 {
            args[at + equals] = 0;
            let mut start = at + equals + 1;
            if args[start] == b'"' {
                start += 1;
                if args[at + i - 1] == b'"' {
                    args[at + i - 1] = 0;
                }
            }
            value = Some(start);
        }
        if starts_quoted && i > 0 && args[at + i - 1] == b'"' {
            args[at + i - 1] = 0;
        }
        args[at + i] = 0;
        let text = |start: usize| args[start..].split(|&byte| byte == 0).next().unwrap().to_vec();
        (text(at), value.map(text), split_spaces(rest).1)
    }

    proptest! {
        #[test]
        fn parameters_are_split_as_by_the_kernel(line in "[a\"= \u{b}-]{0,20}") {
            let mut rest = split_spaces(line.as_bytes()).1;
            for parameter in parse(line.as_bytes()) {
                let (name, value, next) = next_arg(rest);
                prop_assert_eq!(parameter.name(), name);
                prop_assert_eq!(parameter.value(), value.as_deref());
                rest = next;
            }
            prop_assert!(rest.is_empty());
        }

        #[test]
        fn an_added_parameter_is_one_of_the_kernels(line in "[a\"= -]{0,20}") {
            let mut bytes = line.clone().into_bytes();
            let offset = add(&mut bytes, b"new=1");
            prop_assert!(of_kernel(&bytes).any(|it| it.text == b"new=1" && it.offset == offset));
            let others = parse(&bytes).filter(|it| it.offset != offset).map(|it| it.text);
            prop_assert!(others.eq(parse(line.as_bytes()).map(|it| it.text)));
        }
    }
}
