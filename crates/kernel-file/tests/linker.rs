//! Files made by the assembler and the linker.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use kernel_file::{Error, Mode};

const SOURCE: &str = "
    .globl _start
    .text
_start: ret
    .data
    .long 0x12345678
    .bss
    .space 0x5000
";

/// Assembles and links the source.
fn link(name: &str, width: &str, emulation: &str, more: &[&str]) -> Vec<u8> {
    let directory = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let (object, binary) = (directory.join(format!("{name}.o")), directory.join(name));
    let mut assembler =
        Command::new("as").arg(width).arg("-o").arg(&object).stdin(Stdio::piped()).spawn().unwrap();
    assembler.stdin.take().unwrap().write_all(SOURCE.as_bytes()).unwrap();
    assert!(assembler.wait().unwrap().success());
    let mut linker = Command::new("ld");
    linker.args(["-m", emulation, "-Ttext=0x200000"]).args(more).arg("-o").arg(&binary).arg(&object);
    assert!(linker.status().unwrap().success());
    std::fs::read(binary).unwrap()
}

#[test]
fn a_linked_64_bit_executable_is_a_program_for_long_mode() {
    let file = link("long", "--64", "elf_x86_64", &["-static"]);
    let program = kernel_file::parse(&file).unwrap();
    assert_eq!((program.entry, program.mode), (0x20_0000, Mode::Long));
    let text = program.segments.iter().find(|segment| segment.address == 0x20_0000).unwrap();
    assert_eq!(text.bytes[0], 0xc3);
    let zeros: u64 = program.segments.iter().map(|segment| segment.size - segment.bytes.len() as u64).sum();
    assert!(zeros >= 0x5000);
}

#[test]
fn a_linked_32_bit_executable_is_a_program_for_protected_mode() {
    let file = link("protected", "--32", "elf_i386", &["-static"]);
    let program = kernel_file::parse(&file).unwrap();
    assert_eq!((program.entry, program.mode), (0x20_0000, Mode::Protected));
}

#[test]
fn code_and_data_in_one_page_are_one_segment() {
    let file = link("packed", "--64", "elf_x86_64", &["-static", "-N"]);
    let program = kernel_file::parse(&file).unwrap();
    assert_eq!(program.segments.len(), 1);
    assert_eq!(program.segments[0].bytes[1..5], 0x1234_5678_u32.to_le_bytes());
}

#[test]
fn a_position_independent_executable_is_rejected() {
    let file = link("pie", "--64", "elf_x86_64", &["-pie", "--no-dynamic-linker"]);
    assert!(matches!(kernel_file::parse(&file), Err(Error::NotStatic { .. })));
}

#[test]
fn an_object_file_is_rejected() {
    link("object", "--64", "elf_x86_64", &["-static"]);
    let file = std::fs::read(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("object.o")).unwrap();
    assert!(matches!(kernel_file::parse(&file), Err(Error::Unsupported { field: "ELF type", value: 1, .. })));
}

#[test]
fn a_script_is_not_recognised() {
    assert_eq!(kernel_file::parse(b"#!/bin/sh\n"), Err(Error::Unrecognised));
    assert_eq!(kernel_file::parse(b""), Err(Error::Unrecognised));
}
