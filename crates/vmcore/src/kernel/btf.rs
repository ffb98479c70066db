//! BTF: the kernel's types, as stored in the kernel (Linux, include/uapi/linux/btf.h).
//!
//! ```text
//! header    magic, version, flags; its size; offsets of types, strings and, in newer kernels, the layout of
//!           kinds, from its end
//! types     name, info, size or type; then a part that depends on the kind. The first has the number 1
//! strings   each ends with a zero
//! ```

mod shape;

use crate::format::field::{u8_at, u16_at, u32_at};
use crate::{Error, Result};

pub(crate) use shape::joined;
pub use shape::{Place, Shape, TypeName};

const MAGIC: u16 = 0xeb9f;
const VERSION: u8 = 1;
/// Bytes of the header up to the strings; with the layout of kinds it is eight bytes longer.
const HEADER: usize = 24;
/// Name, info, size or type.
const TYPE: usize = 12;
/// The most types of a kernel (`BTF_MAX_TYPE`).
const MOST_TYPES: usize = 0x000f_ffff;
/// The deepest nesting of structures, and of typedefs, that is followed.
const MOST_DEPTH: u32 = 16;
/// The most members that one look-up visits; no structure has as many.
const MOST_MEMBERS: u32 = 1 << 20;

/// Numbers of kinds.
mod kind {
    pub(super) const INTEGER: u32 = 1;
    pub(super) const POINTER: u32 = 2;
    pub(super) const ARRAY: u32 = 3;
    pub(super) const STRUCT: u32 = 4;
    pub(super) const UNION: u32 = 5;
    pub(super) const ENUM: u32 = 6;
    pub(super) const TYPEDEF: u32 = 8;
    pub(super) const VOLATILE: u32 = 9;
    pub(super) const CONST: u32 = 10;
    pub(super) const RESTRICT: u32 = 11;
    pub(super) const VARIABLE: u32 = 14;
    pub(super) const TYPE_TAG: u32 = 18;
    pub(super) const ENUM64: u32 = 19;
}

/// The types, for look-ups by name.
#[derive(Debug)]
pub struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Where in `types` each type starts.
    starts: Vec<u32>,
}

/// One type.
#[derive(Clone, Copy, Debug)]
struct Type {
    name: u32,
    kind: u32,
    /// Members, constants, parameters.
    count: u32,
    /// Its meaning depends on the kind.
    flag: bool,
    /// Bytes, or the number of another type.
    size_or_type: u32,
    /// Where the part that depends on the kind starts.
    rest: usize,
}

/// A member of a structure; its place is relative to the outermost structure.
#[derive(Clone, Copy, Debug)]
struct Member {
    bit: u64,
    /// Bits of a bit field; 0 for other members.
    width: u32,
    id: u32,
}

impl<'a> Btf<'a> {
    /// Parses the header, and finds where each type is.
    ///
    /// # Errors
    /// [`Error::Btf`]: the bytes are not BTF, are truncated, or have a kind of type of unknown
    /// size.
    pub fn parse(bytes: &'a [u8]) -> Result<Self> {
        if bytes.len() < HEADER || u16_at(bytes, 0) != MAGIC || u8_at(bytes, 2) != VERSION {
            return Err(Error::Btf { offset: 0, reason: "not a BTF header" });
        }
        let section = |at| section(bytes, at).ok_or(Error::Btf { offset: at as u64, reason: "cut off" });
        let (types, strings) = (section(8)?, section(16)?);
        // A header of the older form ends before it: bytes there are not a layout.
        let layout = if u32_at(bytes, 4) as usize >= HEADER + 8 { section(24)? } else { &[] };
        Ok(Self { types, strings, starts: starts(types, layout)? })
    }

    /// The size of a structure or union, in bytes.
    #[must_use]
    pub fn size(&self, structure: &str) -> Option<u64> {
        self.structure(structure).map(|found| found.size_or_type.into())
    }

    /// The offset of a member in bytes; it may be in an unnamed part of the structure. `None` for a
    /// bit field that does not start at a byte.
    #[must_use]
    pub fn offset(&self, structure: &str, member: &str) -> Option<u64> {
        let bit = self.member(structure, member)?.bit;
        bit.is_multiple_of(8).then_some(bit / 8)
    }

    /// The number of elements of a member that is an array.
    #[must_use]
    pub fn length(&self, structure: &str, member: &str) -> Option<u64> {
        let array = self.resolved(self.member(structure, member)?.id)?;
        // Type of the elements, type of the index, number of elements.
        (array.kind == kind::ARRAY).then(|| u32_at(self.types, array.rest + 8).into())
    }

    /// The value of a constant.
    #[must_use]
    pub fn constant(&self, enumeration: &str, name: &str) -> Option<i64> {
        let mut found = self.types().filter(|one| {
            matches!(one.kind, kind::ENUM | kind::ENUM64) && self.name(one.name) == enumeration.as_bytes()
        });
        found.find_map(|one| self.constant_of(one, name))
    }

    fn constant_of(&self, enumeration: Type, name: &str) -> Option<i64> {
        let is_wide = enumeration.kind == kind::ENUM64;
        let size = if is_wide { 12 } else { 8 };
        let places = (0..enumeration.count as usize).map(|index| enumeration.rest + index * size);
        let mut named = places.filter(|at| self.name(u32_at(self.types, *at)) == name.as_bytes());
        let at = named.next()?;
        let low = u32_at(self.types, at + 4);
        Some(match (is_wide, enumeration.flag) {
            (true, _) => (u64::from(u32_at(self.types, at + 8)) << 32 | u64::from(low)).cast_signed(),
            (false, true) => low.cast_signed().into(),
            (false, false) => low.into(),
        })
    }

    fn structure(&self, name: &str) -> Option<Type> {
        let is = |one: &Type| {
            matches!(one.kind, kind::STRUCT | kind::UNION) && self.name(one.name) == name.as_bytes()
        };
        self.types().find(is)
    }

    fn member(&self, structure: &str, name: &str) -> Option<Member> {
        let mut left = MOST_MEMBERS;
        self.member_of(self.structure(structure)?, name.as_bytes(), MOST_DEPTH, &mut left)
    }

    /// Looks into unnamed parts, too.
    fn member_of(&self, structure: Type, name: &[u8], depth: u32, left: &mut u32) -> Option<Member> {
        let depth = depth.checked_sub(1)?;
        for index in 0..structure.count as usize {
            *left = left.checked_sub(1)?;
            let at = structure.rest + index * 12;
            let (own, id, offset) =
                (self.name(u32_at(self.types, at)), u32_at(self.types, at + 4), u32_at(self.types, at + 8));
            // If the flag is set, the upper eight bits are the width of a bit field.
            let bit = u64::from(if structure.flag { offset & 0x00ff_ffff } else { offset });
            let width = if structure.flag { offset >> 24 } else { 0 };
            if own == name {
                return Some(Member { bit, width, id });
            }
            let part = self.resolved(id).filter(|part| own.is_empty() && part.is_structure());
            if let Some(inner) = part.and_then(|part| self.member_of(part, name, depth, left)) {
                return Some(Member { bit: bit + inner.bit, ..inner });
            }
        }
        None
    }

    /// The type without typedefs and qualifiers such as `const`.
    fn resolved(&self, mut id: u32) -> Option<Type> {
        for _ in 0..MOST_DEPTH {
            let found = self.get(id)?;
            if !found.is_other_name() {
                return Some(found);
            }
            id = found.size_or_type;
        }
        None
    }

    fn types(&self) -> impl Iterator<Item = Type> {
        self.starts.iter().map(|start| Type::at(self.types, *start as usize))
    }

    fn get(&self, id: u32) -> Option<Type> {
        let index = usize::try_from(id).ok()?.checked_sub(1)?;
        self.starts.get(index).map(|start| Type::at(self.types, *start as usize))
    }

    /// Empty if there is none.
    fn name(&self, at: u32) -> &'a [u8] {
        let rest = usize::try_from(at).ok().and_then(|at| self.strings.get(at..)).unwrap_or_default();
        rest.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

impl Type {
    fn at(types: &[u8], start: usize) -> Self {
        let info = u32_at(types, start + 4);
        Self {
            name: u32_at(types, start),
            // Older formats use five bits and sixteen; the higher ones are 0 there.
            kind: info >> 24 & 0x7f,
            count: info & 0x00ff_ffff,
            flag: info >> 31 != 0,
            size_or_type: u32_at(types, start + 8),
            rest: start + TYPE,
        }
    }

    fn is_structure(&self) -> bool {
        matches!(self.kind, kind::STRUCT | kind::UNION)
    }

    fn is_other_name(&self) -> bool {
        matches!(self.kind, kind::TYPEDEF | kind::VOLATILE | kind::CONST | kind::RESTRICT | kind::TYPE_TAG)
    }

    /// Where the next type starts.
    fn end(&self, layout: &[u8]) -> Option<usize> {
        let (fixed, each) = sizes(self.kind).or_else(|| recorded_sizes(self.kind, layout))?;
        self.rest.checked_add(fixed)?.checked_add(each.checked_mul(self.count as usize)?)
    }
}

/// The bytes that an offset and a length in the header refer to.
fn section(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let word = |at| usize::try_from(u32_at(bytes, at)).ok();
    let start = word(4)?.checked_add(word(at)?)?;
    bytes.get(start..start.checked_add(word(at + 4)?)?)
}

fn starts(types: &[u8], layout: &[u8]) -> Result<Vec<u32>> {
    let mut starts = Vec::new();
    let mut at = 0;
    while at < types.len() {
        let damaged = |reason| Error::Btf { offset: at as u64, reason };
        if starts.len() == MOST_TYPES {
            return Err(damaged("too many types"));
        }
        starts.push(u32::try_from(at).map_err(|_| damaged("too many bytes of types"))?);
        let end = Type::at(types, at).end(layout).ok_or(damaged("a kind of unknown size"))?;
        at = Some(end).filter(|end| *end <= types.len()).ok_or(damaged("a type is truncated"))?;
    }
    Ok(starts)
}

/// Bytes after a type of a kind: fixed, and for each of its members.
const fn sizes(kind: u32) -> Option<(usize, usize)> {
    Some(match kind {
        // Integers, variables, tags of declarations.
        1 | 14 | 17 => (4, 0),
        kind::ARRAY => (12, 0),
        // Structures, sections, wide constants.
        kind::STRUCT | kind::UNION | 15 | kind::ENUM64 => (0, 12),
        // Constants, and the parameters of functions.
        kind::ENUM | 13 => (0, 8),
        // Pointers, declarations, other names, functions, floating point, tags of types.
        2 | 7..=12 | 16 | 18 => (0, 0),
        _ => return None,
    })
}

/// The same from BTF's own layout of kinds: for each kind two bytes, and two that are reserved.
fn recorded_sizes(kind: u32, layout: &[u8]) -> Option<(usize, usize)> {
    let at = usize::try_from(kind).ok()?.checked_mul(4).filter(|at| *at > 0)?;
    layout.get(at..at + 4).map(|sizes| (u8_at(sizes, 0).into(), u8_at(sizes, 1).into()))
}

#[cfg(test)]
pub(crate) mod tests;
