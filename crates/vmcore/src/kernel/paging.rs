//! The dumped kernel's page tables: 4 and 5 levels (Intel SDM volume 3, 4.5).

use crate::format::field::u64_at;
use crate::{Error, PhysRead, Result, Vmcoreinfo};

/// Where the kernel's image is mapped (Linux, arch/x86: `__START_KERNEL_map`).
const KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;

/// Bits 51 to 12 of an entry are an address.
const ADDRESS: u64 = 0x000f_ffff_ffff_f000;
const PRESENT: u64 = 1;
/// The entry maps memory itself, not a table: 1 GiB at level 3, 2 MiB at level 2.
const LEAF: u64 = 1 << 7;

/// The kernel's address space.
#[derive(Clone, Debug)]
pub struct AddressSpace {
    /// The physical address of the top table.
    top: u64,
    levels: u8,
    /// The bit that marks encrypted memory, 0 without.
    encryption: u64,
}

/// Where a virtual address is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The physical address.
    pub phys: u64,
    /// How many contiguous bytes are mapped there, this one included.
    pub left: u64,
    /// Whether the last table's entry allows execution.
    pub executable: bool,
}

/// An entry of a page table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mapping {
    /// The first address that it maps.
    pub(crate) virt: u64,
    /// The physical address of memory or of another table.
    pub(crate) phys: u64,
    /// The level of the table that it is in.
    pub(crate) level: u8,
    /// Bytes of memory that it maps; 0 if it names another table.
    pub(crate) size: u64,
}

/// The entry forbids execution.
const NO_EXECUTE: u64 = 1 << 63;

impl AddressSpace {
    /// The address space that VMCOREINFO describes.
    ///
    /// # Errors
    /// A key is missing or invalid.
    pub fn of_kernel(info: &Vmcoreinfo) -> Result<Self> {
        let name = "init_top_pgt";
        let top = info.symbol(name).or_else(|_| info.symbol("swapper_pg_dir"))?;
        let phys_base = info.number("phys_base")?;
        let bad = || Error::BadKey { key: format!("SYMBOL({name})"), value: format!("{top:x}") };
        let offset = top.checked_sub(KERNEL_MAP).ok_or_else(bad)?;
        Ok(Self {
            top: offset.wrapping_add_signed(phys_base) & ADDRESS,
            levels: if info.number_if_any("pgtable_l5_enabled")? == Some(1) { 5 } else { 4 },
            encryption: info.number_if_any("sme_mask")?.unwrap_or(0).cast_unsigned(),
        })
    }

    /// Translates a virtual address.
    ///
    /// # Errors
    /// [`Error::NotMapped`], or a table cannot be read.
    pub fn translate(&self, memory: &(impl PhysRead + ?Sized), virt: u64) -> Result<Place> {
        let mut table = self.top;
        let mut level = self.levels;
        loop {
            let shift = 12 + 9 * u32::from(level - 1);
            let index = virt >> shift & 511;
            let mut bytes = [0; 8];
            memory.read_phys(table + index * 8, &mut bytes)?;
            let entry = u64_at(&bytes, 0);
            if entry & PRESENT == 0 {
                return Err(Error::NotMapped { address: virt, level, entry });
            }
            table = entry & ADDRESS & !self.encryption;
            if level == 1 || (entry & LEAF != 0 && level <= 3) {
                let size = 1 << shift;
                let inside = virt & (size - 1);
                let executable = entry & NO_EXECUTE == 0;
                return Ok(Place { phys: (table & !(size - 1)) + inside, left: size - inside, executable });
            }
            level -= 1;
        }
    }

    /// Visits the entries of the kernel's half of the page tables, in the order of addresses. The
    /// tables of an entry are visited if the visitor returns true; at most `most` tables are read.
    pub(crate) fn visit_kernel(
        &self,
        memory: &(impl PhysRead + ?Sized),
        most: usize,
        visitor: &mut dyn FnMut(Mapping) -> bool,
    ) {
        let mut left = most;
        self.visit_table(memory, (self.top, self.levels, 0), &mut left, visitor);
    }

    fn visit_table(
        &self,
        memory: &(impl PhysRead + ?Sized),
        (table, level, base): (u64, u8, u64),
        left: &mut usize,
        visitor: &mut dyn FnMut(Mapping) -> bool,
    ) {
        let mut entries = [0; 4096];
        if *left == 0 || memory.read_phys(table, &mut entries).is_err() {
            return;
        }
        *left -= 1;
        let shift = 12 + 9 * u32::from(level - 1);
        let first = if level == self.levels { 256 } else { 0 };
        for index in first..512 {
            let entry = u64_at(&entries, index * 8);
            if entry & PRESENT == 0 {
                continue;
            }
            let inside = base | (index as u64) << shift;
            // The highest bit of an address fills the bits above it.
            let virt = if level == self.levels { inside | u64::MAX << (shift + 9) } else { inside };
            let phys = entry & ADDRESS & !self.encryption;
            let is_memory = level == 1 || entry & LEAF != 0 && level <= 3;
            let size = if is_memory { 1 << shift } else { 0 };
            let phys = if is_memory { phys & !((1 << shift) - 1) } else { phys };
            if visitor(Mapping { virt, phys, level, size }) && !is_memory {
                self.visit_table(memory, (phys, level - 1, virt), left, visitor);
            }
        }
    }

    /// Fills the buffer from a virtual address.
    ///
    /// # Errors
    /// [`Error::NotMapped`], or the memory cannot be read.
    pub fn read(&self, memory: &(impl PhysRead + ?Sized), virt: u64, buffer: &mut [u8]) -> Result<()> {
        let mut done = 0;
        while done < buffer.len() {
            let place = self.translate(memory, virt.wrapping_add(done as u64))?;
            let left = buffer.len() - done;
            let count = usize::try_from(place.left).unwrap_or(left).min(left);
            memory.read_phys(place.phys, &mut buffer[done..done + count])?;
            done += count;
        }
        Ok(())
    }

    /// Reads a number of 8 bytes.
    ///
    /// # Errors
    /// See [`AddressSpace::read`].
    pub fn read_u64(&self, memory: &(impl PhysRead + ?Sized), virt: u64) -> Result<u64> {
        let mut bytes = [0; 8];
        self.read(memory, virt, &mut bytes)?;
        Ok(u64::from_le_bytes(bytes))
    }
}
