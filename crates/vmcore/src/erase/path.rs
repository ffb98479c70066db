//! The way from a symbol to a variable: offsets of members and pointers to follow, found by types
//! once, and walked in memory as often as a loop demands.

use super::rules::{Expression, bad};
use super::scope::Scope;
use crate::kernel::btf::{Btf, Shape, TypeName};
use crate::kernel::paging::AddressSpace;
use crate::{Error, PhysRead, Result};

/// The memory that pointers are read from.
pub(super) struct Memory<'a, M: ?Sized> {
    pub(super) memory: &'a M,
    pub(super) space: AddressSpace,
}

impl<M: PhysRead + ?Sized> Memory<'_, M> {
    /// Reads a number of 8 bytes.
    pub(super) fn read_u64(&self, line: usize, what: &str, address: u64) -> Result<u64> {
        let mut bytes = [0; 8];
        self.read(line, what, address, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }

    pub(super) fn read(&self, line: usize, what: &str, address: u64, buffer: &mut [u8]) -> Result<()> {
        self.space.read(self.memory, address, buffer).map_err(failed(line, what))
    }
}

pub(super) fn failed(line: usize, what: &str) -> impl FnOnce(Error) -> Error {
    let what = what.to_owned();
    move |source| Error::RuleMemory { line, what, source: Box::new(source) }
}

#[derive(Clone, Debug)]
enum Start {
    Address(u64),
    /// The address of a loop's current element.
    Element,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    /// Go this number of bytes on.
    Add(u64),
    /// Go where the pointer here points.
    Follow,
}

/// The way to a variable, and its type.
#[derive(Clone, Debug)]
pub(super) struct Path {
    pub(super) line: usize,
    pub(super) text: String,
    start: Start,
    steps: Vec<Step>,
    pub(super) of: TypeName,
}

/// The variable of a loop: its name, and the type of the elements.
pub(super) struct Element<'a> {
    pub(super) variable: &'a str,
    pub(super) of: TypeName,
}

impl Path {
    /// The way to the variable that the expression names.
    ///
    /// # Errors
    /// [`Error::Rule`]: there is no such symbol or member, or its type is unknown.
    pub(super) fn of_expression(
        line: usize,
        expression: &Expression,
        scope: &Scope<'_>,
        element: Option<&Element<'_>>,
    ) -> Result<Self> {
        let symbol = expression.start.as_str();
        let mut path = match element {
            Some(element) if element.variable == symbol => Self::of_element(line, symbol, element.of.clone()),
            _ => {
                let address = scope.address(line, symbol)?;
                let of = scope.type_of(symbol).ok_or_else(|| Scope::unknown_type(line, symbol))?;
                Self { start: Start::Address(address), ..Self::of_element(line, symbol, of) }
            }
        };
        for member in &expression.members {
            path.enter(member, scope.types)?;
        }
        Ok(path)
    }

    pub(super) fn of_element(line: usize, variable: &str, of: TypeName) -> Self {
        Self { line, text: variable.to_owned(), start: Start::Element, steps: Vec::new(), of }
    }

    /// The way to a list head of which only the symbol is known.
    pub(super) fn of_address(line: usize, symbol: &str, address: u64, of: TypeName) -> Self {
        Self { start: Start::Address(address), ..Self::of_element(line, symbol, of) }
    }

    /// Goes on to a member.
    pub(super) fn enter(&mut self, member: &str, types: &Btf<'_>) -> Result<()> {
        let mut shape = self.shape(types)?;
        if let Shape::Pointer(to) = &shape {
            self.steps.push(Step::Follow);
            shape = shape_of(self.line, &self.text, to, types)?;
        }
        let text = &self.text;
        let Shape::Structure(structure) = shape else {
            let why = if matches!(shape, Shape::Array(..)) {
                "is an array; `for` loops over its elements"
            } else {
                "is not a structure, nor a pointer to one"
            };
            return Err(bad(self.line, &format!("{text} {why}")));
        };
        let place = types.place(structure, member);
        let place = place.ok_or_else(|| bad(self.line, &format!("{text} has no member {member}")))?;
        if place.is_bit_field {
            return Err(bad(self.line, &format!("{text}.{member} is a bit field")));
        }
        self.steps.push(Step::Add(place.offset));
        self.of = place.of;
        self.text = format!("{text}.{member}");
        Ok(())
    }

    /// Goes on to where the variable, a pointer to this type, points.
    pub(super) fn follow(&mut self, to: TypeName) {
        self.steps.push(Step::Follow);
        self.of = to;
    }

    pub(super) fn shape(&self, types: &Btf<'_>) -> Result<Shape> {
        shape_of(self.line, &self.text, &self.of, types)
    }

    /// The address of the variable. `None` if a pointer on the way is null.
    ///
    /// # Errors
    /// [`Error::RuleMemory`]: a pointer cannot be read.
    pub(super) fn address(
        &self,
        memory: &Memory<'_, impl PhysRead + ?Sized>,
        element: u64,
    ) -> Result<Option<u64>> {
        let mut at = match self.start {
            Start::Address(address) => address,
            Start::Element => element,
        };
        for step in &self.steps {
            match step {
                Step::Add(bytes) => at = at.wrapping_add(*bytes),
                Step::Follow => at = memory.read_u64(self.line, &self.text, at)?,
            }
            if at == 0 {
                return Ok(None);
            }
        }
        Ok(Some(at))
    }
}

fn shape_of(line: usize, text: &str, of: &TypeName, types: &Btf<'_>) -> Result<Shape> {
    types.shape(of).ok_or_else(|| bad(line, &format!("the type of {text} is damaged in the kernel's BTF")))
}
