use super::*;

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

/// Memory of a kernel: page tables with one page of 1 GiB, a ring of four descriptors and 64 bytes.
struct Memory(Vec<u8>);

impl PhysRead for Memory {
    fn read_phys(&self, address: u64, buffer: &mut [u8]) -> Result<()> {
        let at = usize::try_from(address).unwrap();
        let bytes = self.0.get(at..at.saturating_add(buffer.len()));
        buffer.copy_from_slice(bytes.ok_or(Error::Absent { pfn: address >> 12 })?);
        Ok(())
    }
}

impl Memory {
    fn new(first: u64, last: u64) -> Self {
        let mut memory = Self(vec![0; 0x7000]);
        memory.word(TOP + 511 * 8, 0x2000 | 1);
        memory.word(0x2000 + 510 * 8, 1 << 7 | 1);
        memory.word(0xff8, MAP + RING as u64);
        for (offset, word) in
            [(0, 2), (8, MAP + DESCRIPTORS as u64), (16, MAP + INFOS as u64), (24, last), (32, first)]
        {
            memory.word(RING + offset, word);
        }
        memory.word(RING + 48, 6);
        memory.word(RING + 56, MAP + DATA as u64);
        memory
    }

    fn word(&mut self, at: usize, value: u64) {
        self.0[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn message(&mut self, id: u64, state: u64, (begin, next): (u64, u64), length: u64) {
        let index = usize::try_from(id & 3).unwrap();
        self.word(DESCRIPTORS + index * DESCRIPTOR, id | state << 62);
        self.word(DESCRIPTORS + index * DESCRIPTOR + 8, begin);
        self.word(DESCRIPTORS + index * DESCRIPTOR + 16, next);
        self.word(INFOS + index * INFO, id + 100);
        self.word(INFOS + index * INFO + 8, id * 1_000_000);
        self.word(INFOS + index * INFO + 16, length | 7 << 32);
    }

    fn block(&mut self, at: usize, id: u64, text: &[u8]) {
        self.word(DATA + at, id);
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
fn messages_come_in_their_order_wherever_they_are() {
    let mut memory = Memory::new(5, 7);
    memory.message(5, FINALIZED, (40, 64), 5);
    memory.block(40, 5, b"first");
    // The second crosses the end, so it is at the start.
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
    let mut memory = Memory::new(4, 7);
    memory.message(4, 0, (0, 16), 2);
    memory.message(5, FINALIZED, (16, 32), 2);
    memory.block(16, 9, b"??");
    memory.message(2, FINALIZED, (32, 48), 2);
    memory.message(7, FINALIZED, (32, 48), 99);
    memory.block(32, 7, b"whole");
    assert_eq!(memory.texts(), ["whole\0\0\0"]);
}

#[test]
fn a_log_that_cannot_be_is_refused_or_ends() {
    let mut memory = Memory::new(0, u64::MAX);
    memory.word(RING + 8, 0x1000);
    assert!(memory.texts()[0].contains("is not mapped"));
    assert_eq!(memory.texts().len(), 1);
    memory.word(RING, 27);
    let info = Vmcoreinfo::parse(VMCOREINFO.as_bytes());
    assert!(matches!(RingBuffer::open(&memory, &info), Err(Error::TooLarge { value: 27, most: 26, .. })));
}

#[test]
fn texts_do_not_add_up_to_more_than_the_ring_holds() {
    let mut memory = Memory::new(4, 7);
    // Four blocks that lie over each other: 160 bytes of text in a ring of 64.
    for step in 0..4 {
        memory.message(4 + step, FINALIZED, (step * 8, step * 8 + 48), 40);
        memory.word(DATA + usize::try_from(step).unwrap() * 8, 4 + step);
    }
    assert_eq!(memory.texts().iter().map(String::len).collect::<Vec<_>>(), [40, 40]);
}
