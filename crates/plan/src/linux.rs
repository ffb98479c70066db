//! Linux for x86 by its 64-bit, 32-bit or real-mode entry point
//! (`Documentation/arch/x86/boot.rst`).
//!
//! ```text
//! Request ─► mode ─┐
//! Home ────► Site ─┴─► BootInfo ──► Demands ─► Places ───► assemble ─► LoadPlan
//!            its       parameters   sizes      addresses   bytes
//!            memory
//! ```
//!
//! The parts that need a place: the kernel with the memory it uses before it reads the memory map;
//! its boot information, which is the `handoff` with `boot_params`, command line and setup_data, or
//! in real mode the kernel's own `setup` code; the initrds, one after the other; and purgatory,
//! which enters the kernel in its mode.

mod assembly;
mod boot_info;
mod boot_params;
mod command_line;
mod crash;
mod demands;
mod facts;
mod handoff;
mod home;
pub(crate) mod initrd;
mod kernel;
mod neighbours;
pub mod parameters;
mod setup;
mod window;

use crate::purgatory::Purgatory;
use crate::{CpuMode, Error, LoadPlan, Machine};

use assembly::assemble;
use boot_info::BootInfo;
use command_line::CommandLine;
use demands::Demands;
pub use home::Home;
use home::Site;
pub use initrd::{Initrd, with_bootconfig_last};
use kernel::KernelTraits;
pub use kernel::{Kernel, Prepared};
pub use window::window;

/// A kernel to load.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The kernel.
    pub kernel: Kernel<'a>,
    /// How a bzImage is entered; `None` for the best mode that it supports.
    pub mode: Option<CpuMode>,
    /// The archives of its initial file system, in this order.
    pub initrds: Vec<Initrd<'a>>,
    /// Its command line, without a terminating zero.
    pub command_line: Vec<u8>,
    /// Where it is to live.
    pub home: Home,
    /// The code that enters it.
    pub purgatory: Purgatory<'a>,
    /// Do not pass it EFI tables and memory map.
    pub no_efi: bool,
    /// A seed for its random number generator.
    pub seed: Option<[u8; 32]>,
    /// A device tree.
    pub device_tree: Option<Vec<u8>>,
}

/// Plans the load of a kernel.
///
/// # Errors
/// Every [`Error`].
pub fn plan<'a>(request: &Request<'a>, machine: &Machine) -> Result<LoadPlan<'a>, Error> {
    let mode = mode(request)?;
    if machine.firmware.is_empty() {
        return Err(Error::NoFirmwareMap);
    }
    initrd::check(&request.initrds)?;
    let request = &Request { initrds: with_bootconfig_last(&request.initrds)?, ..request.clone() };
    let traits = KernelTraits::of(&request.kernel);
    let site = Site::new(request, machine)?;
    let command_line = CommandLine::new(request, &site, traits.cmdline_size)?;
    let boot_info = BootInfo::new(request, mode, &traits, &site.memory, command_line, machine)?;
    let places = Demands::new(request, mode, &traits, &site, &boot_info).place(&site.free)?;
    assemble(request, mode, site, &boot_info, &places).finish(&request.purgatory, places.purgatory, machine)
}

/// The mode that a kernel is entered in.
fn mode(request: &Request<'_>) -> Result<CpuMode, Error> {
    let kernel = match &request.kernel {
        Kernel::BzImage(kernel) => kernel,
        Kernel::Prepared(_) => return Ok(CpuMode::Long),
        Kernel::Executable(program) => return Ok(program.mode.into()),
    };
    match request.mode {
        Some(CpuMode::Long) if !kernel.has_entry_64 => Err(no_entry_64(kernel)),
        Some(mode) => Ok(mode),
        None if kernel.has_entry_64 => Ok(CpuMode::Long),
        None if request.home.is_peer() => Err(no_entry_64(kernel)),
        None => Ok(CpuMode::Protected),
    }
}

fn no_entry_64(kernel: &kernel_file::BzImage<'_>) -> Error {
    Error::NoEntry64 { protocol: kernel.protocol.to_string() }
}
