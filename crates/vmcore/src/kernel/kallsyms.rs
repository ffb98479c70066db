//! The kernel's own table of its symbols (Linux, kernel/kallsyms.c and scripts/kallsyms.c). VMCOREINFO tells since 6.0 where
//! its parts are:
//!
//! ```text
//! kallsyms_num_syms      how many symbols there are, 32 bits
//! kallsyms_names         of each a length, and so many tokens of a byte: a letter for what it is, then its name
//! kallsyms_token_index   for each of 256 tokens 16 bits: where its text is in
//! kallsyms_token_table   texts that end with a zero
//! kallsyms_offsets       of each symbol 32 bits, see `Encoding`
//! ```

use std::collections::BTreeMap;

use phys::PAGE_SIZE;

use crate::format::field::{u16_at, u32_at};
use crate::kernel::paging::AddressSpace;
use crate::{Error, PhysRead, Result, Vmcoreinfo};

/// More symbols no kernel has: Debian's of 6.1 has 150 thousand.
const MOST_SYMBOLS: u32 = 1 << 22;
/// More bytes their names do not take: 16 each.
const MOST_BYTES: u64 = 64 << 20;
/// A name with its letter is shorter (`KSYM_NAME_LEN`).
const MOST_NAME: usize = 512;
const TOKENS: usize = 256;
/// The length of a name has a second byte, of higher bits (since 6.1; names were shorter before).
const LONG: u8 = 0x80;
/// Symbols that VMCOREINFO and the table are to agree about: code, which each table has, and data.
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
    /// What offsets are counted from.
    base: Option<u64>,
    /// Where VMCOREINFO says that symbols are.
    known: BTreeMap<&'static str, u64>,
}

/// What an offset means. No kernel tells, so that is taken which agrees with VMCOREINFO.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// With a sign: a negative one counts from the base, -1 being the base itself; any other is a value of its own, of memory
    /// that each CPU has (`CONFIG_KALLSYMS_ABSOLUTE_PERCPU`, up to 6.14).
    Signed,
    /// Without a sign, from the base.
    Unsigned,
    /// With a sign, from the place of the offset itself: since 7.2, which has no base.
    FromPlace,
}

impl<'m, M: PhysRead> Kallsyms<'m, M> {
    /// Finds the table of the kernel that VMCOREINFO describes in its memory.
    ///
    /// # Errors
    /// The kernel is older than 6.0, its memory cannot be read where the table is, or no table can be like that.
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

    /// The values of those of the symbols that there are, as a rule virtual addresses, in one pass over all names. Of several
    /// with one name it is the first.
    ///
    /// # Errors
    /// [`Error::OtherSymbols`], or the memory cannot be read.
    pub fn find<'n>(&self, wanted: &[&'n str]) -> Result<BTreeMap<&'n str, u64>> {
        let numbers = self.numbers(wanted)?;
        let encoding = self.encoding(&numbers)?;
        let found =
            wanted.iter().filter_map(|name| numbers.get(name.as_bytes()).map(|number| (*name, *number)));
        found.map(|(name, number)| Ok((name, self.value(number, encoding)?))).collect()
    }

    /// The numbers of these symbols, and of those that VMCOREINFO knows.
    fn numbers(&self, wanted: &[&str]) -> Result<BTreeMap<Vec<u8>, u32>> {
        let wanted: Vec<_> = self.known.keys().chain(wanted).map(|name| name.as_bytes()).collect();
        let mut numbers = BTreeMap::new();
        let mut names = Bytes::new(self.memory, &self.space, self.names, MOST_BYTES);
        let mut name = Vec::with_capacity(MOST_NAME);
        for number in 0..self.count {
            self.expand(&mut names, &mut name)?;
            if let Some(name) = name.get(1..).filter(|name| wanted.contains(name)) {
                numbers.entry(name.to_vec()).or_insert(number);
            }
        }
        Ok(numbers)
    }

    /// The next name, with its letter. What is longer than any may be is cut off.
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

    fn encoding(&self, numbers: &BTreeMap<Vec<u8>, u32>) -> Result<Encoding> {
        let possible: &[_] = match self.base {
            Some(_) => &[Encoding::Signed, Encoding::Unsigned],
            None => &[Encoding::FromPlace],
        };
        let both = self.known.iter().filter_map(|(name, at)| Some((*numbers.get(name.as_bytes())?, *at)));
        let both: Vec<_> = both.collect();
        for encoding in possible.iter().filter(|_| !both.is_empty()) {
            let agreed =
                both.iter().map(|(number, at)| Ok::<_, Error>(self.value(*number, *encoding)? == *at));
            if agreed.collect::<Result<Vec<_>>>()?.iter().all(|agreed| *agreed) {
                return Ok(*encoding);
            }
        }
        Err(Error::OtherSymbols)
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

/// Bytes one after the other, read by pages.
struct Bytes<'a, M> {
    memory: &'a M,
    space: &'a AddressSpace,
    /// The virtual address of what is read next.
    at: u64,
    /// How much may be read yet.
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

    /// What is in front of a zero. No text is longer than a name.
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
