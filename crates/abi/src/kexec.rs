//! `kexec_load(2)`, `kexec_file_load(2)` and the reboot that starts what they loaded.
//!
//! Source: `include/uapi/linux/kexec.h`, `include/uapi/linux/reboot.h`. The segments of
//! `kexec_load` have the layout of [`device::Segment`](crate::device::Segment).

/// Most segments `kexec_load` takes.
pub const SEGMENT_MAX: usize = 16;

/// Flags of `kexec_load`, besides one of [`arch`].
pub mod flag {
    /// Load a crash kernel into the memory reserved for it.
    pub const ON_CRASH: u64 = 1 << 0;
    /// The image returns (kernels with `CONFIG_KEXEC_JUMP`).
    pub const PRESERVE_CONTEXT: u64 = 1 << 1;
    /// The kernel may write the elfcorehdr anew (6.6).
    pub const UPDATE_ELFCOREHDR: u64 = 1 << 2;
    /// The kernel may write elfcorehdr and device tree anew (6.10).
    pub const CRASH_HOTPLUG_SUPPORT: u64 = 1 << 3;
}

/// The architecture the image is for: ELF's machine number in the upper half of the flags.
pub mod arch {
    /// That of the running kernel.
    pub const DEFAULT: u64 = 0;
    /// x86, 32 bits.
    pub const I386: u64 = 3 << 16;
    /// x86, 64 bits.
    pub const X86_64: u64 = 62 << 16;
}

/// Flags of `kexec_file_load`.
pub mod file_flag {
    /// Unload.
    pub const UNLOAD: u64 = 1 << 0;
    /// Load a crash kernel.
    pub const ON_CRASH: u64 = 1 << 1;
    /// There is no initrd.
    pub const NO_INITRAMFS: u64 = 1 << 2;
    /// Print more to the kernel log (6.8).
    pub const DEBUG: u64 = 1 << 3;
    /// Do not place segments in CMA (6.17).
    pub const NO_CMA: u64 = 1 << 4;
    /// Carry the device tree over (6.18).
    pub const FORCE_DTB: u64 = 1 << 5;
}

/// The arguments of `reboot(2)`.
pub mod reboot {
    /// First word.
    pub const MAGIC_1: u32 = 0xfee1_dead;
    /// Second word.
    pub const MAGIC_2: u32 = 672_274_793;
    /// Command: start the loaded kernel.
    pub const COMMAND_KEXEC: u32 = 0x4558_4543;
}
