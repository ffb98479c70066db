use super::*;
use crate::goal::register::{RAX, RBX, RDI, RSI};
use std::path::Path;
use std::process::Command;

const SEGMENTS: &str = "
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov %eax, %ss
";

const TO_PROTECTED: &str = "
start:
    lgdt gdtr(%rip)
    movabs $0x57000, %rsp
    push $0x10
    lea 1f(%rip), %rax
    push %rax
    lretq
    .code32
1:  mov %cr0, %eax
    and $0x7fffffff, %eax
    mov %eax, %cr0
    mov $0xc0000080, %ecx
    rdmsr
    btr $8, %eax
    wrmsr
    xor %eax, %eax
    mov %eax, %cr4
    mov $0x18, %eax
";

fn tables(base: &str, code: &str, target: &str) -> String {
    format!(
        "
    .org 0x100
gdtr: .word 47
    .quad {base} + 0x120
    .org 0x110
    .word 0x3ff
    .long 0
    .org 0x118
    .quad {target}
    .quad 0, 0, {code}, 0x00cf93000000ffff, 0x00009b000000ffff + (({base} & 0xffffff) << 16), 0x000093000000ffff
"
    )
}

/// What the assembler makes of a source, if there is one.
fn assembled(name: &str, source: &str) -> Option<Vec<u8>> {
    let folder = std::env::temp_dir().join(format!("kjump-trampoline-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let [text, object, binary] = ["code.s", "code.o", "code.bin"].map(|name| folder.join(name));
    std::fs::write(&text, source).unwrap();
    let there = run("as", &[Path::new("-o"), &object, &text])
        && run("objcopy", &[Path::new("-O"), Path::new("binary"), Path::new("-j.text"), &object, &binary]);
    let bytes = there.then(|| std::fs::read(&binary).unwrap());
    std::fs::remove_dir_all(&folder).unwrap();
    bytes
}

/// Runs a program of binutils; whether it is there.
fn run(program: &str, arguments: &[&Path]) -> bool {
    match Command::new(program).args(arguments).status() {
        Ok(status) => {
            assert!(status.success(), "{program} failed");
            true
        }
        Err(error) => {
            eprintln!("not compared: {program}: {error}");
            false
        }
    }
}

fn check(name: &str, source: &str, page: &[u8]) {
    let Some(assembled) = assembled(name, source) else { return };
    let differ = page.iter().zip(&assembled).position(|(ours, theirs)| ours != theirs);
    assert_eq!((differ, page.len()), (None, assembled.len()), "{page:02x?}\n{assembled:02x?}");
}

#[test]
fn an_assembler_makes_the_same_way_to_64_bit_code() {
    let source = format!(
        "
    lgdt gdtr(%rip)
    mov $0x18, %eax
    {SEGMENTS}
    movabs $1, %rax
    movabs $0, %rcx
    movabs $0, %rdx
    movabs $0, %rbx
    movabs $0x123457000, %rsp
    movabs $0, %rbp
    movabs $0x23456000, %rsi
    movabs $2, %rdi
    push $0x10
    push target(%rip)
    lretq
    {}",
        tables("0x123456000", "0x00af9b000000ffff", "0x134000200")
    );
    let source =
        source.replace("push target(%rip)", "push target2(%rip)").replace("    .equ target, 0x118\n", "");
    let source = source.replace("    .quad 0x134000200", "target2: .quad 0x134000200");
    let goal = Goal::at(CpuMode::Long, 0x1_3400_0200).with(RAX, 1).with(RSI, 0x2345_6000).with(RDI, 2);
    check("long", &source, &page(0x1_2345_6000, &goal));
}

#[test]
fn an_assembler_makes_the_same_way_to_32_bit_code() {
    let source = format!(
        "{TO_PROTECTED} {SEGMENTS}
    mov $0x2badb002, %eax
    mov $0, %ecx
    mov $0, %edx
    mov $0x1234, %ebx
    mov $0x57000, %esp
    mov $0, %ebp
    mov $0, %esi
    mov $0, %edi
    ljmp $0x10, $0x100000
    {}",
        tables("0x56000", "0x00cf9b000000ffff", "0x100000")
    );
    let goal = Goal::at(CpuMode::Protected, 0x10_0000).with(RAX, 0x2bad_b002).with(RBX, 0x1234);
    check("protected", &source, &page(0x5_6000, &goal));
}

#[test]
fn an_assembler_makes_the_same_way_to_real_mode() {
    let source = format!(
        "{TO_PROTECTED} {SEGMENTS}
    lidt 0x56110
    mov $0x28, %eax
    {SEGMENTS}
    ljmp $0x20, $(2f - start)
    .code16
2:  mov %cr0, %eax
    and $~1, %eax
    mov %eax, %cr0
    ljmp $0x5600, $(3f - start)
3:  mov $0x1000, %ax
    {}
    mov $0, %eax
    mov $0, %ecx
    mov $0, %edx
    mov $0, %ebx
    mov $0xfffc, %esp
    mov $0, %ebp
    mov $0, %esi
    mov $0, %edi
    ljmp $0x1020, $0
    {}",
        SEGMENTS.replace("%eax", "%ax"),
        tables("0x56000", "0x00cf9b000000ffff", "0x10200000")
    );
    let mut goal = Goal::at(CpuMode::Real, 0x1020_0000).with(RSP, 0xfffc);
    goal.segment = 0x1000;
    check("real", &source, &page(0x5_6000, &goal));
}
