//! Loaded modules: their symbols and types, which the kernel keeps for each of them (Linux,
//! include/linux/module.h: `struct module`, `struct mod_kallsyms`).

use std::collections::BTreeSet;

use abi::elf::{self, Symbol, section_index};

use super::path::{Memory, Path, failed};
use super::rules::{Expression, Links, Loop, bad};
use super::scope::{Addresses, Scope};
use super::walk::Walk;
use crate::format::field::get;
use crate::kernel::btf::{Btf, joined};
use crate::{Error, PhysRead, Result};

/// The list of all modules.
pub(super) const LIST: &str = "modules";

const SYMBOL: Symbol<u64> = elf::CLASS_64.symbol;
/// The most symbols of a module.
const MOST_SYMBOLS: u64 = 1 << 20;
/// The most bytes of a module's types.
const MOST_TYPES: u64 = 16 << 20;
/// A module's name is shorter (`MODULE_NAME_LEN`).
const MOST_NAME: usize = 64;
/// A symbol's name is shorter (`KSYM_NAME_LEN`).
const MOST_SYMBOL_NAME: usize = 512;

/// A loaded module.
pub(super) struct Module<'a, M: ?Sized> {
    memory: &'a Memory<'a, M>,
    scope: &'a Scope<'a>,
    /// The line of its section.
    line: usize,
    name: &'a str,
    /// The address of its `struct module`.
    at: u64,
}

impl<'a, M: PhysRead + ?Sized> Module<'a, M> {
    /// Finds a module among those that are loaded; `None` if it is not.
    ///
    /// # Errors
    /// The list of modules cannot be read.
    pub(super) fn find(
        memory: &'a Memory<'a, M>,
        scope: &'a Scope<'a>,
        line: usize,
        name: &'a str,
    ) -> Result<Option<Self>> {
        let all = Loop {
            line,
            variable: String::new(),
            list: Expression { start: LIST.to_owned(), members: Vec::new() },
            links: Links::Within("module".to_owned(), "list".to_owned()),
            body: Vec::new(),
        };
        let modules = Walk::new(&all, scope)?;
        let mut found = None;
        let mut left = super::walk::MOST_ELEMENTS;
        modules.each(memory, &mut left, &mut |at| {
            let module = Module { memory, scope, line, name, at };
            let own = module.text(module.member(&["name"])?, MOST_NAME)?;
            // Dashes in names of files are underscores in names of modules.
            if own.as_slice() == name.as_bytes() {
                found = Some(module);
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// The addresses of those symbols that the module has.
    pub(super) fn symbols(&self, wanted: &BTreeSet<&str>) -> Result<Addresses> {
        let [table, count, names] =
            ["symtab", "num_symtab", "strtab"].map(|member| self.value(&["kallsyms", member]));
        // `num_symtab` has 4 bytes.
        let (table, count, names) = (table?, count? & u64::from(u32::MAX), names?);
        if count > MOST_SYMBOLS {
            return Err(self.too_large("symbols", count, MOST_SYMBOLS));
        }
        let mut found = Addresses::new();
        for number in 0..count {
            let mut entry = vec![0; SYMBOL.size];
            self.read(table.wrapping_add(number * SYMBOL.size as u64), &mut entry)?;
            if get(&entry, SYMBOL.section) == section_index::UNDEFINED {
                continue;
            }
            let name = self.text(names.wrapping_add(get(&entry, SYMBOL.name).into()), MOST_SYMBOL_NAME)?;
            let Some(name) = wanted.iter().find(|wanted| wanted.as_bytes() == name) else { continue };
            let value = get(&entry, SYMBOL.value);
            found.entry((*name).to_owned()).and_modify(|known| *known = None).or_insert(Some(value));
        }
        Ok(found)
    }

    /// The types of the module and the kernel, if the kernel keeps those of the module in a form
    /// that continues its own.
    pub(super) fn types(&self, kernel: &[u8]) -> Result<Option<Vec<u8>>> {
        let types = self.scope.types;
        let has = |member| types.offset("module", member).is_some();
        if !has("btf_data") || !has("btf_data_size") {
            return Ok(None);
        }
        // Types that are relative to a base of the module's own do not continue those of the
        // kernel.
        if has("btf_base_data") && self.value(&["btf_base_data"])? != 0 {
            return Ok(None);
        }
        // `btf_data_size` has 4 bytes.
        let (at, size) = (self.value(&["btf_data"])?, self.value(&["btf_data_size"])? & u64::from(u32::MAX));
        if at == 0 || size == 0 {
            return Ok(None);
        }
        if size > MOST_TYPES {
            return Err(self.too_large("bytes of types", size, MOST_TYPES));
        }
        let mut own = vec![0; usize::try_from(size).unwrap_or(0)];
        self.read(at, &mut own)?;
        Ok(joined(kernel, &own).filter(|all| Btf::parse(all).is_ok()))
    }

    /// The address of a member.
    fn member(&self, members: &[&str]) -> Result<u64> {
        let types = self.scope.types;
        let number = types.structure_number("module").unwrap_or(0);
        let of = crate::kernel::btf::TypeName::Number(number);
        let mut path = Path::of_element(self.line, "module", of);
        members.iter().try_for_each(|member| path.enter(member, types))?;
        let missing = || bad(self.line, &format!("the kernel has no symbols of the module {}", self.name));
        path.address(self.memory, self.at)?.ok_or_else(missing)
    }

    /// The value of a member of 8 bytes.
    fn value(&self, members: &[&str]) -> Result<u64> {
        self.memory.read_u64(self.line, self.name, self.member(members)?)
    }

    fn read(&self, at: u64, buffer: &mut [u8]) -> Result<()> {
        self.memory.space.read(self.memory.memory, at, buffer).map_err(failed(self.line, self.name))
    }

    /// The bytes before a zero; at most this many.
    fn text(&self, at: u64, most: usize) -> Result<Vec<u8>> {
        const PART: usize = 64;
        let mut text = Vec::new();
        while text.len() < most {
            let at = at.wrapping_add(text.len() as u64);
            let room = PART - usize::try_from(at % PART as u64).unwrap_or(0);
            let mut part = [0; PART];
            let part = part.get_mut(..room).unwrap_or_default();
            self.read(at, part)?;
            match part.iter().position(|byte| *byte == 0) {
                Some(end) => {
                    text.extend(part.iter().take(end));
                    break;
                }
                None => text.extend(part.iter()),
            }
        }
        Ok(text)
    }

    fn too_large(&self, what: &str, value: u64, most: u64) -> Error {
        bad(self.line, &format!("the module {} has {value} {what}; the limit is {most}", self.name))
    }
}
