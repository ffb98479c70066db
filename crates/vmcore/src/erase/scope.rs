//! The symbols and types that a section of the rules refers to.

use std::collections::BTreeMap;

use super::rules::{Declaration, Section, bad};
use crate::kernel::btf::{Btf, TypeName};
use crate::{Error, Result};

/// The lowest address of the kernel's half of the address space, with page tables of 5 levels.
const KERNEL_HALF: u64 = 0xff00_0000_0000_0000;

/// The addresses of symbols by name. `None` if there are several with the name.
pub(super) type Addresses = BTreeMap<String, Option<u64>>;

/// Everything that the rules of a section can refer to.
pub(super) struct Scope<'a> {
    pub(super) types: &'a Btf<'a>,
    /// The symbols of the module, if the section is about one.
    module: Addresses,
    /// The symbols of the kernel.
    kernel: &'a Addresses,
    declared: BTreeMap<&'a str, TypeName>,
}

impl<'a> Scope<'a> {
    /// Resolves the declared types.
    ///
    /// # Errors
    /// [`Error::Rule`]: the kernel has no type of that name.
    pub(super) fn new(
        section: &'a Section,
        types: &'a Btf<'a>,
        module: Addresses,
        kernel: &'a Addresses,
    ) -> Result<Self> {
        let declared = section.types.iter().map(|one| Ok((one.symbol.as_str(), declared(one, types)?)));
        Ok(Self { types, module, kernel, declared: declared.collect::<Result<_>>()? })
    }

    /// The address of a symbol. Those of the module precede those of the kernel.
    pub(super) fn address(&self, line: usize, symbol: &str) -> Result<u64> {
        let found = self.module.get(symbol).or_else(|| self.kernel.get(symbol));
        match found {
            None => Err(bad(line, &format!("there is no symbol {symbol}"))),
            Some(None) => Err(bad(line, &format!("several symbols are named {symbol}"))),
            Some(Some(value)) if *value < KERNEL_HALF => {
                let reason = format!(
                    "{symbol} has the value {value:#x}, which is not an address: a per-CPU variable?"
                );
                Err(bad(line, &reason))
            }
            Some(Some(value)) => Ok(*value),
        }
    }

    /// The type of a symbol, if it is known.
    pub(super) fn type_of(&self, symbol: &str) -> Option<TypeName> {
        self.declared.get(symbol).cloned().or_else(|| self.types.variable(symbol))
    }

    /// The error for a symbol of unknown type.
    pub(super) fn unknown_type(line: usize, symbol: &str) -> Error {
        let reason = format!(
            "the type of {symbol} is not in the kernel's BTF: a line `type {symbol} TYPE` declares it, for \
             example `type {symbol} char [64]`, `type {symbol} struct NAME` or `type {symbol} void *`"
        );
        bad(line, &reason)
    }
}

fn declared(declared: &Declaration, types: &Btf<'_>) -> Result<TypeName> {
    let Declaration { line, is_structure, name, pointers, dimensions, .. } = declared;
    let number = match (is_structure, name.as_str()) {
        (true, name) => types.structure_number(name),
        (false, "void") => Some(0),
        (false, name) => types.plain_number(name),
    };
    let number = number.ok_or_else(|| bad(*line, &format!("the kernel has no type named {name}")))?;
    let base = (0..*pointers).fold(TypeName::Number(number), |to, _| TypeName::Pointer(Box::new(to)));
    // The last dimension is that of the innermost array.
    Ok(dimensions.iter().rev().fold(base, |of, count| TypeName::Array(Box::new(of), *count)))
}
