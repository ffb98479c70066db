//! Erasing data from a dump: rules as in makedumpfile.conf(5) name it by symbols and types, which
//! are found in the dumped memory, and it is overwritten wherever pages are read for the dump.

mod erasure;
mod module;
mod path;
mod ranges;
mod rules;
mod scope;
mod tokens;
mod walk;

use std::collections::BTreeSet;

use crate::kernel::btf::Btf;
use crate::kernel::kallsyms::Kallsyms;
use crate::kernel::learned;
use crate::kernel::paging::AddressSpace;
use crate::{DumpSource, Error, FrameSet, Origin, PhysRead, Result, Vmcoreinfo, Vmlinux};

use erasure::{Erasure, Piece};
use module::Module;
use path::{Element, Memory, failed};
use ranges::{Fill, Ranges};
use rules::{Command, Section};
use scope::{Addresses, Scope};
use walk::{MOST_ELEMENTS, Walk};

pub use rules::Rules;

/// The most bytes that all rules together erase: 4 GiB.
const MOST_BYTES: u64 = 4 << 30;
/// The most bytes of the list of what was erased.
const MOST_LIST: usize = 1 << 20;

/// The memory that rules erase.
#[derive(Clone, Debug, Default)]
pub struct Erasures {
    /// Becomes letters.
    letters: Ranges,
    /// Becomes zeros.
    zeros: Ranges,
    /// The commands that erased something, with sizes, one a line.
    list: String,
    /// Modules in the rules that are not loaded.
    unloaded: Vec<String>,
    /// Bytes so far, those counted twice that are erased twice.
    bytes: u64,
}

impl Erasures {
    /// Modules that have rules but are not loaded: nothing of theirs is in memory.
    #[must_use]
    pub fn unloaded_modules(&self) -> &[String] {
        &self.unloaded
    }

    /// The number of erased bytes, and of places that they are in.
    #[must_use]
    pub fn amount(&self) -> (u64, usize) {
        (self.letters.bytes() + self.zeros.bytes(), self.letters.count() + self.zeros.count())
    }

    fn apply(&self, address: u64, buffer: &mut [u8]) {
        self.zeros.apply(address, buffer, 0);
        self.letters.apply(address, buffer, b'X');
    }

    fn push(
        &mut self,
        memory: &Memory<'_, impl PhysRead + ?Sized>,
        erasure: &Erasure,
        piece: &Piece,
    ) -> Result<()> {
        let Piece { line, address, size } = *piece;
        self.bytes += size;
        if self.bytes > MOST_BYTES {
            let reason = format!("the rules erase more than {MOST_BYTES} bytes, which is the limit");
            return Err(rules::bad(line, &reason));
        }
        let ranges = match erasure.fill {
            Fill::Letter => &mut self.letters,
            Fill::Zeros => &mut self.zeros,
        };
        let mut done = 0;
        while done < size {
            let at = address.wrapping_add(done);
            let place = memory.space.translate(memory.memory, at).map_err(failed(line, erasure.text()))?;
            let count = place.left.min(size - done);
            ranges.push(place.phys..place.phys.saturating_add(count));
            done += count;
        }
        Ok(())
    }

    /// Notes sizes that a command erased, as makedumpfile does.
    fn note(&mut self, erasure: &Erasure, sizes: &BTreeSet<u64>) {
        let text = erasure.text();
        for size in sizes {
            let line = match erasure.fill {
                Fill::Letter => format!("erase {text} size {size}\n"),
                Fill::Zeros => format!("erase {text} nullify\n"),
            };
            if self.list.len() + line.len() <= MOST_LIST {
                self.list += &line;
            }
        }
    }
}

impl Rules {
    /// Finds the memory that the rules erase. Symbols and types are those in the memory of the
    /// kernel, or those of its file if that is given.
    ///
    /// # Errors
    /// [`Error::Rule`], [`Error::RuleMemory`] with the number of a line: a symbol, type or member
    /// does not exist, or its memory cannot be read. [`Error::NoKey`] and others: the kernel's
    /// symbols or types cannot be found.
    pub fn find(
        &self,
        memory: &(impl PhysRead + ?Sized),
        info: &Vmcoreinfo,
        file: Option<&Vmlinux<'_>>,
    ) -> Result<Erasures> {
        let mut erasures = Erasures::default();
        if self.is_empty() {
            return Ok(erasures);
        }
        let memory = Memory { memory, space: AddressSpace::of_kernel(info)? };
        let wanted: BTreeSet<_> = self.sections.iter().flat_map(Section::symbols).collect();
        let (symbols, bytes) = facts(&memory, info, &wanted, file)?;
        let types = Btf::parse(&bytes)?;
        let mut left = MOST_ELEMENTS;
        for section in &self.sections {
            let Some(name) = &section.module else {
                let scope = Scope::new(section, &types, Addresses::new(), &symbols)?;
                erasures.add(section, &scope, &memory, &mut left)?;
                continue;
            };
            let empty = Section::default();
            let kernel = Scope::new(&empty, &types, Addresses::new(), &symbols)?;
            let Some(module) = Module::find(&memory, &kernel, section.line, name)? else {
                erasures.unloaded.push(name.clone());
                continue;
            };
            let own = module.symbols(&section.symbols())?;
            let all = module.types(&bytes)?;
            let all = all.as_deref().map(Btf::parse).transpose()?;
            let scope = Scope::new(section, all.as_ref().unwrap_or(&types), own, &symbols)?;
            erasures.add(section, &scope, &memory, &mut left)?;
        }
        erasures.letters.settle();
        erasures.zeros.settle();
        Ok(erasures)
    }
}

impl Erasures {
    fn add(
        &mut self,
        section: &Section,
        scope: &Scope<'_>,
        memory: &Memory<'_, impl PhysRead + ?Sized>,
        left: &mut u64,
    ) -> Result<()> {
        for command in &section.commands {
            let one = match command {
                Command::Erase(erase) => {
                    let erasure = Erasure::new(erase, scope, None)?;
                    if let Some(piece) = erasure.piece(memory, 0)? {
                        self.push(memory, &erasure, &piece)?;
                        self.note(&erasure, &[piece.size].into());
                    }
                    continue;
                }
                Command::Loop(one) => one,
            };
            let walk = Walk::new(one, scope)?;
            let element = Element { variable: &one.variable, of: walk.of().clone() };
            let body = one.body.iter().map(|erase| Erasure::new(erase, scope, Some(&element)));
            let body = body.collect::<Result<Vec<_>>>()?;
            let mut sizes = vec![BTreeSet::new(); body.len()];
            walk.each(memory, left, &mut |at| {
                for (erasure, sizes) in body.iter().zip(&mut sizes) {
                    if let Some(piece) = erasure.piece(memory, at)? {
                        self.push(memory, erasure, &piece)?;
                        sizes.insert(piece.size);
                    }
                }
                Ok(())
            })?;
            body.iter().zip(&sizes).for_each(|(erasure, sizes)| self.note(erasure, sizes));
        }
        Ok(())
    }
}

/// The addresses of these symbols, and the kernel's types.
fn facts(
    memory: &Memory<'_, impl PhysRead + ?Sized>,
    info: &Vmcoreinfo,
    wanted: &BTreeSet<&str>,
    file: Option<&Vmlinux<'_>>,
) -> Result<(Addresses, Vec<u8>)> {
    let mut wanted: Vec<&str> = wanted.iter().copied().collect();
    wanted.push(module::LIST);
    if let Some(file) = file {
        return Ok((file.symbols(&wanted, info)?, file.types().to_vec()));
    }
    let table = Kallsyms::open(&memory.memory, info)?;
    let [start, end] = learned::BTF;
    let found = table.find(&[start, end])?;
    let symbol = |name| found.get(name).copied().ok_or(Error::NoSymbol { name });
    let types = learned::btf(&memory.memory, &memory.space, symbol(start)?, symbol(end)?)?;
    let addresses = table.find_only(&wanted)?;
    Ok((addresses.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(), types))
}

/// An image from which data is erased.
pub struct Erased<'a> {
    image: &'a dyn DumpSource,
    erasures: &'a Erasures,
    /// What was erased from it, now and earlier.
    list: Vec<u8>,
}

impl<'a> Erased<'a> {
    /// The image without this data.
    #[must_use]
    pub fn new(image: &'a dyn DumpSource, erasures: &'a Erasures) -> Self {
        let list = [image.erased(), erasures.list.as_bytes()].concat();
        Self { image, erasures, list }
    }
}

impl PhysRead for Erased<'_> {
    fn read_phys(&self, address: u64, buffer: &mut [u8]) -> Result<()> {
        self.image.read_phys(address, buffer)?;
        self.erasures.apply(address, buffer);
        Ok(())
    }
}

impl DumpSource for Erased<'_> {
    fn present(&self) -> &FrameSet {
        self.image.present()
    }

    fn ram(&self) -> &FrameSet {
        self.image.ram()
    }

    fn notes(&self) -> &[u8] {
        self.image.notes()
    }

    fn vmcoreinfo(&self) -> Result<Vmcoreinfo> {
        self.image.vmcoreinfo()
    }

    fn virtual_address(&self, phys: u64) -> Option<u64> {
        self.image.virtual_address(phys)
    }

    fn origin(&self) -> Option<Origin<'_>> {
        self.image.origin()
    }

    fn erased(&self) -> &[u8] {
        &self.list
    }
}

#[cfg(test)]
mod tests;
