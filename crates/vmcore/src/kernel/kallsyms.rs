//! The kernel's own table of its symbols (Linux, kernel/kallsyms.c and scripts/kallsyms.c). Since
//! 6.0, VMCOREINFO has the addresses of its parts:
//!
//! ```text
//! kallsyms_num_syms      number of symbols, 32 bits
//! kallsyms_names         for each symbol a length, then one-byte tokens: its type letter, then its name
//! kallsyms_token_index   for each of 256 tokens 16 bits: the offset of its text in
//! kallsyms_token_table   texts, each ends with a zero
//! kallsyms_offsets       for each symbol 32 bits, see `Encoding`
//! ```

use std::collections::{BTreeMap, BTreeSet};

use phys::PAGE_SIZE;

use crate::format::field::{u16_at, u32_at};
use crate::kernel::paging::AddressSpace;
use crate::{Error, PhysRead, Result, Vmcoreinfo};

/// The most symbols of a kernel: Debian's 6.1 has 150,000.
const MOST_SYMBOLS: u32 = 1 << 22;
/// The most bytes of their names: 16 each.
const MOST_BYTES: u64 = 64 << 20;
/// A name with its type letter is shorter (`KSYM_NAME_LEN`).
const MOST_NAME: usize = 512;
const TOKENS: usize = 256;
/// Set if the length of a name has a second byte, for the higher bits (since 6.1; names were
/// shorter before).
const LONG: u8 = 0x80;
/// Symbols whose addresses in VMCOREINFO and the table must agree: code, which each table has, and
/// data.
const KNOWN: [&str; 3] = ["_stext", "init_uts_ns", "init_top_pgt"];

/// The symbols of a kernel.
pub struct Kallsyms<'m, M> {
    memory: &'m M,
    space: AddressSpace,
    count: u32,
    /// The virtual address of the names.
    names: u64,
    tokens: Vec<Vec<u8>>,
    /// The virtual address of the offsets.
    offsets: u64,
    /// The base of the offsets.
    base: Option<u64>,
    /// Addresses of symbols in VMCOREINFO.
    known: BTreeMap<&'static str, u64>,
}

/// The meaning of an offset. The kernel does not record it, so the one that agrees with VMCOREINFO
/// is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// Signed: a negative one is relative to the base, -1 being the base itself; any other is an
    /// absolute value, of per-CPU memory (`CONFIG_KALLSYMS_ABSOLUTE_PERCPU`, up to 6.14).
    Signed,
    /// Unsigned, relative to the base.
    Unsigned,
    /// Signed, relative to the offset's own address: since 7.2, which has no base.
    FromPlace,
}

impl<'m, M: PhysRead> Kallsyms<'m, M> {
    /// Finds the table of the kernel that VMCOREINFO describes in its memory.
    ///
    /// # Errors
    /// The kernel is older than 6.0, the memory of the table cannot be read, or the table is
    /// invalid.
    pub fn open(memory: &'m M, info: &Vmcoreinfo) -> Result<Self> {
        let space = AddressSpace::of_kernel(info)?;
        let mut count = [0; 4];
        space.read(memory, info.symbol("kallsyms_num_syms")?, &mut count)?;
        let count = u32_at(&count, 0);
        if count > MOST_SYMBOLS {
            let (value, most) = (count.into(), MOST_SYMBOLS.into());
            return Err(Error::TooLarge { what: "the number of the kernel's symbols", value, most });
        }
        Ok(Self {
            count,
            names: info.symbol("kallsyms_names")?,
            tokens: tokens(memory, &space, info)?,
            offsets: info.symbol("kallsyms_offsets")?,
            base: match info.symbol("kallsyms_relative_base") {
                Err(Error::NoKey { .. }) => None,
                base => Some(space.read_u64(memory, base?)?),
            },
            known: KNOWN.into_iter().filter_map(|name| Some((name, info.symbol(name).ok()?))).collect(),
            memory,
            space,
        })
    }

    /// The values, mostly virtual addresses, of those symbols that exist, in one pass over all
    /// names. Of symbols with the same name, the first counts.
    ///
    /// # Errors
    /// [`Error::SymbolMismatch`], or the memory cannot be read.
    pub fn find<'n>(&self, wanted: &[&'n str]) -> Result<BTreeMap<&'n str, u64>> {
        let found = self.entries(wanted)?.into_iter();
        Ok(found.map(|(name, (value, _))| (name, value)).collect())
    }

    /// The same, but symbols whose name others have too have no value.
    ///
    /// # Errors
    /// See [`Kallsyms::find`].
    pub fn find_only<'n>(&self, wanted: &[&'n str]) -> Result<BTreeMap<&'n str, Option<u64>>> {
        let found = self.entries(wanted)?.into_iter();
        Ok(found.map(|(name, (value, count))| (name, (count == 1).then_some(value))).collect())
    }

    /// The value of the first symbol with each name, and the number of symbols with it.
    fn entries<'n>(&self, wanted: &[&'n str]) -> Result<BTreeMap<&'n str, (u64, u32)>> {
        let numbers = self.numbers(wanted)?;
        let encoding = self.encoding(&numbers)?;
        let found = wanted.iter().filter_map(|name| Some((*name, *numbers.get(name.as_bytes())?)));
        found.map(|(name, (number, count))| Ok((name, (self.value(number, encoding)?, count)))).collect()
    }

    /// The first number of these symbols, and of those in VMCOREINFO, and how many there are.
    fn numbers(&self, wanted: &[&str]) -> Result<BTreeMap<Vec<u8>, (u32, u32)>> {
        let wanted: BTreeSet<_> = self.known.keys().chain(wanted).map(|name| name.as_bytes()).collect();
        let mut numbers = BTreeMap::new();
        let mut names = Bytes::new(self.memory, &self.space, self.names, MOST_BYTES);
        let mut name = Vec::with_capacity(MOST_NAME);
        for number in 0..self.count {
            self.expand(&mut names, &mut name)?;
            if let Some(name) = name.get(1..).filter(|name| wanted.contains(*name)) {
                let (_, count) = numbers.entry(name.to_vec()).or_insert((number, 0));
                *count += 1;
            }
        }
        Ok(numbers)
    }

    /// The next name, with its type letter. A name that is too long is truncated.
    fn expand(&self, names: &mut Bytes<'_, M>, name: &mut Vec<u8>) -> Result<()> {
        name.clear();
        let low = names.next()?;
        let high = if low & LONG == 0 { 0 } else { names.next()? };
        for _ in 0..u16::from(low & !LONG) | u16::from(high) << 7 {
            let token = self.tokens.get(usize::from(names.next()?)).map_or(&[][..], Vec::as_slice);
            let room = MOST_NAME.saturating_sub(name.len());
            name.extend(token.iter().take(room));
        }
        Ok(())
    }

    fn encoding(&self, numbers: &BTreeMap<Vec<u8>, (u32, u32)>) -> Result<Encoding> {
        let possible: &[_] = match self.base {
            Some(_) => &[Encoding::Signed, Encoding::Unsigned],
            None => &[Encoding::FromPlace],
        };
        let both = self.known.iter().filter_map(|(name, at)| Some((numbers.get(name.as_bytes())?.0, *at)));
        let both: Vec<_> = both.collect();
        for encoding in possible.iter().filter(|_| !both.is_empty()) {
            let agreed =
                both.iter().map(|(number, at)| Ok::<_, Error>(self.value(*number, *encoding)? == *at));
            if agreed.collect::<Result<Vec<_>>>()?.iter().all(|agreed| *agreed) {
                return Ok(*encoding);
            }
        }
        Err(Error::SymbolMismatch)
    }

    fn value(&self, number: u32, encoding: Encoding) -> Result<u64> {
        let at = self.offsets.wrapping_add(u64::from(number) * 4);
        let mut bytes = [0; 4];
        self.space.read(self.memory, at, &mut bytes)?;
        let offset = i64::from(i32::from_le_bytes(bytes));
        let base = self.base.unwrap_or(0);
        Ok(match encoding {
            Encoding::Signed if offset < 0 => base.wrapping_add_signed(-1 - offset),
            Encoding::Signed => offset.cast_unsigned(),
            Encoding::Unsigned => base.wrapping_add(u32::from_le_bytes(bytes).into()),
            Encoding::FromPlace => at.wrapping_add_signed(offset),
        })
    }
}

fn tokens<M: PhysRead>(memory: &M, space: &AddressSpace, info: &Vmcoreinfo) -> Result<Vec<Vec<u8>>> {
    let table = info.symbol("kallsyms_token_table")?;
    let mut index = [0; TOKENS * 2];
    space.read(memory, info.symbol("kallsyms_token_index")?, &mut index)?;
    let token = |number: usize| {
        let start = table.wrapping_add(u16_at(&index, number * 2).into());
        Bytes::new(memory, space, start, 2 * PAGE_SIZE).text()
    };
    (0..TOKENS).map(token).collect()
}

/// Consecutive bytes, read a page at a time.
struct Bytes<'a, M> {
    memory: &'a M,
    space: &'a AddressSpace,
    /// The virtual address of the next read.
    at: u64,
    /// How many bytes may still be read.
    left: u64,
    page: Vec<u8>,
    used: usize,
}

impl<'a, M: PhysRead> Bytes<'a, M> {
    fn new(memory: &'a M, space: &'a AddressSpace, at: u64, left: u64) -> Self {
        Self { memory, space, at, left, page: Vec::new(), used: 0 }
    }

    fn next(&mut self) -> Result<u8> {
        if self.used == self.page.len() {
            self.fill()?;
        }
        let byte = self.page.get(self.used).copied().unwrap_or(0);
        self.used += 1;
        Ok(byte)
    }

    fn fill(&mut self) -> Result<()> {
        let size = PAGE_SIZE - self.at % PAGE_SIZE;
        let too_large =
            Error::TooLarge { what: "the size of the kernel's symbols", value: MOST_BYTES, most: MOST_BYTES };
        self.left = self.left.checked_sub(size).ok_or(too_large)?;
        self.page.resize(usize::try_from(size).unwrap_or(0), 0);
        self.space.read(self.memory, self.at, &mut self.page)?;
        self.at = self.at.wrapping_add(size);
        self.used = 0;
        Ok(())
    }

    /// The bytes before a zero. A text is at most as long as a name.
    fn text(&mut self) -> Result<Vec<u8>> {
        let mut text = Vec::new();
        while text.len() < MOST_NAME {
            match self.next()? {
                0 => break,
                byte => text.push(byte),
            }
        }
        Ok(text)
    }
}

#[cfg(test)]
pub(crate) mod tests;
