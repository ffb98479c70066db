//! The log of kernels before 5.10: consecutive records in one buffer, `struct printk_log` (Linux
//! 5.9, kernel/printk/printk.c): a time stamp, the record's length, the text's length, and the
//! text. After a record of length 0 the log continues at the start of the buffer.

use crate::format::field::{u16_at, u64_at};
use crate::kernel::paging::AddressSpace;
use crate::kernel::printk::Record;
use crate::{Error, PhysRead, Result, Vmcoreinfo};

/// The most bytes of the buffer: `CONFIG_LOG_BUF_SHIFT` is at most 25, `log_buf_len=` at most 2
/// GiB.
const MOST: u64 = 1 << 31;

/// The messages, the oldest first.
///
/// # Errors
/// The kernel has no such log, or its memory cannot be read.
pub fn records(memory: &impl PhysRead, info: &Vmcoreinfo) -> Result<Vec<Record>> {
    let space = AddressSpace::of_kernel(info)?;
    let number = |name: &str| {
        let mut bytes = [0; 4];
        space.read(memory, info.symbol(name)?, &mut bytes)?;
        Ok::<_, Error>(u64::from(u32::from_le_bytes(bytes)))
    };
    let start = space.read_u64(memory, info.symbol("log_buf")?)?;
    let (size, first, next) = (number("log_buf_len")?, number("log_first_idx")?, number("log_next_idx")?);
    if size > MOST || first > size || next > size {
        return Err(Error::TooLarge {
            what: "an offset in the kernel's log",
            value: size.max(first).max(next),
            most: MOST,
        });
    }
    let header = info.size("printk_log").or_else(|_| info.size("log"))?;
    let offset = |member: &str| {
        info.offset(&format!("printk_log.{member}")).or_else(|_| info.offset(&format!("log.{member}")))
    };
    let (time, length, text_length) = (offset("ts_nsec")?, offset("len")?, offset("text_len")?);
    let (mut records, mut at, mut wrapped) = (Vec::new(), first, false);
    // Each record has at least a header, which limits their number.
    while (at != next || (!wrapped && next < first)) && (records.len() as u64) < size / header as u64 + 1 {
        let mut bytes = vec![0; header];
        space.read(memory, start.wrapping_add(at), &mut bytes)?;
        let whole = u64::from(u16_at(&bytes, length));
        if whole == 0 {
            if std::mem::replace(&mut wrapped, true) {
                break;
            }
            at = 0;
            continue;
        }
        let mut text = vec![0; usize::from(u16_at(&bytes, text_length))];
        space.read(memory, start.wrapping_add(at + header as u64), &mut text)?;
        let nanoseconds = u64_at(&bytes, time);
        records.push(Record { number: records.len() as u64, nanoseconds, caller: 0, text });
        at += whole;
        if at >= size {
            break;
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_memory::TestMemory;

    const START: u64 = 0xffff_ffff_8000_0000;

    fn record(time: u64, text: &[u8]) -> Vec<u8> {
        let length = u16::try_from(16 + text.len()).unwrap().next_multiple_of(8);
        let mut bytes = time.to_le_bytes().to_vec();
        bytes.extend(length.to_le_bytes());
        bytes.extend(u16::try_from(text.len()).unwrap().to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(text);
        bytes.resize(length.into(), 0);
        bytes
    }

    /// A page of tables, one of variables and one of the log, which a page of 1 GiB maps.
    fn memory(log: &[u8], first: u32, next: u32) -> (TestMemory, Vmcoreinfo) {
        let mut memory = TestMemory(vec![0; 0x5000]);
        // The last entry of the top table points to the table that maps the kernel by a page of 1
        // GiB.
        memory.put(0x1ff8, &0x2003_u64.to_le_bytes());
        memory.put(0x2ff0, &0x83_u64.to_le_bytes());
        memory.put(0x3000, &(START + 0x4000).to_le_bytes());
        memory.put(0x3008, &4096_u32.to_le_bytes());
        memory.put(0x3010, &first.to_le_bytes());
        memory.put(0x3018, &next.to_le_bytes());
        memory.put(0x4000, log);
        let text = "SYMBOL(swapper_pg_dir)=ffffffff80001000\nNUMBER(phys_base)=0\n\
            SYMBOL(log_buf)=ffffffff80003000\nSYMBOL(log_buf_len)=ffffffff80003008\n\
            SYMBOL(log_first_idx)=ffffffff80003010\nSYMBOL(log_next_idx)=ffffffff80003018\n\
            SIZE(printk_log)=16\nOFFSET(printk_log.ts_nsec)=0\nOFFSET(printk_log.len)=8\n\
            OFFSET(printk_log.text_len)=10\n";
        (memory, Vmcoreinfo::parse(text.as_bytes()))
    }

    #[test]
    fn records_are_read_in_order() {
        let log = [record(1_000, b"first"), record(2_000, b"second one")].concat();
        let (memory, info) = memory(&log, 0, u32::try_from(log.len()).unwrap());
        let records = records(&memory, &info).unwrap();
        assert_eq!(
            records.iter().map(|record| &record.text[..]).collect::<Vec<_>>(),
            [&b"first"[..], b"second one"]
        );
        assert_eq!(records[1].nanoseconds, 2_000);
    }

    #[test]
    fn the_log_goes_on_at_the_start_of_the_buffer() {
        let newest = record(3, b"newest");
        let old = record(1, b"old");
        let log = [&newest[..], &old, &[0; 16]].concat();
        let from = u32::try_from(newest.len()).unwrap();
        let (memory, info) = memory(&log, from, from);
        let texts: Vec<_> = records(&memory, &info).unwrap().into_iter().map(|record| record.text).collect();
        // If both places are equal, the log is empty.
        assert!(texts.is_empty());
        let (memory, info) = self::memory(&[&newest[..], &old, &[0; 16]].concat(), from, from - 1);
        assert!(records(&memory, &info).is_ok());
    }

    #[test]
    fn a_log_with_impossible_offsets_ends() {
        let log = [0xff; 64];
        let (memory, info) = memory(&log, 0, 4000);
        let _ = records(&memory, &info);
        let (memory, info) = self::memory(&log, 4_000_000_000, 0);
        assert!(matches!(records(&memory, &info), Err(Error::TooLarge { .. })));
    }
}
