use super::*;

const ALL: &str = "# secrets
erase core_pattern size 2K\t# comment
[mymodule]
type mystruct2 struct s2*
type names char * [4][0x10]
type count unsigned long
erase mystruct1.buffer
    size 25
erase mystruct2.addr size mystruct2.addr_size
erase mystruct1.addr1 nullify
for s in head.next within s1:link
\terase s.key size s.key_size
endfor
[vmlinux]
for s in first via next
endfor
for s in array
erase s
endfor
";

fn expression(text: &str) -> Expression {
    let mut names = text.split('.').map(str::to_owned);
    Expression { start: names.next().unwrap(), members: names.collect() }
}

fn erase_at(line: usize, what: &str, how: How) -> Erase {
    Erase { line, what: expression(what), how }
}

#[test]
fn all_forms_of_rules_are_understood() {
    let Rules { sections } = Rules::parse(ALL.as_bytes()).unwrap();
    let names: Vec<_> = sections.iter().map(|one| (one.line, one.module.as_deref())).collect();
    assert_eq!(names, [(0, None), (3, Some("mymodule")), (14, None)]);
    assert_eq!(sections[0].commands, [Command::Erase(erase_at(2, "core_pattern", How::Bytes(2048)))]);
    let declared: Vec<_> = sections[1]
        .types
        .iter()
        .map(|one| (one.symbol.as_str(), one.is_structure, one.name.as_str(), one.pointers, &*one.dimensions))
        .collect();
    assert_eq!(
        declared,
        [
            ("mystruct2", true, "s2", 1, &[][..]),
            ("names", false, "char", 1, &[4, 16]),
            ("count", false, "long unsigned int", 0, &[]),
        ]
    );
    assert_eq!(
        sections[1].commands,
        [
            Command::Erase(erase_at(7, "mystruct1.buffer", How::Bytes(25))),
            Command::Erase(erase_at(9, "mystruct2.addr", How::SizeIn(expression("mystruct2.addr_size")))),
            Command::Erase(erase_at(10, "mystruct1.addr1", How::Nullify)),
            Command::Loop(Loop {
                line: 11,
                variable: "s".to_owned(),
                list: expression("head.next"),
                links: Links::Within("s1".to_owned(), "link".to_owned()),
                body: vec![erase_at(12, "s.key", How::SizeIn(expression("s.key_size")))],
            }),
        ]
    );
    let links = |command: &Command| match command {
        Command::Loop(one) => one.links.clone(),
        Command::Erase(_) => panic!("not a loop"),
    };
    let links: Vec<_> = sections[2].commands.iter().map(links).collect();
    assert_eq!(links, [Links::Via("next".to_owned()), Links::ByType]);
    assert_eq!(
        sections[1].symbols().into_iter().collect::<Vec<_>>(),
        ["head", "mystruct1", "mystruct2"],
        "the variable of a loop is not a symbol"
    );
}

#[test]
fn an_error_names_its_line() {
    for (text, message) in [
        ("erase", "line 1: expected a symbol after `erase`"),
        ("\nerase size 3", "line 2: expected a symbol after `erase`"),
        ("erase a size", "line 1: expected a number of bytes or a variable after `size`"),
        ("erase a size 0", "line 1: \"0\" is not a size: a number of bytes above 0, or with K or M"),
        ("erase a size 17E", "line 1: \"17E\" is not a size: a number of bytes above 0, or with K or M"),
        (
            "erase a size 99999999999999M",
            "line 1: \"99999999999999M\" is not a size: a number of bytes above 0, or with K or M",
        ),
        ("erase a..b", "line 1: \"\" is not a name"),
        ("erase a-b", "line 1: \"a-b\" is not a name"),
        ("[a\nerase b", "line 1: a section starts with a line [vmlinux] or [MODULE]"),
        ("[]", "line 1: \"\" is not a name"),
        ("wipe a", "line 1: \"wipe\" is not a command: expected erase, for or type"),
        ("endfor", "line 1: `endfor` without `for`"),
        ("for a in b\nerase a", "line 1: `for` without `endfor`"),
        ("for a in b\nerase a\n[x]\nendfor", "line 1: `for` without `endfor`"),
        ("for a b\nendfor", "line 1: expected `in` after the variable of the loop"),
        ("for a.b in c\nendfor", "line 1: expected a variable after `for`"),
        ("for a in b\nfor c in d", "line 2: \"for\" in a loop: expected erase or endfor"),
        ("for a in b\nerase c", "line 2: in this loop, a path to erase must start with its variable, a"),
        ("type a", "line 1: expected the name of a type, such as `struct net` or `unsigned long`"),
        ("type", "line 1: expected `type SYMBOL TYPE`"),
        ("type a struct b c", "line 1: expected the name of a type, such as `struct net` or `unsigned long`"),
        ("type a char [0]", "line 1: expected a number of elements between [ and ]"),
        ("type a char [1", "line 1: expected ] after the number of elements"),
        ("type a char [1] *", "line 1: \"*\" is not expected here in a type"),
        ("type a char *********", "line 1: a type with more than 8 stars or dimensions"),
    ] {
        assert_eq!(Rules::parse(text.as_bytes()).unwrap_err().to_string(), message, "{text}");
    }
    assert!(Rules::parse(&vec![b'\n'; MOST_BYTES + 1]).is_err());
    assert!(Rules::parse(b"# nothing\n[module]\ntype a int\n").unwrap().is_empty());
}
