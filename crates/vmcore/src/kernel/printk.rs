//! The kernel log: the ring buffer of Linux 5.10 and later (`kernel/printk/printk_ringbuffer.h`),
//! in the memory of a kernel that may have crashed.
//!
//! A ring of descriptors holds for each message where its text is in a second ring, of bytes:
//!
//! ```text
//! descs[id % count]   state in the two highest bits, id in the others; start of the text's block,
//!                     start of the next block
//! infos[id % count]   number, time and length of the message
//! data[position % size]   blocks: an id, then the text; a block that would cross the end moves to the start
//! ```

use crate::format::field::{u16_at, u32_at, u64_at};
use crate::kernel::paging::AddressSpace;
use crate::{Error, PhysRead, Result, Vmcoreinfo};

/// The most descriptors and bytes of text: `log_buf_len` is at most 2 GiB, with 32 bytes for each
/// descriptor.
const MOST_COUNT_BITS: u32 = 26;
const MOST_SIZE_BITS: u32 = 31;
/// States of a descriptor: the text is complete; `COMMITTED` text may still be extended.
const COMMITTED: u64 = 1;
const FINALIZED: u64 = 2;
const STATE_SHIFT: u32 = 62;
const ID: u64 = (1 << STATE_SHIFT) - 1;
/// Set in a position that is not one: the message has no text.
const NO_DATA: u64 = 1;
/// Bytes of the id before a text.
const BLOCK_HEADER: u64 = 8;

/// One message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Its number, from 0 on.
    pub number: u64,
    /// Nanoseconds since the kernel's clock started.
    pub nanoseconds: u64,
    /// The task that printed it, or with the highest bit set the CPU.
    pub caller: u32,
    /// The text; lines are separated by `\n`.
    pub text: Vec<u8>,
}

/// The log of a kernel.
pub struct RingBuffer<'m, M> {
    memory: &'m M,
    space: AddressSpace,
    descriptors: Array,
    infos: Array,
    count_bits: u32,
    data: u64,
    size_bits: u32,
    first: u64,
    last: u64,
    layout: PrintkLayout,
}

/// An array, by virtual address.
#[derive(Clone, Copy, Debug)]
struct Array {
    start: u64,
    element: usize,
}

/// Offsets in bytes.
#[derive(Clone, Copy, Debug)]
struct PrintkLayout {
    state: usize,
    begin: usize,
    next: usize,
    number: usize,
    nanoseconds: usize,
    length: usize,
    caller: usize,
}

impl PrintkLayout {
    fn new(info: &Vmcoreinfo) -> Result<Self> {
        let block = info.offset("prb_desc.text_blk_lpos")?;
        Ok(Self {
            state: info.offset("prb_desc.state_var")? + info.offset("atomic_long_t.counter")?,
            begin: block + info.offset("prb_data_blk_lpos.begin")?,
            next: block + info.offset("prb_data_blk_lpos.next")?,
            number: info.offset("printk_info.seq")?,
            nanoseconds: info.offset("printk_info.ts_nsec")?,
            length: info.offset("printk_info.text_len")?,
            caller: info.offset("printk_info.caller_id")?,
        })
    }
}

impl<'m, M: PhysRead> RingBuffer<'m, M> {
    /// Finds the log of the kernel that VMCOREINFO describes in its memory.
    ///
    /// # Errors
    /// The kernel is older than 5.10, the memory of the log cannot be read, or the log is invalid.
    pub fn open(memory: &'m M, info: &Vmcoreinfo) -> Result<Self> {
        let space = AddressSpace::of_kernel(info)?;
        let layout = PrintkLayout::new(info)?;
        let ring = space.read_u64(memory, info.symbol("prb")?)?;
        let descriptors = ring.wrapping_add(info.offset("printk_ringbuffer.desc_ring")? as u64);
        let data = ring.wrapping_add(info.offset("printk_ringbuffer.text_data_ring")? as u64);
        let at = |base: u64, name: &str| Ok::<_, Error>(base.wrapping_add(info.offset(name)? as u64));
        let word = |base, name: &str| space.read_u64(memory, at(base, name)?);
        let counter = info.offset("atomic_long_t.counter")? as u64;
        let id = |name: &str| {
            Ok::<_, Error>(space.read_u64(memory, at(descriptors, name)?.wrapping_add(counter))? & ID)
        };
        let bits = |base, name: &'static str, most| {
            // It is a 32-bit number.
            let value = word(base, name)? & u64::from(u32::MAX);
            let bits = u32::try_from(value).ok().filter(|bits| (1..=most).contains(bits));
            bits.ok_or(Error::TooLarge {
                what: "a size of the kernel's log, as a power of two,",
                value,
                most: most.into(),
            })
        };
        Ok(Self {
            descriptors: Array {
                start: word(descriptors, "prb_desc_ring.descs")?,
                element: info.size("prb_desc")?,
            },
            infos: Array {
                start: word(descriptors, "prb_desc_ring.infos")?,
                element: info.size("printk_info")?,
            },
            count_bits: bits(descriptors, "prb_desc_ring.count_bits", MOST_COUNT_BITS)?,
            data: word(data, "prb_data_ring.data")?,
            size_bits: bits(data, "prb_data_ring.size_bits", MOST_SIZE_BITS)?,
            first: id("prb_desc_ring.tail_id")?,
            last: id("prb_desc_ring.head_id")?,
            memory,
            space,
            layout,
        })
    }

    /// The messages, the oldest first, without those that were still being written. An error of
    /// reading is the last item. The log also ends where its texts exceed the buffer's size: such a
    /// log is damaged.
    pub fn records(&self) -> impl Iterator<Item = Result<Record>> + '_ {
        let count = (self.last.wrapping_sub(self.first) & ID).min(mask(self.count_bits)) + 1;
        let mut room = Some(1_u64 << self.size_bits);
        (0..count)
            .map(|step| self.first.wrapping_add(step) & ID)
            .map_while(move |id| {
                let left = room?;
                let record = self.record(id);
                room = match &record {
                    Ok(Some(record)) => left.checked_sub(record.text.len() as u64),
                    Ok(None) => room,
                    Err(_) => None,
                };
                Some(record.transpose())
            })
            .flatten()
    }

    /// The message with this id, if its descriptor is that of a complete one.
    fn record(&self, id: u64) -> Result<Option<Record>> {
        let descriptor = self.element(self.descriptors, id)?;
        let state = u64_at(&descriptor, self.layout.state);
        if state & ID != id || !matches!(state >> STATE_SHIFT, COMMITTED | FINALIZED) {
            return Ok(None);
        }
        let (begin, next) = (u64_at(&descriptor, self.layout.begin), u64_at(&descriptor, self.layout.next));
        let info = self.element(self.infos, id)?;
        let length = u16_at(&info, self.layout.length);
        let Some(text) = self.text(id, begin, next, length)? else { return Ok(None) };
        Ok(Some(Record {
            number: u64_at(&info, self.layout.number),
            nanoseconds: u64_at(&info, self.layout.nanoseconds),
            caller: u32_at(&info, self.layout.caller),
            text,
        }))
    }

    fn element(&self, array: Array, id: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; array.element];
        let offset = (id & mask(self.count_bits)).wrapping_mul(array.element as u64);
        self.space.read(self.memory, array.start.wrapping_add(offset), &mut bytes)?;
        Ok(bytes)
    }

    /// The text of a block, if it still has this id: newer messages may have overwritten it.
    fn text(&self, id: u64, begin: u64, next: u64, length: u16) -> Result<Option<Vec<u8>>> {
        if begin & next & NO_DATA != 0 {
            return Ok(Some(Vec::new()));
        }
        let Some((start, room)) = self.block(begin, next) else { return Ok(None) };
        let at = self.data.wrapping_add(start);
        if self.space.read_u64(self.memory, at)? & ID != id {
            return Ok(None);
        }
        let length = u64::from(length).min(room - BLOCK_HEADER);
        let mut text = vec![0; usize::try_from(length).unwrap_or(0)];
        self.space.read(self.memory, at.wrapping_add(BLOCK_HEADER), &mut text)?;
        Ok(Some(text))
    }

    /// The offset of a block in the data, and its size.
    fn block(&self, begin: u64, next: u64) -> Option<(u64, u64)> {
        let (size, mask) = (1 << self.size_bits, mask(self.size_bits));
        let rounds = (next >> self.size_bits).wrapping_sub(begin >> self.size_bits);
        let (start, room) = match (rounds, next & mask) {
            (0, _) => (begin & mask, next.checked_sub(begin)?),
            (1, 0) => (begin & mask, size - (begin & mask)),
            (1, end) => (0, end),
            _ => return None,
        };
        (room >= BLOCK_HEADER).then_some((start, room))
    }
}

const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

#[cfg(test)]
mod tests;
