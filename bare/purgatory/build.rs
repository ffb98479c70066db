//! Compiles this library and `image/` for a machine without an operating system, and keeps the bytes.
//!
//! It is done by the compiler and linker that every stable Rust for this host brings along: x86-64 Linux's `core` needs
//! no operating system.

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the code starts and where it must end: `abi::purgatory`.
const ENTRY: usize = 0x1000;
const VARIABLES: usize = 0x8000;

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo names a directory"));
    for watched in ["build.rs", "src", "image", "../../crates/abi/src"] {
        println!("cargo::rerun-if-changed={watched}");
    }
    println!("cargo::rustc-check-cfg=cfg(purgatory_image)");
    let abi = out.join("libabi.rlib");
    let linked = out.join("purgatory.elf");
    run(compile("abi", "../../crates/abi/src/lib.rs", &abi).arg("--crate-type=rlib"));
    let script = Path::new("image/layout.ld").canonicalize().expect("the script is there");
    run(compile("purgatory", "src/lib.rs", &linked)
        .args(["--crate-type=bin", "-Clinker=rust-lld", "-Clinker-flavor=ld.lld"])
        .args([
            "-Clink-arg=--no-dynamic-linker",
            "-Clink-arg=--no-eh-frame-hdr",
            "-Clink-arg=--build-id=none",
        ])
        .arg(format!("-Clink-arg=-T{}", script.display()))
        .arg(format!("--extern=abi={}", abi.display())));
    let elf = std::fs::read(&linked).expect("the linker wrote a file");
    std::fs::write(out.join("purgatory.bin"), image(&elf)).expect("the image can be written");
}

/// No vectors but SSE2, which every x86-64 has; nothing below the stack pointer; functions called by their distance.
fn compile(name: &str, source: impl AsRef<OsStr>, to: &Path) -> Command {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--edition=2024", "--crate-name", name, "--cfg=purgatory_image", "--cap-lints=allow"]);
    rustc.args(["--target=x86_64-unknown-linux-gnu", "-Cpanic=abort", "-Copt-level=3", "-Ccodegen-units=1"]);
    rustc.args([
        "-Crelocation-model=pie",
        "-Cno-redzone=yes",
        "-Cforce-unwind-tables=no",
        "-Crelro-level=off",
        "-Cstrip=debuginfo",
    ]);
    rustc.arg("-o").arg(to).arg(source.as_ref());
    // What is meant for the program that holds the image must not reach the image.
    rustc.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
    rustc
}

fn run(command: &mut Command) {
    let status = command.status().expect("the compiler can be started");
    assert!(status.success(), "{command:?} failed: {status}");
}

/// The bytes from address 0 to the end of the code. There must be no relocation: nobody would apply it.
fn image(elf: &[u8]) -> Vec<u8> {
    let mut image = vec![0; ENTRY];
    for section in sections(elf) {
        match section {
            Section { kind: RELOCATIONS, size, .. } => {
                assert_eq!(size, 0, "purgatory has {} relocations", size / 24);
            }
            Section { kind: BYTES, address: ENTRY, offset, size } => {
                image.extend_from_slice(&elf[offset..offset + size]);
            }
            Section { kind: BYTES, address, offset, size } if address >= VARIABLES => {
                let zero = elf[offset..offset + size].iter().all(|&byte| byte == 0);
                assert!(zero, "purgatory's variables are not all zero at first");
            }
            _ => {}
        }
    }
    assert!(image.len() > ENTRY && image.len() <= VARIABLES, "purgatory's code has {:#x} bytes", image.len());
    image
}

struct Section {
    kind: u32,
    address: usize,
    offset: usize,
    size: usize,
}

const BYTES: u32 = 1;
const RELOCATIONS: u32 = 4;

/// The section headers of a 64-bit ELF file.
fn sections(elf: &[u8]) -> impl Iterator<Item = Section> {
    let word = |at: usize| usize::from_le_bytes(elf[at..at + 8].try_into().expect("eight bytes"));
    let half = |at: usize| usize::from(u16::from_le_bytes([elf[at], elf[at + 1]]));
    let (table, size, count) = (word(0x28), half(0x3a), half(0x3c));
    (0..count).map(move |number| table + number * size).map(move |at| Section {
        kind: u32::from_le_bytes(elf[at + 4..at + 8].try_into().expect("four bytes")),
        address: word(at + 0x10),
        offset: word(at + 0x18),
        size: word(at + 0x20),
    })
}
