//! What ELF vmcores have beyond `abi::elf`.

use abi::elf::machine;

/// In the flags of the file header: makedumpfile's mark of a dump that was cut short
/// (`DUMP_ELF_INCOMPLETE`).
pub(crate) const INCOMPLETE: u32 = 1;

/// Note of the auxiliary vector, in core files of processes only.
pub(crate) const NT_AUXV: u32 = 6;
/// Note of mapped files, in core files of processes only.
pub(crate) const NT_FILE: u32 = 0x4649_4c45;

/// Whether dumps of a machine can be read: those of x86-64, and of i386 as far as they are alike.
pub(crate) const fn is_supported(machine: u16) -> bool {
    matches!(machine, machine::X86_64 | machine::I386)
}

/// The name of a machine, for messages (`include/uapi/linux/elf-em.h`).
pub(crate) fn machine_name(machine: u16) -> String {
    let name = match machine {
        8 => "mips",
        20 => "ppc",
        21 => "ppc64",
        22 => "s390",
        40 => "arm",
        183 => "aarch64",
        243 => "riscv",
        258 => "loongarch",
        _ => return format!("ELF machine {machine}"),
    };
    name.to_owned()
}
