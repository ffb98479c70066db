use super::*;
use crate::kernel::btf::tests::Builder;
use crate::kernel::kallsyms::Encoding;
use crate::kernel::kallsyms::tests::{END, MAP, info};
use crate::test_memory::TestMemory;

/// Where the objects are, and the types after them.
const OBJECTS: usize = END;
const TYPES: usize = END + 0x3000;

/// The symbols, by letter, name and offset.
const SYMBOLS: [(&str, usize); 12] = [
    ("T_stext", 0),
    ("Dinit_uts_ns", 0x8100),
    ("Dtext", OBJECTS),
    ("Dfirst", OBJECTS + 0x100),
    ("dtwice", OBJECTS + 0x110),
    ("dtwice", OBJECTS + 0x120),
    ("Dhead", OBJECTS + 0x200),
    ("Dtable", OBJECTS + 0x300),
    ("Dtyped", OBJECTS + 0x400),
    ("Dmodules", OBJECTS + 0x500),
    ("R__start_BTF", TYPES),
    ("R__stop_BTF", 0),
];

/// Types: `struct s { struct s *next; struct list_head list; char *name; void *key; int key_size;
/// int bits:3; char tag[4]; }`, and those of modules.
fn types() -> Builder {
    let mut types = Builder::new();
    let long = types.integer(8);
    let int = types.add("int", 1 << 24, 4, &[32]);
    let char = types.add("char", 1 << 24, 1, &[8]);
    let head = types.structure("list_head", 16, &[("next", 5, 0), ("prev", 5, 64)]);
    let to_head = types.add("", 2 << 24, head, &[]);
    let to_char = types.add("", 2 << 24, char, &[]);
    let to_void = types.add("", 2 << 24, 0, &[]);
    let tag = types.add("", 3 << 24, 0, &[char, int, 4]);
    let to_s = types.add("", 2 << 24, 10, &[]);
    let words = [
        ("next", to_s, 0),
        ("list", head, 64),
        ("name", to_char, 192),
        ("key", to_void, 256),
        ("key_size", int, 320),
        ("tag", tag, 352),
        ("bits", int, 3 << 24 | 384),
    ];
    let words: Vec<u32> = words.iter().flat_map(|(name, id, bit)| [types.name(name), *id, *bit]).collect();
    let s = types.add("s", 1 << 31 | 4 << 24 | 7, 56, &words);
    assert_eq!((to_head, s), (5, 10));
    types.structure("module", 64, &[("list", head, 0), ("name", tag, 128), ("kallsyms", 13, 192)]);
    types.structure(
        "mod_kallsyms",
        24,
        &[("symtab", long, 0), ("num_symtab", int, 64), ("strtab", long, 128)],
    );
    let to_symbols = types.add("", 2 << 24, 12, &[]);
    assert_eq!(to_symbols, 13);
    types.add("typed", 14 << 24, s, &[0]);
    types
}

/// Three objects at 0x1000, 0x1100, 0x1200 after `OBJECTS`, linked in both ways.
fn memory() -> TestMemory {
    let bytes = types().bytes();
    let end = TYPES + bytes.len();
    let symbols: Vec<_> = SYMBOLS
        .iter()
        .map(|(name, at)| (*name, MAP + if *name == "R__stop_BTF" { end } else { *at } as u64))
        .collect();
    let mut memory = TestMemory::with_symbols(&symbols, Encoding::Unsigned);
    memory.0.resize(end, b'.');
    memory.put(TYPES, &bytes);
    let object = |n: usize| OBJECTS + 0x1000 + n * 0x100;
    let virt = |at: usize| MAP + at as u64;
    for n in 0..3 {
        let at = object(n);
        memory.put_u64(at, if n < 2 { virt(object(n + 1)) } else { 0 });
        let [before, after] = [n.checked_sub(1), Some(n + 1).filter(|n| *n < 3)]
            .map(|n| n.map_or(OBJECTS + 0x200, |n| object(n) + 8));
        memory.put_u64(at + 8, virt(after));
        memory.put_u64(at + 16, virt(before));
        memory.put_u64(at + 24, virt(at + 0x80));
        memory.put(at + 0x80, b"name\0");
        memory.put_u64(at + 32, if n == 1 { 0 } else { virt(at + 0x90) });
        memory.put(at + 40, &u32::try_from(10 + n).unwrap().to_le_bytes());
    }
    memory.put_u64(OBJECTS + 0x100, virt(object(0)));
    memory.put_u64(OBJECTS + 0x200, virt(object(0) + 8));
    memory.put_u64(OBJECTS + 0x208, virt(object(2) + 8));
    for n in 0..3 {
        memory.put_u64(OBJECTS + 0x300 + n * 8, if n == 1 { 0 } else { virt(object(n)) });
    }
    module(&mut memory);
    memory
}

/// A module `mod` with the symbols `own` and `text`.
fn module(memory: &mut TestMemory) {
    let virt = |at: usize| MAP + at as u64;
    let (list, at) = (OBJECTS + 0x500, OBJECTS + 0x600);
    memory.put_u64(list, virt(at));
    memory.put_u64(list + 8, virt(at));
    memory.put_u64(at, virt(list));
    memory.put_u64(at + 8, virt(list));
    memory.put(at + 16, b"mod\0");
    memory.put_u64(at + 24, virt(at + 0x40));
    memory.put_u64(at + 0x40, virt(at + 0x80));
    memory.put_u64(at + 0x48, 3);
    memory.put_u64(at + 0x50, virt(at + 0x70));
    memory.put(at + 0x70, b"\0own\0text\0");
    let symbols = [(0, 0, 0), (1, 1, OBJECTS + 0x700), (5, 1, OBJECTS + 0x710)];
    for (n, (name, section, value)) in symbols.into_iter().enumerate() {
        let entry = at + 0x80 + n * 24;
        memory.put(entry, &u32::to_le_bytes(name));
        memory.put(entry + 4, &[0, 0, section, 0]);
        memory.put_u64(entry + 8, virt(value));
        memory.put_u64(entry + 16, 0);
    }
}

fn find(memory: &TestMemory, rules: &str) -> Result<Erasures> {
    Rules::parse(rules.as_bytes())?.find(memory, &info(Encoding::Unsigned), None)
}

/// The erased bytes, by offset from the objects and length, and the commands.
fn erased(rules: &str) -> (Vec<(u64, u64)>, String) {
    let erasures = find(&memory(), rules).unwrap();
    let mut places: Vec<_> = [&erasures.letters, &erasures.zeros]
        .iter()
        .flat_map(|ranges| ranges.iter().map(|one| (one.start - OBJECTS as u64, one.end - one.start)))
        .collect();
    places.sort_unstable();
    (places, erasures.list)
}

#[test]
fn data_is_found_by_symbols_and_types() {
    for (rules, places, list) in [
        ("type text char [16]\nerase text", &[(0, 16)][..], "erase text size 16\n"),
        ("type text char [4][4]\nerase text size 3", &[(0, 3)], "erase text size 3\n"),
        ("erase typed.tag", &[(0x42c, 4)], "erase typed.tag size 4\n"),
        ("erase typed.key nullify", &[(0x420, 8)], "erase typed.key nullify\n"),
        ("type first struct s *\nerase first", &[(0x1000, 56)], "erase first size 56\n"),
        ("type first struct s *\nerase first.name", &[(0x1080, 4)], "erase first.name size 4\n"),
        (
            "type first struct s *\nerase first.next.next.tag",
            &[(0x122c, 4)],
            "erase first.next.next.tag size 4\n",
        ),
        ("type first struct s *\nerase first.next.key size 9", &[], ""),
        (
            "type first struct s *\nerase first.key size first.key_size",
            &[(0x1090, 10)],
            "erase first.key size 10\n",
        ),
    ] {
        assert_eq!(erased(rules), (places.to_vec(), list.to_owned()), "{rules}");
    }
}

#[test]
fn loops_visit_every_element_of_arrays_and_lists() {
    let all = [(0x1090, 10), (0x1290, 12)];
    let list = "erase e.key size 10\nerase e.key size 12\n";
    for head in [
        "type first struct s *\nfor e in first via next",
        "type first struct s *\nfor e in first",
        "for e in head within s:list",
        "for e in head.next within s:list",
        "for e in head.prev within s",
        "type table struct s * [3]\nfor e in table",
    ] {
        let rules = format!("{head}\nerase e.key size e.key_size\nendfor\n");
        assert_eq!(erased(&rules), (all.to_vec(), list.to_owned()), "{head}");
    }
    let array = "type text struct s [2]\nfor e in text\nerase e.tag\nendfor";
    assert_eq!(erased(array).0, [(0x2c, 4), (0x64, 4)]);
}

#[test]
fn rules_that_do_not_fit_the_kernel_are_errors() {
    let first = "type first struct s *\n";
    for (rules, message) in [
        ("erase nothing", "line 1: there is no symbol nothing"),
        ("erase twice size 3", "line 1: several symbols are named twice"),
        ("type text struct u\nerase text", "line 1: the kernel has no type named u"),
        ("erase typed.nothing", "line 1: typed has no member nothing"),
        ("erase typed.tag.x", "line 1: typed.tag is an array; `for` loops over its elements"),
        ("erase typed.key_size.x", "line 1: typed.key_size is not a structure, nor a pointer to one"),
        ("erase typed.bits", "line 1: typed.bits is a bit field"),
        ("erase typed nullify", "line 1: typed is not a pointer, so it cannot be nullified"),
        ("erase typed.tag size typed.key", "line 1: the size typed.key is not an integer"),
        (
            "\nerase typed.key",
            "line 2: the type of typed.key has no size: add `size` or, for a pointer, `nullify`",
        ),
        ("for e in typed.list\nendfor", "line 1: typed.list is a list head: add `within STRUCTURE:MEMBER`"),
        ("for e in typed within s:list\nendfor", "line 1: typed is not a list head: remove `within`"),
        ("for e in head within s:name\nendfor", "line 1: s.name is not a list head"),
        ("for e in head within u:list\nendfor", "line 1: the kernel has no structure u"),
        ("for e in typed via name\nendfor", "line 1: typed.name is not a pointer to another such structure"),
        ("for e in typed.tag via next\nendfor", "line 1: typed.tag is an array: remove `via`"),
        (
            "erase typed.tag size 2000M",
            "line 1: typed.tag has 2097152000 bytes to erase; the limit is 1073741824",
        ),
        ("[mod]\nerase nothing", "line 2: there is no symbol nothing"),
    ] {
        assert_eq!(find(&memory(), rules).unwrap_err().to_string(), message, "{rules}");
    }
    let unknown = find(&memory(), "erase head size 3").unwrap_err().to_string();
    assert!(unknown.contains("a line `type head TYPE` declares it"), "{unknown}");
    let unmapped = find(&memory(), &format!("{first}erase first size 1024M")).unwrap_err();
    assert!(unmapped.whole().starts_with("line 2: first: "), "{}", unmapped.whole());
}

#[test]
fn the_symbols_of_a_module_precede_those_of_the_kernel() {
    let rules = "[mod]\ntype own char [8]\nerase own\ntype text int\nerase text\ntype first struct s *
        erase first.name\n[other]\nerase own\n";
    assert_eq!(erased(rules).0, [(0x700, 8), (0x710, 4), (0x1080, 4)]);
    let erasures = find(&memory(), rules).unwrap();
    assert_eq!((erasures.unloaded_modules(), erasures.amount()), (&["other".to_owned()][..], (16, 3)));
}

#[test]
fn lists_that_are_circles_end() {
    let rules = "type first struct s *\nfor e in first via next\nerase e.tag\nendfor";
    let all = [(0x102c, 4), (0x112c, 4), (0x122c, 4)];
    for to in 0..3 {
        let mut memory = memory();
        memory.put_u64(OBJECTS + 0x1200, MAP + (OBJECTS + 0x1000 + to * 0x100) as u64);
        let found = find(&memory, rules).unwrap();
        let places: Vec<_> =
            found.letters.iter().map(|one| (one.start - OBJECTS as u64, one.end - one.start)).collect();
        assert_eq!(places, all, "{to}");
    }
}

#[test]
fn a_list_without_its_way_back_is_damaged() {
    let mut memory = memory();
    memory.put_u64(OBJECTS + 0x1208, MAP + (OBJECTS + 0x1008) as u64);
    let error = find(&memory, "for e in head within s:list\nerase e.tag\nendfor").unwrap_err();
    assert!(error.to_string().starts_with("line 1: head is damaged: "), "{error}");
}

#[test]
fn more_elements_than_the_limit_are_an_error() {
    let rules = "type text char [4294967295]\nfor e in text\nendfor";
    let error = find(&memory(), rules).unwrap_err().to_string();
    assert_eq!(error, "line 2: text has too many elements: the limit is 1048576");
}
