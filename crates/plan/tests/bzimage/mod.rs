//! A kernel file that says what a loader asks for, and holds nothing that runs.

use abi::setup_header::{self as header, load_flag, xload_flag};

/// A kernel of so many bytes that needs so many when it runs.
pub(crate) fn bzimage(bytes: usize, needs: u32) -> Vec<u8> {
    let mut file = vec![0x90; 0x400 + bytes];
    file[..0x400].fill(0);
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
        header::INIT_SIZE.write(&mut file, needs),
    ];
    assert!(written.iter().all(|&written| written));
    file
}
