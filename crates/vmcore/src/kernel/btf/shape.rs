//! Types as C declares them: of variables, of members, of what pointers point to.

use super::{Btf, Member, Type, kind};
use super::{MOST_DEPTH, MOST_MEMBERS};
use crate::format::field::u32_at;

/// Bytes of a pointer.
pub(crate) const POINTER_SIZE: u64 = 8;

/// The name of a type: its number, or a type that is made of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TypeName {
    /// The number of a type; 0 is `void`.
    Number(u32),
    /// A pointer to a type.
    Pointer(Box<Self>),
    /// An array: type and number of its elements.
    Array(Box<Self>, u64),
}

/// The shape of a type, without typedefs and qualifiers such as `const`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `void`.
    Void,
    /// An integer or an enumeration.
    Integer {
        /// Its size in bytes.
        size: u64,
        /// Whether it is `char`, which texts consist of.
        is_char: bool,
    },
    /// A pointer to a type.
    Pointer(TypeName),
    /// An array: type and number of its elements.
    Array(TypeName, u64),
    /// The number of a structure or union.
    Structure(u32),
    /// Anything else: functions, structures without members, floating point.
    Other,
}

/// The place of a member in a structure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its offset in bytes; of a bit field, that of its first byte.
    pub offset: u64,
    /// Its type.
    pub of: TypeName,
    /// Whether it is a bit field.
    pub is_bit_field: bool,
}

impl Btf<'_> {
    /// The number of a structure or union with this name.
    #[must_use]
    pub fn structure_number(&self, name: &str) -> Option<u32> {
        self.number(name, |one| one.is_structure())
    }

    /// The number of an integer, an enumeration or a typedef with this name.
    #[must_use]
    pub fn plain_number(&self, name: &str) -> Option<u32> {
        self.number(name, |one| matches!(one.kind, kind::INTEGER | kind::ENUM | kind::ENUM64 | kind::TYPEDEF))
    }

    /// The type of a variable. Most kernels record only those of per-CPU variables.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<TypeName> {
        let is = |one: &Type| one.kind == kind::VARIABLE && self.name(one.name) == name.as_bytes();
        self.types().find(is).map(|found| TypeName::Number(found.size_or_type))
    }

    /// The shape of a type; `None` if there is none with this number.
    #[must_use]
    pub fn shape(&self, of: &TypeName) -> Option<Shape> {
        let number = match of {
            TypeName::Number(number) => *number,
            TypeName::Pointer(to) => return Some(Shape::Pointer((**to).clone())),
            TypeName::Array(of, count) => return Some(Shape::Array((**of).clone(), *count)),
        };
        let Some((number, found)) = self.without_other_names(number)? else { return Some(Shape::Void) };
        let size = found.size_or_type.into();
        Some(match found.kind {
            kind::INTEGER => Shape::Integer { size, is_char: self.name(found.name) == b"char" },
            kind::ENUM | kind::ENUM64 => Shape::Integer { size, is_char: false },
            kind::POINTER => Shape::Pointer(TypeName::Number(found.size_or_type)),
            // Type of the elements, type of the index, number of elements.
            kind::ARRAY => Shape::Array(
                TypeName::Number(u32_at(self.types, found.rest)),
                u32_at(self.types, found.rest + 8).into(),
            ),
            kind::STRUCT | kind::UNION => Shape::Structure(number),
            _ => Shape::Other,
        })
    }

    /// The size of a type in bytes. `None` for functions, and for types that are too deeply nested
    /// or too large.
    #[must_use]
    pub fn size_of(&self, of: &TypeName) -> Option<u64> {
        self.size_within(of, MOST_DEPTH)
    }

    fn size_within(&self, of: &TypeName, depth: u32) -> Option<u64> {
        let depth = depth.checked_sub(1)?;
        match self.shape(of)? {
            Shape::Void => Some(0),
            Shape::Integer { size, .. } => Some(size),
            Shape::Pointer(_) => Some(POINTER_SIZE),
            Shape::Array(element, count) => self.size_within(&element, depth)?.checked_mul(count),
            Shape::Structure(number) => Some(self.get(number)?.size_or_type.into()),
            Shape::Other => None,
        }
    }

    /// A member of the structure with this number; it may be in an unnamed part of it.
    #[must_use]
    pub fn place(&self, structure: u32, member: &str) -> Option<Place> {
        let mut left = MOST_MEMBERS;
        let Member { bit, width, id } =
            self.member_of(self.get(structure)?, member.as_bytes(), MOST_DEPTH, &mut left)?;
        let is_bit_field = width > 0 || !bit.is_multiple_of(8);
        Some(Place { offset: bit / 8, of: TypeName::Number(id), is_bit_field })
    }

    fn number(&self, name: &str, is: impl Fn(&Type) -> bool) -> Option<u32> {
        let index = self.types().position(|one| is(&one) && self.name(one.name) == name.as_bytes())?;
        u32::try_from(index + 1).ok()
    }

    /// The type, and its number, without typedefs and qualifiers; `Some(None)` for `void`.
    fn without_other_names(&self, mut number: u32) -> Option<Option<(u32, Type)>> {
        for _ in 0..MOST_DEPTH {
            if number == 0 {
                return Some(None);
            }
            let found = self.get(number)?;
            if !found.is_other_name() {
                return Some(Some((number, found)));
            }
            number = found.size_or_type;
        }
        None
    }
}

/// The types of a module and those of the kernel, which the module's continue: numbers and names
/// follow those of the kernel. `None` if one of them is not BTF.
#[must_use]
pub(crate) fn joined(kernel: &[u8], module: &[u8]) -> Option<Vec<u8>> {
    let part = |bytes, at| super::section(bytes, at);
    let types = [part(kernel, 8)?, part(module, 8)?].concat();
    let strings = [part(kernel, 16)?, part(module, 16)?].concat();
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).ok();
    let words = [u32::try_from(super::HEADER).ok()?, 0, length(&types)?, length(&types)?, length(&strings)?];
    let mut bytes = kernel.get(..4)?.to_vec();
    words.iter().for_each(|word| bytes.extend(word.to_le_bytes()));
    Some([bytes, types, strings].concat())
}
