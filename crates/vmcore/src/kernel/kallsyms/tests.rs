use proptest::prelude::*;

use super::*;
use crate::test_memory::TestMemory;

/// Where the kernel's image is mapped; it lies at physical address 0.
pub(crate) const MAP: u64 = 0xffff_ffff_8000_0000;
const COUNT: usize = 0x3000;
const BASE: usize = 0x3008;
const INDEX: usize = 0x4000;
/// Crosses the end of a page.
const TABLE: usize = 0x4ff0;
const OFFSETS: usize = 0x6000;
const NAMES: usize = 0x7000;
/// The memory after it has other uses.
pub(crate) const END: usize = 0x9000;

const VMCOREINFO: &str = "SYMBOL(init_top_pgt)=ffffffff80001000
NUMBER(phys_base)=0
SYMBOL(_stext)=ffffffff80000000
SYMBOL(init_uts_ns)=ffffffff80008100
SYMBOL(kallsyms_num_syms)=ffffffff80003000
SYMBOL(kallsyms_token_index)=ffffffff80004000
SYMBOL(kallsyms_token_table)=ffffffff80004ff0
SYMBOL(kallsyms_offsets)=ffffffff80006000
SYMBOL(kallsyms_names)=ffffffff80007000
";

impl TestMemory {
    /// Memory of a kernel: page tables with one page of 1 GiB, and the table of symbols, given by
    /// letter, name and value.
    pub(crate) fn with_symbols(symbols: &[(&str, u64)], encoding: Encoding) -> Self {
        let mut memory = Self(vec![0; END]);
        memory.put(0x1ff8, &0x2003_u64.to_le_bytes());
        memory.put(0x2ff0, &0x83_u64.to_le_bytes());
        memory.put(COUNT, &u32::try_from(symbols.len()).unwrap().to_le_bytes());
        memory.put(BASE, &MAP.to_le_bytes());
        memory.tokens();
        let mut at = NAMES;
        for (number, (name, value)) in symbols.iter().enumerate() {
            let name = compressed(name);
            memory.put(at, &name);
            at += name.len();
            let place = OFFSETS + number * 4;
            memory.put(place, &offset(*value, place, encoding).to_le_bytes());
        }
        memory
    }

    /// Each byte is a token for itself, except one that stands for a longer text.
    fn tokens(&mut self) {
        let mut at = 0;
        for byte in 0..=255_u8 {
            self.put(INDEX + usize::from(byte) * 2, &u16::try_from(at).unwrap().to_le_bytes());
            let text = if byte == b'~' { &b"section"[..] } else { &[byte] };
            self.put(TABLE + at, text);
            at += text.len() + 1;
        }
    }
}

fn compressed(name: &str) -> Vec<u8> {
    let tokens = name.replace("section", "~");
    let length = tokens.len();
    let mut bytes = match u8::try_from(length).ok().filter(|length| *length < LONG) {
        Some(length) => vec![length],
        None => vec![u8::try_from(length & 0x7f).unwrap() | LONG, u8::try_from(length >> 7).unwrap()],
    };
    bytes.extend(tokens.bytes());
    bytes
}

fn offset(value: u64, place: usize, encoding: Encoding) -> i32 {
    let inside = i32::try_from(value.wrapping_sub(MAP));
    match encoding {
        Encoding::Signed => inside.map_or_else(|_| i32::try_from(value).unwrap(), |inside| -1 - inside),
        Encoding::Unsigned => inside.unwrap(),
        Encoding::FromPlace => inside.unwrap() - i32::try_from(place).unwrap(),
    }
}

pub(crate) fn info(encoding: Encoding) -> Vmcoreinfo {
    let base = "SYMBOL(kallsyms_relative_base)=ffffffff80003008\n";
    let base = if encoding == Encoding::FromPlace { "" } else { base };
    Vmcoreinfo::parse(&[VMCOREINFO, base].concat().into_bytes())
}

const ALL: [Encoding; 3] = [Encoding::Signed, Encoding::Unsigned, Encoding::FromPlace];

fn symbols() -> Vec<(&'static str, u64)> {
    vec![
        ("T_stext", MAP),
        ("tdo_nothing", MAP + 0x100),
        ("Dinit_uts_ns", MAP + 0x8100),
        ("Bmem_section", MAP + 0x8200),
        ("bmem_section", MAP + 0x8300),
    ]
}

#[test]
fn symbols_are_found_in_every_encoding() {
    for encoding in ALL {
        let memory = TestMemory::with_symbols(&symbols(), encoding);
        let table = Kallsyms::open(&memory, &info(encoding)).unwrap();
        let found = table.find(&["mem_section", "do_nothing", "nowhere"]).unwrap();
        // Of two with the same name the first counts.
        assert_eq!(
            found,
            [("do_nothing", MAP + 0x100), ("mem_section", MAP + 0x8200)].into(),
            "{encoding:?}"
        );
    }
}

#[test]
fn per_cpu_symbols_have_values_that_are_not_addresses() {
    let encoding = Encoding::Signed;
    let all = [&[("Acpu_number", 0x1_c034)][..], &symbols()].concat();
    let memory = TestMemory::with_symbols(&all, encoding);
    let found =
        Kallsyms::open(&memory, &info(encoding)).unwrap().find(&["cpu_number", "mem_section"]).unwrap();
    assert_eq!(found, [("cpu_number", 0x1_c034), ("mem_section", MAP + 0x8200)].into());
}

#[test]
fn names_may_be_long() {
    let long = format!("t{}", "x".repeat(300));
    let too_long = format!("t{}", "y".repeat(600));
    let all = [&[(&*long, MAP + 0x40), (&*too_long, MAP + 0x50)][..], &symbols()].concat();
    let memory = TestMemory::with_symbols(&all, Encoding::Unsigned);
    let table = Kallsyms::open(&memory, &info(Encoding::Unsigned)).unwrap();
    let found = table.find(&[&long[1..], &too_long[1..], "mem_section"]).unwrap();
    assert_eq!(found, [(&long[1..], MAP + 0x40), ("mem_section", MAP + 0x8200)].into());
}

#[test]
fn a_table_that_disagrees_with_vmcoreinfo_is_refused() {
    let mut moved = symbols();
    moved[2].1 += 8;
    let others = [("T_text", MAP)];
    for symbols in [&moved[..], &others] {
        let memory = TestMemory::with_symbols(symbols, Encoding::Unsigned);
        let table = Kallsyms::open(&memory, &info(Encoding::Unsigned)).unwrap();
        assert!(matches!(table.find(&["mem_section"]), Err(Error::SymbolMismatch)));
    }
}

#[test]
fn more_symbols_than_any_kernel_has_are_refused() {
    let mut memory = TestMemory::with_symbols(&symbols(), Encoding::Unsigned);
    memory.put(COUNT, &(MOST_SYMBOLS + 1).to_le_bytes());
    let refused = Kallsyms::open(&memory, &info(Encoding::Unsigned)).map(|_| ());
    assert!(matches!(refused, Err(Error::TooLarge { .. })));
}

#[test]
fn names_outside_memory_are_an_error() {
    let mut memory = TestMemory::with_symbols(&symbols(), Encoding::Unsigned);
    memory.put(COUNT, &MOST_SYMBOLS.to_le_bytes());
    let table = Kallsyms::open(&memory, &info(Encoding::Unsigned)).unwrap();
    assert!(matches!(table.find(&["mem_section"]), Err(Error::Absent { .. })));
}

proptest! {
    #[test]
    fn damage_is_an_error_or_harmless(changes in prop::collection::vec((0x3000..END, any::<u8>()), 1..64)) {
        let mut memory = TestMemory::with_symbols(&symbols(), Encoding::Unsigned);
        for (at, byte) in changes {
            memory.put(at, &[byte]);
        }
        let wanted = ["mem_section", "do_nothing"];
        let table = Kallsyms::open(&memory, &info(Encoding::Unsigned));
        if let Ok(found) = table.and_then(|table| table.find(&wanted)) {
            prop_assert!(found.keys().all(|name| wanted.contains(name)));
        }
    }
}
