//! For build scripts: compiles their library, with the files in `image/`, for a machine without an
//! operating system, and keeps the bytes.
//!
//! It is done by the compiler and linker that every stable Rust for this host brings along: x86-64
//! Linux's `core` needs no operating system.
#![forbid(unsafe_code)]

use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use abi::elf::{self, section_type};
use abi::{Field, Number};

/// A program that is linked at address 0 by `image/layout.ld`, and runs at any address.
#[derive(Clone, Copy, Debug)]
pub struct Program {
    /// The name of the crate; with `_image` that of the cfg, with `.bin` that of the file in
    /// `OUT_DIR`.
    pub name: &'static str,
    /// Offset of the code. The bytes up to there are zeros, for parameters.
    pub code: usize,
    /// Offset of the first byte that is zero at first; the bytes from there on are left out.
    pub variables: usize,
}

impl Program {
    /// Compiles and writes the file.
    ///
    /// # Panics
    /// Something fails: a build script has no better way to report it.
    pub fn compile(self) {
        let name = self.name;
        let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo names a directory"));
        for watched in
            ["build.rs", "src", "image", "../c_functions.rs", "../compile/src", "../../crates/abi/src"]
        {
            println!("cargo::rerun-if-changed={watched}");
        }
        println!("cargo::rustc-check-cfg=cfg({name}_image)");
        let abi = out.join("libabi.rlib");
        let linked = out.join(format!("{name}.elf"));
        run(self.compiler("abi", "../../crates/abi/src/lib.rs", &abi).arg("--crate-type=rlib"));
        let script = Path::new("image/layout.ld").canonicalize().expect("the script exists");
        run(self
            .compiler(name, "src/lib.rs", &linked)
            .args(["--crate-type=bin", "-Clinker=rust-lld", "-Clinker-flavor=ld.lld"])
            .args([
                "-Clink-arg=--no-dynamic-linker",
                "-Clink-arg=--no-eh-frame-hdr",
                "-Clink-arg=--build-id=none",
            ])
            .arg(format!("-Clink-arg=-T{}", script.display()))
            .arg(format!("--extern=abi={}", abi.display())));
        let elf = std::fs::read(&linked).expect("the linker wrote a file");
        let bytes = self.bytes(&elf);
        std::fs::write(out.join(format!("{name}.bin")), bytes).expect("the image can be written");
    }

    /// No vectors but SSE2, which every x86-64 has; nothing below the stack pointer; functions
    /// called by their distance.
    fn compiler(self, name: &str, source: impl AsRef<OsStr>, to: &Path) -> Command {
        let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
        rustc.args(["--edition=2024", "--crate-name", name, "--cap-lints=allow"]);
        rustc.arg(format!("--cfg={}_image", self.name));
        rustc.args(["--target=x86_64-unknown-linux-gnu", "-Cpanic=abort"]);
        rustc.args(["-Copt-level=3", "-Ccodegen-units=1"]);
        rustc.args([
            "-Crelocation-model=pie",
            "-Cno-redzone=yes",
            "-Cforce-unwind-tables=no",
            "-Crelro-level=off",
            "-Cstrip=debuginfo",
        ]);
        rustc.arg("-o").arg(to).arg(source.as_ref());
        // Flags for the program that contains the image must not reach the image.
        rustc.env_remove("RUSTFLAGS").env_remove("CARGO_ENCODED_RUSTFLAGS");
        rustc
    }

    /// The bytes from address 0 to the end of the code. There must be no relocation: nothing would
    /// apply it.
    fn bytes(self, elf: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; self.code];
        for section in sections(elf) {
            match section {
                Section { kind: section_type::RELA, bytes, .. } => {
                    assert_eq!(bytes.len(), 0, "{} has {} relocations", self.name, bytes.len() / 24);
                }
                Section { kind: section_type::PROGBITS, address, bytes: code } if address == self.code => {
                    bytes.extend_from_slice(code);
                }
                Section { kind: section_type::PROGBITS, address, bytes } if address >= self.variables => {
                    let zero = bytes.iter().all(|&byte| byte == 0);
                    assert!(zero, "the variables of {} are not all zero at first", self.name);
                }
                _ => {}
            }
        }
        assert!(
            bytes.len() > self.code && bytes.len() <= self.variables,
            "the code of {} has {:#x} bytes",
            self.name,
            bytes.len()
        );
        bytes
    }
}

fn run(command: &mut Command) {
    let status = command.status().expect("the compiler can be started");
    assert!(status.success(), "{command:?} failed: {status}");
}

struct Section<'a> {
    kind: u32,
    address: usize,
    bytes: &'a [u8],
}

/// The sections of a 64-bit ELF file that have bytes in it.
fn sections(elf: &[u8]) -> impl Iterator<Item = Section<'_>> {
    let (file, header) = (elf::CLASS_64.file_header, elf::CLASS_64.section_header);
    let table = &elf[number(elf, file.section_headers)..];
    let count = number(elf, file.section_header_count);
    table.chunks_exact(header.size).take(count).filter_map(move |section| {
        let (offset, size) = (number(section, header.offset), number(section, header.bytes));
        Some(Section {
            kind: header.kind.read(section)?,
            address: number(section, header.address),
            bytes: elf.get(offset..offset + size)?,
        })
    })
}

fn number<T: Number + Into<u64>>(bytes: &[u8], field: Field<T>) -> usize {
    let number = field.read(bytes).expect("the linker wrote a whole file").into();
    number.try_into().expect("the file is in memory")
}
