//! A kernel's ELF file with symbols and BTF, as in Debian's `linux-image-...-dbg`. It yields the
//! same facts as VMCOREINFO, except where the kernel was loaded.

use std::collections::BTreeMap;

use abi::elf::{self, FileHeader, SectionHeader, Symbol, section_index};

use crate::format::field::get;
use crate::kernel::btf::Btf;
use crate::kernel::learned::Learned;
use crate::{Error, Result, Vmcoreinfo};

/// The most symbols of a kernel.
const MOST_SYMBOLS: usize = 1 << 23;
const HEADER: FileHeader<u64> = elf::CLASS_64.file_header;
const SECTION: SectionHeader<u64> = elf::CLASS_64.section_header;
const SYMBOL: Symbol<u64> = elf::CLASS_64.symbol;

/// Symbols that readers of memory images look up.
const SYMBOLS: [&str; 6] = ["init_uts_ns", "_stext", "swapper_pg_dir", "init_top_pgt", "mem_section", "prb"];

/// The symbol by which a kernel and its file are compared.
const KNOWN: &str = "init_uts_ns";

/// Macros of the kernel with the same value on all of x86-64 (arch/x86/include/asm/sparsemem.h,
/// with 5-level page tables; include/linux/page-flags.h before 6.10).
const MACROS: [(&str, &str); 6] = [
    ("PAGESIZE", "4096"),
    ("NUMBER(SECTION_SIZE_BITS)", "27"),
    ("NUMBER(MAX_PHYSMEM_BITS)", "52"),
    ("NUMBER(PAGE_BUDDY_MAPCOUNT_VALUE)", "-129"),
    ("NUMBER(PAGE_OFFLINE_MAPCOUNT_VALUE)", "-257"),
    ("OFFSET(atomic_long_t.counter)", "0"),
];

/// The parts of the file that are used.
#[derive(Debug)]
pub struct Vmlinux<'a> {
    release: &'a str,
    types: &'a [u8],
    symbols: &'a [u8],
    names: &'a [u8],
}

impl<'a> Vmlinux<'a> {
    /// Finds the parts of a 64-bit ELF file.
    ///
    /// # Errors
    /// [`Error::Unrecognised`], [`Error::Vmlinux`]: a part is missing.
    pub fn parse(file: &'a [u8]) -> Result<Self> {
        if !file.starts_with(&elf::IDENT_64[..6]) {
            return Err(Error::Unrecognised { start: file.iter().take(8).copied().collect() });
        }
        let sections = ElfSections::of(file).ok_or(Error::Vmlinux { lacks: "valid section headers" })?;
        let part = |name, lacks| sections.named(name).ok_or(Error::Vmlinux { lacks });
        Ok(Self {
            release: release(file).ok_or(Error::Vmlinux { lacks: "the Linux banner" })?,
            types: part(b".BTF", "BTF (CONFIG_DEBUG_INFO_BTF)")?,
            symbols: part(b".symtab", "a symbol table")?,
            names: part(b".strtab", "symbol names")?,
        })
    }

    /// VMCOREINFO of the kernel as linked: without the offset at which it runs.
    ///
    /// # Errors
    /// [`Error::Btf`].
    pub fn vmcoreinfo(&self) -> Result<Vmcoreinfo> {
        let mut info = Vmcoreinfo::default();
        info.add("OSRELEASE", self.release.to_owned());
        for (name, address) in self.addresses() {
            info.add(&format!("SYMBOL({name})"), format!("{address:x}"));
        }
        Ok(Learned::of_types(&Btf::parse(self.types)?, info, &MACROS))
    }

    /// The kernel's types, in the form of BTF.
    #[must_use]
    pub fn types(&self) -> &'a [u8] {
        self.types
    }

    /// The addresses of symbols in the running kernel that these facts describe. Those whose name
    /// others have too have no value.
    ///
    /// # Errors
    /// [`Error::SymbolMismatch`]: the facts are those of another kernel.
    pub fn symbols(&self, wanted: &[&str], booted: &Vmcoreinfo) -> Result<BTreeMap<String, Option<u64>>> {
        let names: BTreeMap<_, _> =
            wanted.iter().chain(&[KNOWN]).map(|name| (name.as_bytes(), *name)).collect();
        let mut found = BTreeMap::<String, Option<u64>>::new();
        for entry in self.defined() {
            let name = self.name(get(entry, SYMBOL.name)).and_then(|name| names.get(name));
            let value = get(entry, SYMBOL.value).wrapping_add(booted.offset_of_kernel());
            if let Some(name) = name {
                found.entry((*name).to_owned()).and_modify(|known| *known = None).or_insert(Some(value));
            }
        }
        let known = found.get(KNOWN).copied().flatten();
        if known.is_none() || known != booted.symbol(KNOWN).ok() {
            return Err(Error::SymbolMismatch);
        }
        Ok(found)
    }

    /// Of symbols with the same name the first counts.
    fn addresses(&self) -> impl Iterator<Item = (&'static str, u64)> {
        self.defined().filter_map(|entry| {
            let name = self.name(get(entry, SYMBOL.name))?;
            let known = SYMBOLS.iter().find(|known| known.as_bytes() == name)?;
            Some((*known, get(entry, SYMBOL.value)))
        })
    }

    /// The entries of symbols that are in the file.
    fn defined(&self) -> impl Iterator<Item = &'a [u8]> {
        let entries = self.symbols.chunks_exact(SYMBOL.size).take(MOST_SYMBOLS);
        entries.filter(|entry| get(entry, SYMBOL.section) != section_index::UNDEFINED)
    }

    fn name(&self, at: u32) -> Option<&'a [u8]> {
        self.names.get(usize::try_from(at).ok()?..)?.split(|byte| *byte == 0).next()
    }
}

/// The word after `Linux version` in the kernel's banner (init/version.c).
fn release(file: &[u8]) -> Option<&str> {
    const BANNER: &[u8] = b"Linux version ";
    const MOST: usize = 65;
    let at = file.windows(BANNER.len()).position(|bytes| bytes == BANNER)? + BANNER.len();
    let rest = file.get(at..)?;
    let word = rest.iter().take(MOST).position(|byte| *byte == b' ')?;
    std::str::from_utf8(rest.get(..word)?).ok()
}

/// The section headers of a file.
struct ElfSections<'a> {
    file: &'a [u8],
    headers: &'a [u8],
    names: &'a [u8],
}

impl<'a> ElfSections<'a> {
    fn of(file: &'a [u8]) -> Option<Self> {
        let start = usize::try_from(get(file, HEADER.section_headers)).ok()?;
        if usize::from(get(file, HEADER.section_header_size)) != SECTION.size {
            return None;
        }
        let size = usize::from(get(file, HEADER.section_header_count)).checked_mul(SECTION.size)?;
        let headers = file.get(start..start.checked_add(size)?)?;
        let names = usize::from(get(file, HEADER.section_names)).checked_mul(SECTION.size)?;
        let names = headers.get(names..)?.get(..SECTION.size)?;
        Some(Self { file, headers, names: bytes_of(file, names)? })
    }

    /// The bytes of a section.
    fn named(&self, name: &[u8]) -> Option<&'a [u8]> {
        let has_name = |header: &&[u8]| {
            let at = usize::try_from(get(header, SECTION.name)).ok();
            let found =
                at.and_then(|at| self.names.get(at..)).and_then(|rest| rest.split(|byte| *byte == 0).next());
            found == Some(name)
        };
        bytes_of(self.file, self.headers.chunks_exact(SECTION.size).find(has_name)?)
    }
}

fn bytes_of<'a>(file: &'a [u8], header: &[u8]) -> Option<&'a [u8]> {
    let number = |field| usize::try_from(get(header, field)).ok();
    let start = number(SECTION.offset)?;
    file.get(start..start.checked_add(number(SECTION.bytes)?)?)
}

#[cfg(test)]
mod tests;
