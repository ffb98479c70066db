//! Little-endian numbers in bytes.
//!
//! Bytes beyond the end read as 0: the caller has checked the length of the structure, and a
//! structure that an older version cut short has zeros there by definition.

use abi::{Field, Number};

/// The number in a field.
pub(crate) fn get<T: Number>(bytes: &[u8], field: Field<T>) -> T {
    field.read(bytes).unwrap_or_default()
}

/// Puts a number into a structure that has room for the field.
pub(crate) fn put<T: Number>(bytes: &mut [u8], field: Field<T>, number: T) {
    let is_written = field.write(bytes, number);
    debug_assert!(is_written, "the layout puts offset {} outside the structure", field.offset());
}

/// Puts bytes into a structure that has room for them.
pub(crate) fn put_bytes(structure: &mut [u8], at: usize, bytes: &[u8]) {
    structure[at..at + bytes.len()].copy_from_slice(bytes);
}

/// The number at an offset that is known at run time only.
pub(crate) fn u8_at(bytes: &[u8], at: usize) -> u8 {
    get(bytes, Field::at(at))
}

/// Likewise.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    get(bytes, Field::at(at))
}

/// Likewise.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    get(bytes, Field::at(at))
}

/// Likewise.
pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    get(bytes, Field::at(at))
}
