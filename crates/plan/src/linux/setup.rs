//! A bzImage's own setup code, which runs in real mode and gets the boot parameters from the BIOS:
//! boot.rst, "Loading The Rest of The Kernel" and "Running the Kernel".
//!
//! ```text
//! +0       boot sector, setup header, setup code
//! then     its heap and its stack
//! +0xe000  command line with a terminating zero
//! ```

use abi::setup_header::{self as header, load_flag, loader, vid_mode};
use kernel_file::BzImage;

use super::command_line::CommandLine;
use super::neighbours::Neighbours;
use crate::entry::register::RSP;
use crate::{CpuMode, Entry, Error, Part};

/// Offset of the end of heap and stack.
const HEAP_END: u64 = 0xe000;
/// Minimum bytes of heap and stack for setup code.
const HEAP: u64 = 0x1000;
/// `heap_end_ptr` is less than the end of the heap by this many bytes.
const HEAP_END_LESS: u64 = 0x200;
/// The code segment, relative to the data segment.
const CODE_SEGMENT: u64 = 0x20;

/// The setup code of a kernel, and its command line.
pub(super) struct Setup<'k> {
    kernel: &'k BzImage<'k>,
    command_line: CommandLine,
}

impl<'k> Setup<'k> {
    /// # Errors
    /// [`Error::NotForRealMode`].
    pub(super) fn new(kernel: &'k BzImage<'_>, command_line: CommandLine) -> Result<Self, Error> {
        if !kernel.loads_high || kernel.setup.len() as u64 + HEAP > HEAP_END {
            let (protocol, setup) = (kernel.protocol.to_string(), kernel.setup.len());
            return Err(Error::NotForRealMode { protocol, setup });
        }
        Ok(Self { kernel, command_line })
    }

    pub(super) const fn command_line(&self) -> &CommandLine {
        &self.command_line
    }

    pub(super) fn size(&self) -> u64 {
        HEAP_END + self.command_line.text().len() as u64 + 1
    }

    pub(super) const fn command_line_at(address: u64) -> u64 {
        address + HEAP_END
    }

    pub(super) fn entry(address: u64) -> Entry {
        let segment = address >> 4;
        let mut entry = Entry::at(CpuMode::Real, (segment + CODE_SEGMENT) << 16).with(RSP, HEAP_END);
        entry.segment = u16::try_from(segment).unwrap_or(0);
        entry
    }

    pub(super) fn parts(&self, address: u64) -> [Part; 2] {
        let length = self.command_line.text().len() as u64 + 1;
        [
            Part { name: "setup code", address, size: self.kernel.setup.len() as u64 },
            Part { name: "command line", address: Self::command_line_at(address), size: length },
        ]
    }

    pub(super) fn bytes(&self, address: u64, neighbours: Neighbours) -> Vec<u8> {
        let mut bytes = self.kernel.setup.to_vec();
        let low = |number: u64| u32::try_from(number).unwrap_or(0);
        let (initrd_at, initrd_size) = neighbours.initrd.unwrap_or((0, 0));
        let flags = header::LOADFLAGS.read(&bytes).unwrap_or(0);
        let heap_end = u16::try_from(HEAP_END - HEAP_END_LESS).unwrap_or(0);
        let written = header::TYPE_OF_LOADER.write(&mut bytes, loader::KEXEC << 4)
            && header::LOADFLAGS.write(&mut bytes, flags | load_flag::CAN_USE_HEAP)
            && header::HEAP_END_PTR.write(&mut bytes, heap_end)
            && header::VID_MODE.write(&mut bytes, vid_mode::NORMAL)
            && header::CODE32_START.write(&mut bytes, low(neighbours.kernel))
            && header::CMD_LINE_PTR.write(&mut bytes, low(Self::command_line_at(address)))
            && header::RAMDISK_IMAGE.write(&mut bytes, low(initrd_at))
            && header::RAMDISK_SIZE.write(&mut bytes, low(initrd_size));
        debug_assert!(written, "setup code is at least five sectors");
        bytes.resize(usize::try_from(HEAP_END).unwrap_or(bytes.len()), 0);
        bytes.extend_from_slice(self.command_line.text());
        bytes.push(0);
        bytes
    }
}
