//! One `erase` command, resolved by types.

use super::path::{Element, Memory, Path};
use super::ranges::Fill;
use super::rules::{Erase, How, bad};
use super::scope::Scope;
use crate::kernel::btf::{Btf, Shape};
use crate::{PhysRead, Result};

/// The most bytes that one command erases at a time: 1 GiB.
const MOST_BYTES: u64 = 1 << 30;
/// The longest text that a `char *` may point to without a size.
const MOST_TEXT: u64 = 64 << 10;
/// Bytes of text per read.
const PART: usize = 256;

/// A command that erases.
pub(super) struct Erasure {
    path: Path,
    size: Size,
    pub(super) fill: Fill,
}

/// How many bytes are erased.
enum Size {
    Bytes(u64),
    /// Those of a text, without its final zero.
    Text,
    /// The value of a variable of this many bytes.
    In(Path, usize),
}

/// Memory to erase, by virtual address.
pub(super) struct Piece {
    pub(super) line: usize,
    pub(super) address: u64,
    pub(super) size: u64,
}

impl Erasure {
    pub(super) fn new(erase: &Erase, scope: &Scope<'_>, element: Option<&Element<'_>>) -> Result<Self> {
        let line = erase.line;
        let mut path = Path::of_expression(line, &erase.what, scope, element)?;
        let shape = path.shape(scope.types)?;
        if erase.how == How::Nullify {
            return match shape {
                Shape::Pointer(_) => Ok(Self { path, size: Size::Bytes(8), fill: Fill::Zeros }),
                _ => Err(bad(line, &format!("{} is not a pointer, so it cannot be nullified", path.text))),
            };
        }
        let by_type = size_by_type(&path, &shape, scope.types)?;
        let size = match &erase.how {
            How::Bytes(bytes) => Size::Bytes(*bytes),
            How::SizeIn(variable) => size_in(line, variable, scope, element)?,
            How::ByType | How::Nullify => by_type.ok_or_else(|| {
                bad(
                    line,
                    &format!(
                        "the type of {} has no size: add `size` or, for a pointer, `nullify`",
                        path.text
                    ),
                )
            })?,
        };
        if let Shape::Pointer(to) = shape {
            path.follow(to);
        }
        Ok(Self { path, size, fill: Fill::Letter })
    }

    /// The expression as it was written.
    pub(super) fn text(&self) -> &str {
        &self.path.text
    }

    /// The memory to erase for an element of the loop; `None` if a pointer is null or the size 0.
    pub(super) fn piece(
        &self,
        memory: &Memory<'_, impl PhysRead + ?Sized>,
        element: u64,
    ) -> Result<Option<Piece>> {
        let line = self.path.line;
        let Some(address) = self.path.address(memory, element)? else { return Ok(None) };
        let size = match &self.size {
            Size::Bytes(bytes) => *bytes,
            Size::Text => length_of_text(memory, &self.path, address)?,
            Size::In(path, bytes) => {
                let Some(at) = path.address(memory, element)? else {
                    return Err(bad(
                        line,
                        &format!("the size {} is reached through a null pointer", path.text),
                    ));
                };
                let mut value = [0; 8];
                memory.read(line, &path.text, at, value.get_mut(..*bytes).unwrap_or_default())?;
                u64::from_le_bytes(value)
            }
        };
        if size > MOST_BYTES {
            let text = self.text();
            return Err(bad(line, &format!("{text} has {size} bytes to erase; the limit is {MOST_BYTES}")));
        }
        Ok((size > 0).then_some(Piece { line, address, size }))
    }
}

/// The size that follows from the type: for a pointer, of what it points to. `None` if there is
/// none.
fn size_by_type(path: &Path, shape: &Shape, types: &Btf<'_>) -> Result<Option<Size>> {
    let bytes = |of| types.size_of(of).filter(|size| *size > 0).map(Size::Bytes);
    let Shape::Pointer(to) = shape else { return Ok(bytes(&path.of)) };
    let mut pointee = path.clone();
    pointee.of = to.clone();
    Ok(match pointee.shape(types)? {
        Shape::Integer { is_char: true, .. } => Some(Size::Text),
        // A pointer to bytes usually points to more than one.
        Shape::Integer { size: 1, .. } => None,
        _ => bytes(to),
    })
}

fn size_in(
    line: usize,
    variable: &super::rules::Expression,
    scope: &Scope<'_>,
    element: Option<&Element<'_>>,
) -> Result<Size> {
    let path = Path::of_expression(line, variable, scope, element)?;
    match path.shape(scope.types)? {
        Shape::Integer { size: bytes @ (1 | 2 | 4 | 8), .. } => {
            Ok(Size::In(path, usize::try_from(bytes).unwrap_or(8)))
        }
        _ => Err(bad(line, &format!("the size {} is not an integer", path.text))),
    }
}

fn length_of_text(memory: &Memory<'_, impl PhysRead + ?Sized>, path: &Path, address: u64) -> Result<u64> {
    let mut length = 0;
    while length < MOST_TEXT {
        let at = address.wrapping_add(length);
        // A text may end at the end of mapped memory.
        let room = PART - usize::try_from(at % PART as u64).unwrap_or(0);
        let mut part = [0; PART];
        let part = part.get_mut(..room).unwrap_or_default();
        memory.read(path.line, &path.text, at, part)?;
        if let Some(end) = part.iter().position(|byte| *byte == 0) {
            return Ok(length + end as u64);
        }
        length += part.len() as u64;
    }
    Err(bad(path.line, &format!("{} is a text of more than {MOST_TEXT} bytes: add `size`", path.text)))
}
