use super::*;
use crate::test_memory::TestMemory;

const TOP: usize = 0x1000;
const RING: usize = 0x3000;
const DESCRIPTORS: usize = 0x4000;
const INFOS: usize = 0x5000;
const DATA: usize = 0x6000;
/// Where the kernel's image is mapped; it lies at physical address 0.
const MAP: u64 = 0xffff_ffff_8000_0000;
const DESCRIPTOR: usize = 24;
const INFO: usize = 88;

const VMCOREINFO: &str = "SYMBOL(init_top_pgt)=ffffffff80001000
SYMBOL(prb)=ffffffff80000ff8
NUMBER(phys_base)=0
OFFSET(printk_ringbuffer.desc_ring)=0
OFFSET(printk_ringbuffer.text_data_ring)=48
OFFSET(prb_desc_ring.count_bits)=0
OFFSET(prb_desc_ring.descs)=8
OFFSET(prb_desc_ring.infos)=16
OFFSET(prb_desc_ring.head_id)=24
OFFSET(prb_desc_ring.tail_id)=32
SIZE(prb_desc)=24
OFFSET(prb_desc.state_var)=0
OFFSET(prb_desc.text_blk_lpos)=8
OFFSET(prb_data_blk_lpos.begin)=0
OFFSET(prb_data_blk_lpos.next)=8
SIZE(printk_info)=88
OFFSET(printk_info.seq)=0
OFFSET(printk_info.ts_nsec)=8
OFFSET(printk_info.text_len)=16
OFFSET(printk_info.caller_id)=20
OFFSET(prb_data_ring.size_bits)=0
OFFSET(prb_data_ring.data)=8
OFFSET(atomic_long_t.counter)=0
";

impl TestMemory {
    /// Memory of a kernel: page tables with one page of 1 GiB, a ring of four descriptors and 64
    /// bytes.
    fn with_ring(first: u64, last: u64) -> Self {
        let mut memory = Self(vec![0; 0x7000]);
        memory.put_u64(TOP + 511 * 8, 0x2000 | 1);
        memory.put_u64(0x2000 + 510 * 8, 1 << 7 | 1);
        memory.put_u64(0xff8, MAP + RING as u64);
        for (offset, word) in
            [(0, 2), (8, MAP + DESCRIPTORS as u64), (16, MAP + INFOS as u64), (24, last), (32, first)]
        {
            memory.put_u64(RING + offset, word);
        }
        memory.put_u64(RING + 48, 6);
        memory.put_u64(RING + 56, MAP + DATA as u64);
        memory
    }

    fn message(&mut self, id: u64, state: u64, (begin, next): (u64, u64), length: u64) {
        let index = usize::try_from(id & 3).unwrap();
        self.put_u64(DESCRIPTORS + index * DESCRIPTOR, id | state << 62);
        self.put_u64(DESCRIPTORS + index * DESCRIPTOR + 8, begin);
        self.put_u64(DESCRIPTORS + index * DESCRIPTOR + 16, next);
        self.put_u64(INFOS + index * INFO, id + 100);
        self.put_u64(INFOS + index * INFO + 8, id * 1_000_000);
        self.put_u64(INFOS + index * INFO + 16, length | 7 << 32);
    }

    fn block(&mut self, at: usize, id: u64, text: &[u8]) {
        self.put_u64(DATA + at, id);
        self.0[DATA + at + 8..][..text.len()].copy_from_slice(text);
    }

    fn texts(&self) -> Vec<String> {
        let info = Vmcoreinfo::parse(VMCOREINFO.as_bytes());
        let ring = RingBuffer::open(self, &info).unwrap();
        let text = |record: Result<Record>| match record {
            Ok(record) => String::from_utf8(record.text).unwrap(),
            Err(error) => error.to_string(),
        };
        ring.records().map(text).collect()
    }
}

#[test]
fn messages_are_read_in_order_across_the_rings_end() {
    let mut memory = TestMemory::with_ring(5, 7);
    memory.message(5, FINALIZED, (40, 64), 5);
    memory.block(40, 5, b"first");
    // The second would cross the end, so it is at the start.
    memory.message(6, COMMITTED, (64 + 48, 128 + 16), 6);
    memory.block(0, 6, b"second");
    memory.message(7, FINALIZED, (3, 3), 0);
    assert_eq!(memory.texts(), ["first", "second", ""]);
    let info = Vmcoreinfo::parse(VMCOREINFO.as_bytes());
    let record = RingBuffer::open(&memory, &info).unwrap().records().next().unwrap().unwrap();
    assert_eq!((record.number, record.nanoseconds, record.caller), (105, 5_000_000, 7));
}

#[test]
fn a_message_that_is_being_written_or_was_overwritten_is_left_out() {
    let mut memory = TestMemory::with_ring(4, 7);
    memory.message(4, 0, (0, 16), 2);
    memory.message(5, FINALIZED, (16, 32), 2);
    memory.block(16, 9, b"??");
    memory.message(2, FINALIZED, (32, 48), 2);
    memory.message(7, FINALIZED, (32, 48), 99);
    memory.block(32, 7, b"whole");
    assert_eq!(memory.texts(), ["whole\0\0\0"]);
}

#[test]
fn an_invalid_log_is_refused_or_ends() {
    let mut memory = TestMemory::with_ring(0, u64::MAX);
    memory.put_u64(RING + 8, 0x1000);
    assert!(memory.texts()[0].contains("is not mapped"));
    assert_eq!(memory.texts().len(), 1);
    memory.put_u64(RING, 27);
    let info = Vmcoreinfo::parse(VMCOREINFO.as_bytes());
    assert!(matches!(RingBuffer::open(&memory, &info), Err(Error::TooLarge { value: 27, most: 26, .. })));
}

#[test]
fn texts_do_not_add_up_to_more_than_the_ring_holds() {
    let mut memory = TestMemory::with_ring(4, 7);
    // Four overlapping blocks: 160 bytes of text in a ring of 64.
    for step in 0..4 {
        memory.message(4 + step, FINALIZED, (step * 8, step * 8 + 48), 40);
        memory.put_u64(DATA + usize::try_from(step).unwrap() * 8, 4 + step);
    }
    assert_eq!(memory.texts().iter().map(String::len).collect::<Vec<_>>(), [40, 40]);
}
