//! A program in Rust takes the place of the one on the disk: it calls a service at each turn.

use abi::bios::disk::{self as field, RANGE_SIZE, RANGES};
use abi::bios::registers::{DS, EAX, EBX, ECX, EDI, EDX, ES, ESI};
use abi::bios::{CALL_COUNT, ENTRY, FLAGS, flag, stub, why};
use abi::{Field, Number};

use crate::Hardware;
use crate::run;
use crate::testing::{Fake, MEMORY, int_15};

const STUB: u32 = 0x9_d000;
const KEPT: u64 = 0x20_0000;
const CONTENTS: usize = 0x2a_0000;
const SECTORS: u64 = 200;
/// A byte in memory above 1 MiB that the program has, and the end of that.
const OWN: u32 = 0x10_2000;
const MEMORY_END: u64 = 0x10_4000;

fn block(drive: u8) -> [u8; ENTRY] {
    let mut bytes = int_15();
    let put = |bytes: &mut [u8; ENTRY], field: Field<u64>, value: u64| assert!(field.write(bytes, value));
    put(&mut bytes, field::KEPT, KEPT);
    put(&mut bytes, field::CONTENTS, CONTENTS as u64);
    put(&mut bytes, field::SECTORS, SECTORS);
    put(&mut bytes, field::MEMORY_END, MEMORY_END);
    assert!(FLAGS.write(&mut bytes, flag::RUN_DISK | flag::KEEP_CLOCK));
    assert!(CALL_COUNT.write(&mut bytes, 0));
    assert!(field::STUB.write(&mut bytes, STUB));
    assert!(field::DEADLINE.write(&mut bytes, 40));
    assert!(field::CYLINDERS.write(&mut bytes, 10));
    assert!(field::HEADS.write(&mut bytes, 2));
    assert!(field::TRACK.write(&mut bytes, 10));
    assert!(field::DRIVE.write(&mut bytes, drive));
    assert!(field::FLOPPY_TYPE.write(&mut bytes, 4));
    assert!(field::RANGE_COUNT.write(&mut bytes, 2));
    for (number, start) in [0, 0x10_0000_u64].into_iter().enumerate() {
        let at = RANGES + number * RANGE_SIZE;
        assert!(Field::at(at).write(&mut bytes, start));
        assert!(Field::at(at + 8).write(&mut bytes, 0x2000_u64));
        assert!(Field::at(at + 16).write(&mut bytes, 1_u32));
    }
    bytes
}

/// A machine on which this program runs.
fn machine(program: fn(&mut Fake)) -> Fake {
    let mut fake = Fake::new(program);
    fake.write(0x413, 639);
    fake
}

fn run_on(fake: &mut Fake, drive: u8) -> (u32, [u8; ENTRY]) {
    let mut block = block(drive);
    (run(&mut block, MEMORY, fake), block)
}

impl Fake {
    /// The program calls an interrupt.
    fn calls(&mut self, number: u32, registers: &[(Field<u32>, u32)]) {
        self.set_stub(stub::SERVICE, number);
        for (register, value) in registers {
            self.returns(*register, *value);
        }
    }

    fn segment(&mut self, register: Field<u16>, value: u16) {
        self.set_stub(Field::<u16>::at(stub::OUT + register.offset()), value);
    }

    /// What a register has after a service.
    fn after(&self, register: Field<u32>) -> u32 {
        self.register_in(register)
    }

    fn carry(&self) -> bool {
        self.stub(stub::ENTRY_FLAGS) & 1 != 0
    }

    fn put<T: Number>(&mut self, address: usize, value: T) {
        assert!(Field::at(address).write(&mut self.memory, value));
    }
}

#[test]
fn a_program_starts_as_the_bios_would_start_it_and_leaves_nothing() {
    let mut fake = machine(|fake| {
        assert_eq!((fake.stub(stub::TARGET), fake.stub(stub::ESP)), (0x7c00, 0x7c00));
        assert_eq!((fake.after(EDX), fake.stub(stub::DEADLINE)), (0x80, 40));
        assert_eq!(fake.memory[0x7c00..0x7e00], fake.memory[CONTENTS..CONTENTS + 512]);
        // 628 KiB of base memory, one hard disk, no floppy disk, and after a restart our code.
        assert_eq!(fake.read(0x413) & 0xffff, 628);
        assert_eq!((fake.memory[0x475], fake.memory[0x410] & 0xc1), (1, 0));
        assert_eq!((fake.read(0x467), fake.read(0x19 * 4)), (0x9d00_0240, 0x9d00_0230));
        // It leaves nothing as it was.
        fake.memory[..STUB as usize].fill(0xcc);
        fake.memory[0x9_f000..0xa_0000].fill(0xcc);
        fake.memory[0xe_0000] ^= 0xff;
        for port in [0x21, 0xa1, 0x43, 0x61, 0x92] {
            fake.output(port, 0x55);
        }
        fake.calls(0x19, &[]);
    });
    let (memory, ports) = (fake.memory[..0x10_0000].to_vec(), fake.ports.clone());
    assert_eq!(run_on(&mut fake, 0x80).0, why::INT_19);
    assert!(fake.memory[..0x10_0000] == memory);
    assert_eq!(fake.input(0x61) & 3, 0);
    for port in [0x21, 0xa1, 0x40] {
        assert_eq!(fake.input(port), ports.get(&port).copied().unwrap_or(0), "port {port:#x}");
    }
    assert_eq!(fake.seen, [(0xff, 0x700, 0xfa)]);
}

#[test]
fn every_end_is_reported() {
    fn ends(program: fn(&mut Fake)) -> u32 {
        run_on(&mut machine(program), 0).0
    }
    assert_eq!(ends(|fake| fake.calls(0x18, &[])), why::INT_18);
    assert_eq!(ends(|fake| fake.calls(why::RESTART, &[])), why::RESTART);
    assert_eq!(ends(|fake| fake.set_stub(stub::WHY, why::EXCEPTION | 6)), why::EXCEPTION | 6);
    let ctrl_alt_del = |fake: &mut Fake| {
        fake.memory[0x417] = 0x0c;
        fake.calls(0x15, &[(EAX, 0x4f53)]);
    };
    assert_eq!(ends(ctrl_alt_del), why::KEYS);
    let mut fake = machine(|fake| {
        fake.set_stub(stub::WHERE, 0x1234_5678);
        fake.set_stub(stub::WHY, why::DEADLINE);
    });
    let (result, block) = run_on(&mut fake, 0);
    assert_eq!((result, field::WHERE.read(&block)), (why::DEADLINE, Some(0x1234_5678)));
}

#[test]
fn a_machine_with_less_base_memory_is_left_alone() {
    let mut fake = machine(|_| panic!("run"));
    fake.write(0x413, 630);
    assert_eq!(run_on(&mut fake, 0).0, why::BASE_MEMORY);
    for stub in [0, 0x9_d800, 0x9_f000] {
        let mut block = block(0);
        assert!(field::STUB.write(&mut block, stub));
        assert_eq!(run(&mut block, MEMORY, &mut machine(|_| panic!("run"))), why::SENSELESS);
    }
}

#[test]
fn sectors_are_read_and_written_by_cylinder() {
    let mut fake = machine(|fake| {
        fake.segment(ES, 0x1000);
        match fake.turns {
            // Cylinder 3, head 1, sector 5: number 74.
            1 => fake.calls(0x13, &[(EAX, 0x0202), (EBX, 0x100), (ECX, 0x0305), (EDX, 0x0100)]),
            2 => {
                assert_eq!((fake.after(EAX), fake.carry(), fake.stub(stub::ESP)), (2, false, 0x7c06));
                let disk = CONTENTS + 74 * 512;
                assert_eq!(fake.memory[0x1_0100..0x1_0500], fake.memory[disk..disk + 1024]);
                fake.memory[0x1_0100..0x1_0300].fill(0x77);
                fake.set_stub(stub::ESP, 0_u32);
                fake.calls(0x13, &[(EAX, 0x0301), (EBX, 0x100), (ECX, 1), (EDX, 0)]);
            }
            3 => {
                assert!(fake.memory[CONTENTS..CONTENTS + 512].iter().all(|&byte| byte == 0x77));
                // Sector 0, head 2, beyond the end, none: each does nothing.
                fake.calls(0x13, &[(EAX, 0x0201), (ECX, 0), (EDX, 0)]);
            }
            4 => {
                assert_eq!((fake.after(EAX), fake.carry()), (0x0400, true));
                fake.calls(0x13, &[(EAX, 0x0201), (ECX, 1), (EDX, 0x0200)]);
            }
            5 => {
                assert!(fake.carry());
                fake.calls(0x13, &[(EAX, 0x0302), (ECX, 0x090a), (EDX, 0x0100)]);
            }
            6 => {
                assert!(fake.carry());
                fake.calls(0x13, &[(EAX, 0x0200), (ECX, 1), (EDX, 0)]);
            }
            7 => {
                assert!(fake.carry());
                // The status of the last call.
                fake.calls(0x13, &[(EAX, 0x0100), (EDX, 0)]);
            }
            _ => {
                assert_eq!((fake.after(EAX), fake.carry()), (0x0400, true));
                fake.calls(0x19, &[]);
            }
        }
    });
    let (_, block) = run_on(&mut fake, 0);
    let numbers = [field::REQUESTS, field::FAILED].map(|field| field.read(&block).unwrap());
    assert_eq!((numbers, field::READ.read(&block), field::WRITTEN.read(&block)), ([7, 4], Some(2), Some(1)));
}

#[test]
fn nothing_is_read_to_or_written_from_memory_that_is_not_the_programs() {
    let mut fake = machine(|fake| {
        // The stub, the ROMs, the running kernel's, and across the end of base memory.
        let places = [(0x9d00, 0), (0x9cff, 0), (0xc000, 0), (0xffff, 0x5000)];
        if fake.turns > 1 {
            assert_eq!((fake.after(EAX) >> 8 & 0xff, fake.carry()), (0x09, true), "{}", fake.turns);
        }
        match places.get(fake.turns / 2) {
            Some((segment, offset)) => {
                fake.segment(ES, *segment);
                let function = if fake.turns.is_multiple_of(2) { 0x0201 } else { 0x0301 };
                fake.calls(0x13, &[(EAX, function), (EBX, *offset), (ECX, 1), (EDX, 0)]);
            }
            None => fake.calls(0x19, &[]),
        }
    });
    let before = fake.memory[..0x20_0000].to_vec();
    assert_eq!(run_on(&mut fake, 0).0, why::INT_19);
    assert!(fake.memory[..0x10_0000] == before[..0x10_0000]);
}

#[test]
fn extended_functions_are_for_the_hard_disk() {
    let mut fake = machine(|fake| {
        let packet = |fake: &mut Fake, count: u16, first: u64| {
            fake.put(0x3000, 0x10_u16);
            fake.put(0x3002, count);
            fake.put(0x3004, 0x2000_0000_u32);
            fake.put(0x3008, first);
            fake.segment(DS, 0x300);
        };
        match fake.turns {
            1 => fake.calls(0x13, &[(EAX, 0x4100), (EBX, 0x55aa), (EDX, 0x80)]),
            2 => {
                assert_eq!((fake.after(EAX), fake.after(EBX), fake.carry()), (0x0100, 0xaa55, false));
                packet(fake, 3, 150);
                fake.calls(0x13, &[(EAX, 0x4200), (ESI, 0), (EDX, 0x80)]);
            }
            3 => {
                assert!(!fake.carry());
                let disk = CONTENTS + 150 * 512;
                assert_eq!(fake.memory[0x2_0000..0x2_0600], fake.memory[disk..disk + 0x600]);
                packet(fake, 1, u64::MAX);
                fake.calls(0x13, &[(EAX, 0x4300), (ESI, 0), (EDX, 0x80)]);
            }
            4 => {
                assert_eq!((fake.after(EAX), fake.carry(), fake.memory[0x3002]), (0x0400, true, 0));
                packet(fake, 2, 199);
                fake.calls(0x13, &[(EAX, 0x4300), (ESI, 0), (EDX, 0x80)]);
            }
            5 => {
                assert!(fake.carry());
                fake.put(0x3000, 26_u16);
                fake.calls(0x13, &[(EAX, 0x4800), (ESI, 0), (EDX, 0x80)]);
            }
            6 => {
                assert_eq!((fake.read(0x3010), fake.read(0x3018) & 0xffff, fake.carry()), (200, 512, false));
                fake.calls(0x13, &[(EAX, 0x1500), (EDX, 0x80)]);
            }
            7 => {
                assert_eq!((fake.after(EAX), fake.after(EDX)), (0x0300, 200));
                // 10 cylinders, 2 heads, 10 sectors, one disk.
                fake.calls(0x13, &[(EAX, 0x0800), (EDX, 0x81)]);
            }
            8 => {
                assert_eq!(
                    (fake.after(ECX) & 0xffff, fake.after(EDX), fake.carry()),
                    (0x090a, 0x0101, false)
                );
                fake.calls(0x13, &[(EAX, 0x4200), (EDX, 0x81)]);
            }
            9 => {
                assert_eq!((fake.after(EAX), fake.carry()), (0x0100, true));
                fake.calls(0x19, &[]);
            }
            _ => unreachable!(),
        }
    });
    run_on(&mut fake, 0x80);
    let mut fake = machine(|fake| match fake.turns {
        1 => fake.calls(0x13, &[(EAX, 0x4100), (EBX, 0x55aa), (EDX, 0)]),
        2 => {
            assert!(fake.carry());
            fake.calls(0x13, &[(EAX, 0x0800), (EDX, 0)]);
        }
        _ => {
            assert_eq!((fake.after(EBX) & 0xff, fake.carry()), (4, false));
            fake.calls(0x19, &[]);
        }
    });
    run_on(&mut fake, 0);
}

#[test]
fn the_memory_map_is_the_blocks() {
    let mut fake = machine(|fake| {
        let asks = |fake: &mut Fake, number| {
            fake.segment(ES, 0x300);
            fake.calls(0x15, &[(EAX, 0xe820), (EBX, number), (ECX, 24), (EDX, 0x534d_4150), (EDI, 0)]);
        };
        match fake.turns {
            1 => asks(fake, 0),
            2 => {
                assert_eq!((fake.after(EAX), fake.after(EBX), fake.after(ECX)), (0x534d_4150, 1, 20));
                asks(fake, 1);
            }
            3 => {
                assert_eq!((fake.read(0x3000), fake.read(0x3010)), (0x10_0000, 1));
                assert_eq!((fake.after(EBX), fake.carry()), (0, false));
                asks(fake, 2);
            }
            4 => {
                assert!(fake.carry());
                fake.calls(0x15, &[(EAX, 0xe801)]);
            }
            5 => {
                assert_eq!((fake.after(EAX) & 0xffff, fake.after(EBX) & 0xffff), (16, 0));
                fake.calls(0x15, &[(EAX, 0x8800)]);
            }
            6 => {
                assert_eq!((fake.after(EAX) & 0xffff, fake.carry()), (16, false));
                fake.calls(0x15, &[(EAX, 0x8a00)]);
            }
            7 => {
                assert_eq!((fake.after(EAX) >> 8 & 0xff, fake.carry()), (0x86, true));
                // Del without Ctrl and Alt is the BIOS's.
                fake.memory[0x417] = 0;
                fake.set_stub(stub::ESP, 0x100_u32);
                fake.calls(0x15, &[(EAX, 0x4f53)]);
            }
            _ => {
                assert_eq!((fake.stub(stub::TARGET), fake.stub(stub::ESP)), (0xf000_e015, 0x100));
                assert_eq!(fake.stub(stub::ENTRY_FLAGS) & 0x300, 0);
                fake.calls(0x19, &[]);
            }
        }
    });
    assert_eq!(run_on(&mut fake, 0).0, why::INT_19);
}

#[test]
fn a_block_is_moved_within_the_programs_memory_only() {
    let mut fake = machine(|fake| {
        // Words of the table at 3000: the source at 0x10, the destination at 0x18.
        let moves = |fake: &mut Fake, from: u32, to: u32, words: u32| {
            for (at, base) in [(0x3010, from), (0x3018, to)] {
                fake.put(at, 0xffff | base << 16);
                fake.put(at + 4, base >> 16 & 0xff | base & 0xff00_0000);
            }
            fake.segment(ES, 0x300);
            fake.calls(0x15, &[(EAX, 0x8700), (ESI, 0), (ECX, words)]);
        };
        match fake.turns {
            1 => moves(fake, 0x5000, OWN, 0x100),
            2 => {
                assert!(!fake.carry());
                assert_eq!(fake.memory[0x5000..0x5200], fake.memory[0x10_2000..0x10_2200]);
                moves(fake, 0x5000, 0x10_3f00, 0x100);
            }
            3 => {
                assert!(fake.carry());
                moves(fake, 0xfec0_0000, 0x5000, 2);
            }
            4 => {
                assert!(fake.carry());
                moves(fake, 0x5000, STUB, 1);
            }
            5 => {
                assert!(fake.carry());
                moves(fake, 0x5000, 0x6000, 0xffff);
            }
            _ => {
                assert!(fake.carry());
                fake.calls(0x19, &[]);
            }
        }
    });
    assert_eq!(run_on(&mut fake, 0).0, why::INT_19);
}
