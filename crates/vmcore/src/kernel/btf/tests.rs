use proptest::prelude::*;

use super::*;

/// A builder of BTF.
pub(crate) struct Builder {
    types: Vec<u8>,
    strings: Vec<u8>,
    layout: Vec<u8>,
    count: u32,
}

impl Builder {
    pub(crate) fn new() -> Self {
        Self { types: Vec::new(), strings: vec![0], layout: Vec::new(), count: 0 }
    }

    pub(crate) fn name(&mut self, name: &str) -> u32 {
        let at = u32::try_from(self.strings.len()).unwrap();
        self.strings.extend(name.as_bytes());
        self.strings.push(0);
        if name.is_empty() { 0 } else { at }
    }

    /// Returns the number of the type.
    pub(crate) fn add(&mut self, name: &str, info: u32, size_or_type: u32, rest: &[u32]) -> u32 {
        let name = self.name(name);
        for word in [name, info, size_or_type].iter().chain(rest) {
            self.types.extend(word.to_le_bytes());
        }
        self.count += 1;
        self.count
    }

    pub(crate) fn integer(&mut self, size: u32) -> u32 {
        self.add("long", 1 << 24, size, &[size * 8])
    }

    /// Members by name, number of the type and offset in bits.
    pub(crate) fn structure(&mut self, name: &str, size: u32, members: &[(&str, u32, u32)]) -> u32 {
        self.members(4 << 24, name, size, members)
    }

    fn members(&mut self, info: u32, name: &str, size: u32, members: &[(&str, u32, u32)]) -> u32 {
        let words: Vec<_> = members.iter().flat_map(|(name, id, bit)| [self.name(name), *id, *bit]).collect();
        self.add(name, info | u32::try_from(members.len()).unwrap(), size, &words)
    }

    pub(crate) fn constants(&mut self, name: &str, constants: &[(&str, u32)]) -> u32 {
        let words: Vec<_> = constants.iter().flat_map(|(name, value)| [self.name(name), *value]).collect();
        self.add(name, 6 << 24 | u32::try_from(constants.len()).unwrap(), 4, &words)
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap();
        let (types, strings) = (length(&self.types), length(&self.strings));
        let header = if self.layout.is_empty() { 24 } else { 32 };
        let mut bytes = vec![0x9f, 0xeb, 1, 0];
        let words = [header, 0, types, types, strings, types + strings, length(&self.layout)];
        let words = &words[..header as usize / 4 - 1];
        words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
        [&bytes[..], &self.types, &self.strings, &self.layout].concat()
    }
}

/// `struct page`: flags, then a union, as in the kernel.
fn page(builder: &mut Builder) {
    let long = builder.integer(8);
    let cache = builder.structure("", 24, &[("lru", long, 0), ("mapping", long, 128)]);
    let tail = builder.structure("", 24, &[("compound_head", long, 0), ("compound_order", long, 72)]);
    let either = builder.members(5 << 24, "", 24, &[("", cache, 0), ("", tail, 0)]);
    builder.structure("page", 64, &[("flags", long, 0), ("", either, 64), ("_mapcount", long, 384)]);
}

#[test]
fn members_are_found_in_unnamed_parts() {
    let mut builder = Builder::new();
    page(&mut builder);
    let bytes = builder.bytes();
    let btf = Btf::parse(&bytes).unwrap();
    assert_eq!(btf.size("page"), Some(64));
    for (member, offset) in
        [("flags", 0), ("lru", 8), ("mapping", 24), ("compound_head", 8), ("compound_order", 17)]
    {
        assert_eq!(btf.offset("page", member), Some(offset), "{member}");
    }
    assert_eq!(btf.offset("page", "private"), None);
    assert_eq!(btf.size("folio"), None);
}

#[test]
fn every_kind_is_skipped() {
    let mut builder = Builder::new();
    for (kind, count, words) in [
        (1, 0, 1),
        (2, 0, 0),
        (3, 0, 3),
        (4, 2, 6),
        (5, 2, 6),
        (6, 3, 6),
        (7, 0, 0),
        (8, 0, 0),
        (9, 0, 0),
        (10, 0, 0),
        (11, 0, 0),
        // Functions have their linkage in place of a number of members.
        (12, 1, 0),
        (13, 2, 4),
        (14, 0, 1),
        (15, 2, 6),
        (16, 0, 0),
        (17, 0, 1),
        (18, 0, 0),
        (19, 2, 6),
    ] {
        builder.add("other", kind << 24 | count, 8, &vec![0; words]);
    }
    page(&mut builder);
    assert_eq!(Btf::parse(&builder.bytes()).unwrap().size("page"), Some(64));
}

#[test]
fn an_unknown_kind_is_skipped_if_its_size_is_recorded() {
    let mut builder = Builder::new();
    builder.add("new", 20 << 24 | 3, 8, &[0; 4]);
    page(&mut builder);
    assert!(matches!(Btf::parse(&builder.bytes()), Err(Error::Btf { offset: 0, .. })));
    builder.layout = vec![0; 21 * 4];
    builder.layout[20 * 4..20 * 4 + 2].copy_from_slice(&[4, 4]);
    assert_eq!(Btf::parse(&builder.bytes()).unwrap().size("page"), Some(64));
}

#[test]
fn constants_may_be_signed_and_wide() {
    let mut builder = Builder::new();
    builder.constants("pageflags", &[("PG_locked", 0), ("PG_lru", 5)]);
    builder.constants("pagetype", &[("PGTY_buddy", 0xf000_0000)]);
    let name = builder.name("A");
    builder.add("signed", 1 << 31 | 6 << 24 | 1, 4, &[name, 0xffff_ff7f]);
    builder.add("wide", 19 << 24 | 1, 8, &[name, 1, 2]);
    let bytes = builder.bytes();
    let btf = Btf::parse(&bytes).unwrap();
    assert_eq!(btf.constant("pageflags", "PG_lru"), Some(5));
    assert_eq!(btf.constant("pagetype", "PGTY_buddy"), Some(0xf000_0000));
    assert_eq!(btf.constant("signed", "A"), Some(-129));
    assert_eq!(btf.constant("wide", "A"), Some(0x2_0000_0001));
    assert_eq!(btf.constant("pagetype", "PG_lru"), None);
}

#[test]
fn arrays_have_their_length_through_typedefs_too() {
    let mut builder = Builder::new();
    let long = builder.integer(8);
    let array = builder.add("", 3 << 24, 0, &[long, long, 11]);
    let constant = builder.add("", 10 << 24, array, &[]);
    builder.structure("zone", 512, &[("lock", long, 0), ("free_area", constant, 64)]);
    let bytes = builder.bytes();
    let btf = Btf::parse(&bytes).unwrap();
    assert_eq!(btf.length("zone", "free_area"), Some(11));
    assert_eq!(btf.length("zone", "lock"), None);
}

#[test]
fn bit_fields_have_no_offset_in_bytes() {
    let mut builder = Builder::new();
    let long = builder.integer(8);
    let width = 3 << 24;
    let members = [("first", long, width), ("second", long, width | 3), ("third", long, 64)];
    builder.members(1 << 31 | 4 << 24, "bits", 16, &members);
    let bytes = builder.bytes();
    let btf = Btf::parse(&bytes).unwrap();
    assert_eq!(["first", "second", "third"].map(|name| btf.offset("bits", name)), [Some(0), None, Some(8)]);
}

#[test]
fn a_structure_within_itself_ends() {
    let mut builder = Builder::new();
    builder.structure("loop", 8, &[("", 1, 0), ("", 1, 0), ("", 1, 0)]);
    builder.add("name", 8 << 24, 2, &[]);
    builder.structure("named", 8, &[("", 2, 0), ("last", 2, 0)]);
    let bytes = builder.bytes();
    let btf = Btf::parse(&bytes).unwrap();
    assert_eq!(btf.offset("loop", "x"), None);
    assert_eq!(btf.offset("named", "last"), Some(0));
    assert_eq!(btf.length("named", "last"), None);
}

#[test]
fn truncated_types_are_refused() {
    let mut builder = Builder::new();
    page(&mut builder);
    let bytes = builder.bytes();
    for length in 0..bytes.len() {
        assert!(Btf::parse(&bytes[..length]).is_err(), "{length}");
    }
}

proptest! {
    #[test]
    fn damaged_types_are_an_error_or_harmless(
        changes in prop::collection::vec((0..500_usize, any::<u8>()), 1..8),
    ) {
        let mut builder = Builder::new();
        page(&mut builder);
        builder.constants("pageflags", &[("PG_locked", 0), ("PG_lru", 5)]);
        let mut bytes = builder.bytes();
        for (at, byte) in changes {
            let length = bytes.len();
            bytes[at % length] = byte;
        }
        if let Ok(btf) = Btf::parse(&bytes) {
            // The offset of a part and the offset within it have 32 bits each.
            let most = u64::from(u32::MAX) / 8 * u64::from(MOST_DEPTH);
            prop_assert!(btf.offset("page", "mapping").is_none_or(|offset| offset <= most));
            let constant = btf.constant("pageflags", "PG_lru");
            prop_assert!(constant.is_none_or(|value| value >> 32 == 0 || value < 0));
            prop_assert!(btf.length("page", "mapping").is_none_or(|length| length <= u32::MAX.into()));
        }
    }
}
