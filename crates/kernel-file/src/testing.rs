//! Kernel files for tests: they contain the headers that a loader reads, and no code.

#![expect(clippy::missing_panics_doc, reason = "every field lies in the file")]

use abi::setup_header::{self as header, load_flag, xload_flag};

/// A relocatable bzImage of boot protocol 2.15 with a 64-bit entry point, that can be loaded above
/// 4 GiB: one sector of setup code, then this many bytes of kernel, which needs this many bytes of
/// memory.
#[must_use]
pub fn bzimage(kernel: usize, memory: u32) -> Vec<u8> {
    let mut file = vec![0; SETUP];
    file.resize(SETUP + kernel, 0x90);
    let written = [
        header::SETUP_SECTS.write(&mut file, 1),
        header::BOOT_FLAG.write(&mut file, header::BOOT_FLAG_MAGIC),
        header::END_HINT.write(&mut file, 0x6a),
        header::HEADER.write(&mut file, header::HEADER_MAGIC),
        header::VERSION.write(&mut file, 0x20f),
        header::LOADFLAGS.write(&mut file, load_flag::LOADED_HIGH),
        header::KERNEL_ALIGNMENT.write(&mut file, 0x20_0000),
        header::RELOCATABLE_KERNEL.write(&mut file, 1),
        header::XLOADFLAGS.write(&mut file, xload_flag::KERNEL_64 | xload_flag::CAN_BE_LOADED_ABOVE_4G),
        header::CMDLINE_SIZE.write(&mut file, 2047),
        header::PREF_ADDRESS.write(&mut file, 0x100_0000),
        header::INIT_SIZE.write(&mut file, memory),
    ];
    assert!(written.iter().all(|&written| written));
    file
}

/// Bytes of boot sector and setup code.
const SETUP: usize = 0x400;
