//! Plans for other ELF files and for multiboot kernels.

use kernel_file::multiboot::{Kernel, Multiboot};
use kernel_file::{Mode, Program, Segment};
use plan::{LoadPlan, Machine, MemoryKind, elf, multiboot};

use crate::support::{QUIET, memory, pages, range};

fn machine() -> Machine {
    Machine {
        ram: vec![pages(0x1000, 0x9_f000), pages(0x10_0000, 0x1ffe_0000)],
        firmware: vec![
            range(0, 0x9_fbff, MemoryKind::Ram),
            range(0xf_0000, 0xf_ffff, MemoryKind::Reserved),
            range(0x10_0000, 0x1ffd_ffff, MemoryKind::Ram),
            range(0x1ffe_0000, 0x1fff_ffff, MemoryKind::AcpiTables),
        ],
        ..Machine::default()
    }
}

fn program(mode: Mode) -> Program<'static> {
    let segment = |address, size, bytes: usize| Segment {
        name: "load header 0".into(),
        address,
        size,
        bytes: vec![0x90; bytes].into(),
    };
    Program { segments: vec![segment(0x10_0000, 0x8000, 0x2345)], entry: 0x10_0010, mode }
}

fn word(plan: &LoadPlan<'_>, address: u64) -> u64 {
    u32::from_le_bytes(memory(plan, address, 4).try_into().unwrap()).into()
}

fn text(plan: &LoadPlan<'_>, address: u64) -> String {
    let mut text = Vec::new();
    loop {
        match memory(plan, address + text.len() as u64, 1)[0] {
            0 => break,
            byte => text.push(byte),
        }
    }
    String::from_utf8(text).unwrap()
}

fn elf(mode: Mode, notes: bool) -> elf::Request<'static> {
    elf::Request {
        program: program(mode),
        notes,
        command_line: b"words".to_vec(),
        limits: (0, u64::MAX),
        purgatory: QUIET,
    }
}

#[test]
fn a_64_bit_program_may_get_no_notes() {
    let plan = elf::plan(&elf(Mode::Long, false), &machine()).unwrap();
    let names: Vec<_> = plan.segments().iter().map(|segment| segment.name).collect();
    assert_eq!((names, plan.kernel_entry().address), (vec!["kernel", "purgatory"], 0x10_0010));
    assert_eq!(plan.kernel_entry().registers, [0; 8]);
}

#[test]
fn a_64_bit_program_finds_its_notes_by_its_first_argument() {
    let plan = elf::plan(&elf(Mode::Long, true), &machine()).unwrap();
    insta::assert_snapshot!(plan);
    let [.., rdi] = plan.kernel_entry().registers;
    assert_eq!(word(&plan, rdi), 0x0e1f_b007);
}

#[test]
fn a_32_bit_program_finds_its_notes_on_its_stack() {
    let plan = elf::plan(&elf(Mode::Protected, true), &machine()).unwrap();
    insta::assert_snapshot!(plan);
    let stack = plan.kernel_entry().registers[4];
    assert_eq!(word(&plan, stack), 0, "no return address");
    assert_eq!(word(&plan, word(&plan, stack + 4)), 0x0e1f_b007);
    let plain = elf::plan(&elf(Mode::Protected, false), &machine()).unwrap();
    assert_eq!(plain.segments().len(), 2, "the program and purgatory");
}

fn kernel(version: Multiboot) -> multiboot::Request<'static> {
    let module = |string, bytes| multiboot::Module { string, bytes };
    multiboot::Request {
        kernel: Kernel { version, program: program(Mode::Protected), is_relocatable: true },
        command_line: b"/boot/k words".to_vec(),
        modules: vec![module(b"/m a b", &[1; 5000]), module(b"/n", &[2; 10])],
        limits: (0, u64::MAX),
        purgatory: QUIET,
    }
}

#[test]
fn a_multiboot_1_kernel_gets_memory_map_modules_and_command_line() {
    let plan = multiboot::plan(&kernel(Multiboot::One), &machine()).unwrap();
    insta::assert_snapshot!(plan);
    let entry = plan.kernel_entry();
    assert_eq!((entry.registers[0], entry.address), (0x2bad_b002, 0x10_0010));
    let information = entry.registers[3];
    let field = |offset| word(&plan, information + offset);
    assert_eq!(field(0), 1 | 1 << 2 | 1 << 3 | 1 << 6 | 1 << 9);
    assert_eq!((field(4), field(8)), (0x9_fc00 >> 10, (0x1ffe_0000 - 0x10_0000) >> 10));
    assert_eq!(text(&plan, field(16)), "/boot/k words");
    assert!(text(&plan, field(64)).starts_with("kjump "));
    assert_eq!(field(20), 2);
    let module = |number: u64, offset| word(&plan, field(24) + number * 16 + offset);
    assert_eq!((module(0, 4) - module(0, 0), module(1, 4) - module(1, 0)), (5000, 10));
    assert_eq!(memory(&plan, module(1, 0), 10), [2; 10]);
    assert_eq!((text(&plan, module(0, 8)), text(&plan, module(1, 8))), ("/m a b".into(), "/n".into()));
    assert_eq!(field(44), 4 * 24);
    assert_eq!((word(&plan, field(48)), word(&plan, field(48) + 4 + 16)), (20, 1));
    assert_eq!(word(&plan, field(48) + 3 * 24 + 20), 3, "ACPI tables");
}

#[test]
fn a_multiboot_2_kernel_gets_the_same_in_tags() {
    let plan = multiboot::plan(&kernel(Multiboot::Two), &machine()).unwrap();
    insta::assert_snapshot!(plan);
    assert_eq!(plan.kernel_entry().registers[0], 0x36d7_6289);
    let information = plan.kernel_entry().registers[3];
    assert_eq!(information % 8, 0);
    let (size, mut at) = (word(&plan, information), 8);
    let mut tags = Vec::new();
    while at < size {
        let (kind, length) = (word(&plan, information + at), word(&plan, information + at + 4));
        tags.push((kind, information + at + 8));
        at += length.next_multiple_of(8);
    }
    assert_eq!(tags.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), [4, 6, 21, 1, 2, 3, 3, 0]);
    assert_eq!(word(&plan, tags[2].1), 0x10_0000);
    assert_eq!(text(&plan, tags[3].1), "/boot/k words");
    let (start, end) = (word(&plan, tags[6].1), word(&plan, tags[6].1 + 4));
    assert_eq!((memory(&plan, start, 10), end - start), (vec![2; 10], 10));
    assert_eq!(text(&plan, tags[5].1 + 8), "/m a b");
}

#[test]
fn a_load_without_room_is_rejected() {
    let mut request = kernel(Multiboot::Two);
    request.limits = (0, 0x10_8000);
    let error = multiboot::plan(&request, &machine()).unwrap_err().to_string();
    assert!(error.starts_with("no room for modules: 8 KiB"), "{error}");
    request.kernel.program.segments[0].address = 0xa_0000;
    request.limits = (0, u64::MAX);
    let error = multiboot::plan(&request, &machine()).unwrap_err().to_string();
    assert!(error.contains("is not all RAM"), "{error}");
}
