//! A machine for tests: memory, ports that hold what is written to them, and a BIOS in Rust.
#![expect(clippy::cast_possible_truncation, reason = "all addresses are below 4 GiB")]

use std::collections::BTreeMap;

use abi::bios::{
    BUFFER_LENGTH, CALL_COUNT, CALLS, ENTRY, FLAGS, LOW_STUB, MAGIC, MAGIC_NUMBER, PIC_LINUX, PIC_MASK, call,
    flag, kind, registers, stub,
};
use abi::{Field, Number};

use crate::{Handlers, Hardware, Services};

pub(crate) const MEMORY: u64 = 0x10_8000;
pub(crate) const APIC: u64 = 0xfee0_0000;

/// The BIOS: changes the machine, with the stub's fields as its registers.
pub(crate) type Bios = fn(&mut Fake);

pub(crate) struct Fake {
    pub(crate) memory: Vec<u8>,
    pub(crate) ports: BTreeMap<u16, u8>,
    pub(crate) devices: BTreeMap<u64, u32>,
    pub(crate) registers: BTreeMap<u32, u64>,
    pub(crate) cr4: u64,
    /// Everything that was written to the local APIC.
    pub(crate) apic_writes: Vec<(u64, u32)>,
    /// The state of the local APIC and of the 8259s' masks at each call.
    pub(crate) seen: Vec<(u32, u32, u8)>,
    pub(crate) bios: Bios,
    pub(crate) clock: u64,
    /// Where the stub lies.
    pub(crate) stub_at: usize,
    /// How many times real mode was entered.
    pub(crate) turns: usize,
}

impl Fake {
    pub(crate) fn new(bios: Bios) -> Self {
        let mut fake = Self {
            memory: (0..0x40_0000_u32).map(|at| (at / 7) as u8).collect(),
            ports: BTreeMap::from([(0x21, 0xff), (0xa1, 0xfe), (0x4d1, 0x0c), (0x40, 0x34), (0x92, 2)]),
            devices: BTreeMap::from([
                (APIC + 0x350, 0x1_0700),
                (APIC + 0x360, 0x400),
                (APIC + 0xf0, 0x1ff),
                (APIC + 0x320, 0xec),
                (APIC + 0x340, 0x400),
            ]),
            registers: BTreeMap::from([(0x1b, APIC | 0x900), (0xc000_0080, 0xd01)]),
            cr4: 0x620,
            apic_writes: Vec::new(),
            seen: Vec::new(),
            bios,
            clock: 0,
            stub_at: LOW_STUB,
            turns: 0,
        };
        for vector in 0..256 {
            fake.write(vector * 4, 0xf000_e000 + vector as u32);
        }
        fake.write(0x40c, 0x9fc0_0000);
        fake.write(0x9_fc00, 1);
        fake
    }

    pub(crate) fn stub<T: Number>(&self, field: Field<T>) -> T {
        field.read(&self.memory[self.stub_at..]).unwrap()
    }

    pub(crate) fn set_stub<T: Number>(&mut self, field: Field<T>, value: T) {
        assert!(field.write(&mut self.memory[self.stub_at..], value));
    }

    /// A register in.
    pub(crate) fn register_in(&self, register: Field<u32>) -> u32 {
        self.stub(Field::at(stub::IN + register.offset()))
    }

    /// Returns with a register.
    pub(crate) fn returns(&mut self, register: Field<u32>, value: u32) {
        self.set_stub(Field::<u32>::at(stub::OUT + register.offset()), value);
    }

    fn is_device(address: u64) -> bool {
        address >= 0xfec0_0000
    }
}

impl Hardware for Fake {
    fn input(&mut self, port: u16) -> u8 {
        self.ports.get(&port).copied().unwrap_or(0)
    }

    fn output(&mut self, port: u16, byte: u8) {
        self.ports.insert(port, byte);
        // The 8254's status is what channel 0 was last set to.
        if port == 0x43 && byte >> 6 == 0 {
            self.ports.insert(0x40, byte);
        }
        if port == 0x40 {
            let mode = self.ports[&0x43];
            self.ports.insert(0x40, mode);
        }
    }

    fn read(&mut self, address: u64) -> u32 {
        if Self::is_device(address) {
            return self.devices.get(&address).copied().unwrap_or(0);
        }
        Field::<u32>::at(address as usize).read(&self.memory).unwrap()
    }

    fn write(&mut self, address: u64, word: u32) {
        if Self::is_device(address) {
            self.apic_writes.push((address, word));
            self.devices.insert(address, word);
        } else {
            assert!(Field::<u32>::at(address as usize).write(&mut self.memory, word));
        }
    }

    fn copy(&mut self, from: u64, to: u64, bytes: u64) {
        self.memory.copy_within(from as usize..(from + bytes) as usize, to as usize);
    }

    fn register(&mut self, number: u32) -> u64 {
        self.registers.get(&number).copied().unwrap_or(0)
    }

    fn set_register(&mut self, number: u32, value: u64) {
        self.registers.insert(number, value);
    }

    fn control(&mut self) -> [u64; 2] {
        [0x8000_0033, self.cr4]
    }

    fn descriptors(&mut self) -> [(u64, u16); 2] {
        [(0x1000, 0x7f), (0x2000, 0xfff)]
    }

    fn time(&mut self) -> u64 {
        self.clock += 10;
        self.clock
    }

    fn lay_stub(&mut self, at: u32) {
        self.stub_at = at as usize;
        self.memory[self.stub_at..self.stub_at + 0x800].fill(0x90);
    }

    /// Repeats the call as the stub does.
    fn real_mode(&mut self) {
        let out = |register: Field<u32>| Field::<u32>::at(stub::OUT + register.offset());
        let into = |register: Field<u32>| Field::<u32>::at(stub::IN + register.offset());
        loop {
            let seen = (self.read(APIC + 0x80), self.read(APIC + 0x350), self.input(0x21));
            self.seen.push(seen);
            self.turns += 1;
            if self.stub(stub::RESUMES) != 0 {
                (self.bios)(self);
                return;
            }
            self.set_stub(stub::DEADLINE, self.stub(stub::TICKS_ALLOWED));
            (self.bios)(self);
            self.set_stub(stub::TIMES, self.stub(stub::TIMES) + 1);
            let (next, carry) = (self.stub(out(registers::EBX)), self.stub(out(registers::EFLAGS)) & 1);
            if self.stub(stub::WHY) != 0 || carry != 0 || next == 0 {
                return;
            }
            self.set_stub(stub::TURNS, self.stub(stub::TURNS) - 1);
            if self.stub(stub::TURNS) == 0 {
                return;
            }
            self.set_stub(into(registers::EBX), next);
            let place = self.register_in(registers::EDI).wrapping_add(self.stub(stub::STEP));
            self.set_stub(into(registers::EDI), place);
        }
    }

    fn services(&self) -> Services {
        Services {
            interrupts: [(0x13, 0x200), (0x15, 0x210), (0x18, 0x220), (0x19, 0x230)],
            restarted: 0x240,
        }
    }

    fn handlers(&self) -> Handlers {
        Handlers { all: [(0, 0x100), (2, 0x110), (6, 0x120), (8, 0x130), (12, 0x140), (13, 0x150)] }
    }
}

/// A block with one call.
pub(crate) fn block(kind: u8, number: u8, most: u16) -> [u8; ENTRY] {
    let mut bytes = [0; ENTRY];
    assert!(MAGIC.write(&mut bytes, MAGIC_NUMBER));
    assert!(FLAGS.write(&mut bytes, flag::KEEP_CLOCK));
    assert!(CALL_COUNT.write(&mut bytes, 1));
    assert!(PIC_LINUX.write(&mut bytes, 0x3830));
    assert!(PIC_MASK.write(&mut bytes, 0xfefa));
    assert!(BUFFER_LENGTH.write(&mut bytes, 0x1000));
    let one = &mut bytes[CALLS..];
    assert!(call::KIND.write(one, kind));
    assert!(call::NUMBER.write(one, number));
    assert!(call::MOST.write(one, most));
    assert!(call::STEP.write(one, 24));
    assert!(call::DEADLINE.write(one, 9));
    assert!(Field::<u32>::at(call::IN + registers::EAX.offset()).write(one, 0xe820));
    assert!(Field::<u32>::at(call::IN + registers::EFLAGS.offset()).write(one, 0x202));
    bytes
}

/// A call of INT 15h.
pub(crate) fn int_15() -> [u8; ENTRY] {
    block(kind::INTERRUPT, 0x15, 1)
}
