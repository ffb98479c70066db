//! Tests of [`super`].

use super::*;
use crate::testing::{APIC, Fake, MEMORY, block, int_15};
use abi::bios::{CALLS, LOW_BUFFER};

/// Runs a block; the machine's memory holds the image.
fn run_on(fake: &mut Fake, mut block: [u8; ENTRY]) -> (u32, [u8; ENTRY]) {
    let result = run(&mut block, MEMORY, fake);
    (result, block)
}

fn of_call<T: abi::Number>(block: &[u8], field: Field<T>) -> T {
    field.read(&block[CALLS..]).unwrap()
}

/// Low memory but for what a BIOS may keep for itself.
fn low(fake: &Fake) -> Vec<u8> {
    fake.memory[..0x10_0000].to_vec()
}

/// Uses everything: interrupt controllers, timers, the clock, A20, its stack and the buffer.
fn careless(fake: &mut Fake) {
    for port in [0x20, 0x21, 0xa1, 0x4d0, 0x4d1, 0x43, 0x71] {
        fake.output(port, 0x55);
    }
    fake.output(0x92, 0);
    fake.devices.insert(APIC + 0x350, 0x700);
    fake.memory[LOW_STACK..LOW_STACK + 0x1000].fill(0xcc);
    fake.memory[LOW_BUFFER..LOW_BUFFER + 0x1000].fill(0xdd);
    fake.returns(registers::EAX, 0x1234);
}

#[test]
fn everything_is_as_before_afterwards() {
    let mut fake = Fake::new(careless);
    let (memory, ports, devices) = (low(&fake), fake.ports.clone(), fake.devices.clone());
    let (result, block) = run_on(&mut fake, int_15());
    assert_eq!(result, why::DONE);
    assert_eq!(low(&fake), memory);
    for port in [0x21, 0xa1, 0x4d0, 0x4d1, 0x40, 0x92] {
        assert_eq!(fake.input(port), ports.get(&port).copied().unwrap_or(0), "port {port:#x}");
    }
    for (address, value) in devices {
        assert_eq!(fake.devices[&address], value, "{address:#x}");
    }
    let state = |offset| block[offset..offset + field::state::SIZE].to_vec();
    let mut after = state(field::AFTER);
    // What the 8259s wait to deliver is compared with nothing.
    after[4..6].copy_from_slice(&state(field::BEFORE)[4..6]);
    assert_eq!(after, state(field::BEFORE));
    assert_eq!(of_call(&block, Field::<u32>::at(call::OUT)), 0x1234);
    let buffer = usize::try_from(MEMORY).unwrap() + BUFFER;
    assert!(fake.memory[buffer..][..0x1000].iter().all(|&byte| byte == 0xdd));
}

#[test]
fn the_bios_runs_at_the_highest_priority_with_interrupts_of_the_8259s() {
    let mut fake = Fake::new(|_| {});
    run_on(&mut fake, int_15());
    // IRQs 4 and 5 are masked, whatever the block says.
    assert_eq!(fake.seen, [(0xff, 0x700, 0xfa)]);
    let mut fake = Fake::new(|_| {});
    let mut quiet = int_15();
    assert!(field::FLAGS.write(&mut quiet, flag::NO_INTERRUPTS));
    run_on(&mut fake, quiet);
    assert_eq!(fake.seen, [(0xff, 0x1_0700, 0xff)]);
}

#[test]
fn the_real_time_clock_is_left_alone_unless_it_is_kept() {
    let mut fake = Fake::new(|_| {});
    fake.ports.insert(0x70, 0x12);
    let mut quick = int_15();
    assert!(field::FLAGS.write(&mut quick, 0));
    let (_, block) = run_on(&mut fake, quick);
    assert_eq!(fake.ports[&0x70], 0x12);
    assert_eq!(field::state::RTC.read(&block[field::BEFORE..]), Some(0));
}

#[test]
fn the_priority_is_put_back_last() {
    let mut fake = Fake::new(|_| {});
    run_on(&mut fake, int_15());
    assert_eq!(fake.apic_writes.first(), Some(&(APIC + 0x80, 0xff)));
    assert_eq!(fake.apic_writes.last(), Some(&(APIC + 0x80, 0)));
}

#[test]
fn a_call_that_ends_early_leaves_the_bios_as_it_was() {
    let mut fake = Fake::new(|fake| {
        fake.memory[0x480] = 0xee;
        fake.memory[0x9_fc10] = 0xee;
        fake.memory[0xe_8001] ^= 0xff;
        fake.set_stub(stub::WHY, why::DEADLINE);
        fake.set_stub(stub::WHERE, 0xf000_1234_u32);
    });
    let memory = low(&fake);
    let mut waits = int_15();
    assert!(field::FLAGS.write(&mut waits, flag::KEEP_UPPER));
    let (result, block) = run_on(&mut fake, waits);
    assert_eq!(result, why::DEADLINE);
    assert_eq!(of_call(&block, call::WHERE), 0xf000_1234);
    assert_eq!(low(&fake), memory);
}

#[test]
fn what_the_bios_remembers_stays_but_our_handlers_do_not() {
    let mut fake = Fake::new(|fake| {
        fake.memory[0x41a] = 0x77;
        // The BIOS takes a vector for itself.
        fake.write(6 * 4, 0xf000_9999);
    });
    let (_, _) = run_on(&mut fake, int_15());
    assert_eq!(fake.memory[0x41a], 0x77);
    assert_eq!(fake.read(8 * 4), 0xf000_e008);
    assert_eq!(fake.read(6 * 4), 0xf000_9999);
}

#[test]
fn a_loop_passes_on_ebx_alone() {
    let mut fake = Fake::new(|fake| {
        assert_eq!(fake.register_in(registers::EAX), 0xe820);
        let turn = fake.register_in(registers::EBX);
        assert_eq!(fake.register_in(registers::EDI), turn * 24);
        fake.returns(registers::EAX, 0x534d_4150);
        fake.returns(registers::EDI, 0xffff);
        fake.returns(registers::EBX, if turn == 6 { 0 } else { turn + 1 });
    });
    let (result, block) = run_on(&mut fake, block(kind::LOOP, 0x15, 100));
    assert_eq!((result, of_call(&block, call::TIMES)), (why::DONE, 7));
}

#[test]
fn a_loop_ends_with_the_carry_flag_or_its_limit() {
    let endless = |fake: &mut Fake| fake.returns(registers::EBX, 1);
    let mut fake = Fake::new(endless);
    let (_, limited) = run_on(&mut fake, block(kind::LOOP, 0x15, 5));
    assert_eq!(of_call(&limited, call::TIMES), 5);
    let mut fake = Fake::new(|fake| {
        fake.returns(registers::EBX, 1);
        fake.returns(registers::EFLAGS, 0x203);
    });
    let (_, ended) = run_on(&mut fake, block(kind::LOOP, 0x15, 5));
    assert_eq!(of_call(&ended, call::TIMES), 1);
}

#[test]
fn low_memory_as_the_calls_left_it_is_kept() {
    let mut fake = Fake::new(|fake| {
        fake.memory[0x480] = 0xee;
        fake.memory[0x9_fc10] = 0xee;
    });
    let before = [0x480, 0x9_fc10].map(|place: usize| fake.memory[place]);
    assert!(!before.contains(&0xee));
    run_on(&mut fake, int_15());
    let kept = |offset: usize| fake.memory[usize::try_from(MEMORY).unwrap() + offset];
    assert_eq!([kept(PAGE_0_BEFORE + 0x480), kept(EBDA_BEFORE + 0x10)], before);
    assert_eq!([kept(PAGE_0_AFTER + 0x480), kept(EBDA_AFTER + 0x10)], [0xee; 2]);
}

#[test]
fn a_vector_outside_rom_is_not_followed() {
    for vector in [0x2000_0000, 0xbfff_000f, 0xffff_0010, 0xffff_ffff] {
        let mut fake = Fake::new(|_| panic!("called"));
        fake.write(0x15 * 4, vector);
        let (result, block) = run_on(&mut fake, int_15());
        assert_eq!((result, of_call(&block, call::WHERE)), (why::VECTOR, vector));
    }
}

#[test]
fn a_vector_that_is_ours_meanwhile_leads_to_the_bios() {
    let mut fake = Fake::new(|fake| assert_eq!(fake.stub(stub::TARGET), 0xf000_e006));
    let (result, _) = run_on(&mut fake, block(kind::INTERRUPT, 6, 1));
    assert_eq!((result, fake.seen.len()), (why::DONE, 1));
}

#[test]
fn nothing_is_touched_where_real_mode_or_the_bios_is_missing() {
    for (change, expected) in [
        ((|fake: &mut Fake| fake.cr4 |= CR4_VMXE) as fn(&mut Fake), why::VIRTUALIZATION),
        (
            |fake| {
                fake.registers.insert(EFER, 0x1d01);
            },
            why::VIRTUALIZATION,
        ),
        (|fake| fake.memory[..0x400].fill(0), why::NO_BIOS),
    ] {
        let mut fake = Fake::new(|_| panic!("called"));
        change(&mut fake);
        let (memory, ports) = (low(&fake), fake.ports.clone());
        assert_eq!(run_on(&mut fake, int_15()).0, expected);
        assert!(low(&fake) == memory && fake.ports == ports && fake.apic_writes.is_empty());
    }
    let mut senseless = int_15();
    senseless[0] ^= 1;
    assert_eq!(run_on(&mut Fake::new(|_| {}), senseless).0, why::SENSELESS);
}

#[test]
fn x2apic_registers_are_model_specific() {
    let mut fake = Fake::new(|fake| assert_eq!(fake.registers[&0x808], 0xff));
    fake.registers.insert(0x1b, APIC | 0xd00);
    fake.registers.insert(0x835, 0x1_0700);
    run_on(&mut fake, int_15());
    assert_eq!((fake.registers[&0x835], fake.registers[&0x808]), (0x1_0700, 0));
}
