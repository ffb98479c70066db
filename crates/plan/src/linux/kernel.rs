use std::borrow::Cow;

use abi::setup_header::{self as header, load_flag, xload_flag};
use kernel_file::bzimage::Protocol;
use kernel_file::{BzImage, Program, Unpacked};

/// A kernel to load.
#[derive(Clone, Debug)]
pub enum Kernel<'a> {
    /// A bzImage.
    BzImage(BzImage<'a>),
    /// A bzImage whose kernel was unpacked in advance.
    Prepared(Prepared<'a>),
    /// A vmlinux. It is entered in the mode that it was built for.
    Executable(Program<'a>),
}

/// A bzImage, and the kernel in it as it is in memory.
#[derive(Clone, Copy, Debug)]
pub struct Prepared<'a> {
    /// The file.
    pub file: BzImage<'a>,
    /// The kernel, moved to random virtual addresses or not.
    pub image: &'a Unpacked,
    /// A random number that chooses its physical address; `None` for the lowest free one.
    pub random: Option<u64>,
    /// Whether its addresses are random, which it is to know.
    pub is_random: bool,
}

/// The traits of a kernel that a plan depends on.
pub(super) struct KernelTraits<'a> {
    pub(super) protocol: Protocol,
    pub(super) header: Cow<'a, [u8]>,
    pub(super) cmdline_size: u64,
    pub(super) initrd_last: u64,
    pub(super) above_4g: bool,
    pub(super) efi_kexec: bool,
}

/// Limit of the command line of a vmlinux, which does not contain it (`COMMAND_LINE_SIZE` of x86).
const CMDLINE_SIZE: u32 = 2047;
/// The boot protocol for a vmlinux: the newest.
const NEWEST: Protocol = Protocol { major: 2, minor: 15 };

impl<'a> KernelTraits<'a> {
    pub(super) fn of(kernel: &Kernel<'a>) -> Self {
        match kernel {
            Kernel::BzImage(kernel) => Self::of_file(kernel),
            Kernel::Prepared(prepared) => {
                let mut traits = Self::of_file(&prepared.file);
                if prepared.is_random {
                    // As the kernel's own decompressor does: the kernel then chooses random places
                    // for its other mappings, too.
                    let at = header::LOADFLAGS.offset() - header::START;
                    if let Some(flags) = traits.header.to_mut().get_mut(at) {
                        *flags |= load_flag::KASLR;
                    }
                }
                traits
            }
            Kernel::Executable(program) => Self::of_executable(program.mode == kernel_file::Mode::Long),
        }
    }

    fn of_file(kernel: &BzImage<'a>) -> Self {
        Self {
            protocol: kernel.protocol,
            header: Cow::Borrowed(kernel.header),
            cmdline_size: kernel.cmdline_size,
            initrd_last: kernel.initrd_last,
            above_4g: kernel.above_4g,
            efi_kexec: kernel.efi_kexec,
        }
    }

    fn of_executable(is_64: bool) -> Self {
        let flags = if is_64 {
            xload_flag::KERNEL_64 | xload_flag::CAN_BE_LOADED_ABOVE_4G | xload_flag::EFI_KEXEC
        } else {
            0
        };
        let mut params = [0; header::END];
        let written = header::BOOT_FLAG.write(&mut params, header::BOOT_FLAG_MAGIC)
            && header::HEADER.write(&mut params, header::HEADER_MAGIC)
            && header::VERSION.write(&mut params, u16::from_be_bytes([NEWEST.major, NEWEST.minor]))
            && header::CMDLINE_SIZE.write(&mut params, CMDLINE_SIZE)
            && header::XLOADFLAGS.write(&mut params, flags);
        debug_assert!(written, "abi asserts that every field lies in the header");
        Self {
            protocol: NEWEST,
            header: Cow::Owned(params.get(header::START..).unwrap_or(&[]).to_vec()),
            cmdline_size: CMDLINE_SIZE.into(),
            initrd_last: if is_64 { u64::MAX } else { header::INITRD_ADDR_MAX_BEFORE_2_03.into() },
            above_4g: is_64,
            efi_kexec: is_64,
        }
    }
}
