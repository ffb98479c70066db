//! From `kexec_load`'s way of entering an image to what Linux wants: flat segments 0x10 (code) and 0x18 (data) of a GDT
//! that is there, and `rsi` = boot_params. A page of its own:
//!
//! ```text
//! 0x000  code
//! 0x040  what lgdt reads: limit, base
//! 0x050  GDT
//! 0x1000 top of the stack
//! ```

/// Size of the page.
pub(super) const SIZE: u64 = 0x1000;

const GDTR: usize = 0x40;
const GDT: usize = 0x50;
/// Null, unused, 64-bit code, data: both accessed already, base 0 (Intel SDM volume 3, 3.4.5).
const DESCRIPTORS: [u64; 4] = [0, 0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff];

/// The page for its address, the address of boot_params and the kernel's entry point.
///
/// In: 64-bit mode, the page, boot_params and the kernel identity-mapped, interrupts off.
/// Out: as "64-bit Boot Protocol" of boot.rst says; `rax` and `rsp` are changed besides.
pub(super) fn page(address: u64, boot_params: u64, entry: u64) -> Vec<u8> {
    let mut page = Vec::with_capacity(GDT + 32);
    page.extend_from_slice(&[0x0f, 0x01, 0x15, 0x39, 0, 0, 0]); // lgdt 0x40
    page.extend_from_slice(&[0xb8, 0x18, 0, 0, 0]); // mov $0x18, %eax
    page.extend_from_slice(&[0x8e, 0xd8, 0x8e, 0xc0, 0x8e, 0xd0]); // mov %eax, %ds, %es, %ss
    for (opcode, number) in [
        (0xbc, address + SIZE), // movabs $stack, %rsp
        (0xbe, boot_params),    // movabs $boot_params, %rsi
        (0xb8, entry),          // movabs $entry, %rax
    ] {
        page.extend_from_slice(&[0x48, opcode]);
        page.extend_from_slice(&number.to_le_bytes());
    }
    page.extend_from_slice(&[0x6a, 0x10, 0x50, 0x48, 0xcb]); // push $0x10; push %rax; lretq
    page.resize(GDTR, 0);
    page.extend_from_slice(&31_u16.to_le_bytes());
    page.extend_from_slice(&(address + GDT as u64).to_le_bytes());
    page.resize(GDT, 0);
    page.extend(DESCRIPTORS.iter().flat_map(|descriptor| descriptor.to_le_bytes()));
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use std::process::Command;

    const SOURCE: &str = "
        lgdt gdtr(%rip)
        mov $0x18, %eax
        mov %eax, %ds
        mov %eax, %es
        mov %eax, %ss
        movabs $0x123457000, %rsp
        movabs $0x23456000, %rsi
        movabs $0x134000200, %rax
        push $0x10
        push %rax
        lretq
        .org 0x40
        gdtr: .word 31
        .quad 0x123456050
        .org 0x50
        .quad 0, 0, 0x00af9b000000ffff, 0x00cf93000000ffff
    ";

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

    #[test]
    fn an_assembler_makes_the_same_bytes() {
        let folder = std::env::temp_dir().join(format!("kjump-trampoline-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let [source, object, binary] = ["code.s", "code.o", "code.bin"].map(|name| folder.join(name));
        std::fs::write(&source, SOURCE).unwrap();
        let there = run("as", &[Path::new("-o"), &object, &source])
            && run(
                "objcopy",
                &[Path::new("-O"), Path::new("binary"), Path::new("-j.text"), &object, &binary],
            );
        if there {
            let assembled = std::fs::read(&binary).unwrap();
            assert_eq!(page(0x1_2345_6000, 0x2345_6000, 0x1_3400_0200), assembled);
        }
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
