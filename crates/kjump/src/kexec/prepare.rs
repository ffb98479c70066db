//! `--prepare`: what the next kernel would do first is done now, while this one still works.
//!
//! A bzImage unpacks itself, and with address-space randomisation moves itself to a random place.
//! Then the kernel unpacks its initrd. Here the kernel is loaded as it is in memory afterwards, at
//! a random place of this program's choice, and the initrd as plain archives.

use anyhow::{Context, bail};
use kernel_file::{BzImage, Unpacked, archive, vmlinux};
use machine::Machine;
use machine::encryption::Encryption;
use plan::linux::{self, parameters};

use super::files::Files;
use crate::input::Name;
use crate::kernel::file::Loader;
use crate::terminal::progress::Progress;

/// Random numbers for the virtual and for the physical address.
pub(super) type Entropy = [u64; 2];

/// A kernel and initrds that were unpacked in advance.
pub(super) struct Prepared {
    kernel: Unpacked,
    place: Option<u64>,
    is_random: bool,
    /// The bytes of each initrd that was compressed.
    initrds: Vec<Option<Vec<u8>>>,
}

impl Prepared {
    /// Prepares what the files contain, for this machine. Without entropy, addresses are not
    /// random.
    pub(super) fn new(
        files: &Files,
        loader: Loader,
        machine: &Machine,
        entropy: Option<Entropy>,
    ) -> anyhow::Result<Self> {
        let path = &files.kernel.path;
        if loader != Loader::BzImage {
            bail!("is for bzImages; {} is of the format {loader}", Name(path));
        }
        let named = || Name(path).to_string();
        let file = BzImage::parse(files.kernel.kernel()).with_context(named)?;
        require_fit(&file, machine)?;
        let mut kernel = {
            let _progress = Progress::start(format!("unpacking {}", Name(path)), 1);
            file.unpack().with_context(named)?
        };
        let wants = Randomness::of(&files.command_line);
        let entropy = entropy.filter(|_| wants != Randomness::None && kernel.is_relocatable);
        if let Some([number, _]) = entropy {
            kernel.relocate(shift(&kernel, &file, number));
        }
        let place = entropy.map(|[_, number]| number).filter(|_| wants == Randomness::Full);
        Ok(Self { kernel, place, is_random: entropy.is_some(), initrds: plain(files, machine)? })
    }

    pub(super) fn kernel<'a>(&'a self, file: BzImage<'a>) -> linux::Prepared<'a> {
        linux::Prepared { file, image: &self.kernel, random: self.place, is_random: self.is_random }
    }

    /// The bytes of the initrd of this index, if they are others than the file's.
    pub(super) fn initrd(&self, index: usize) -> Option<&[u8]> {
        self.initrds.get(index)?.as_deref()
    }

    /// Describes it for `--debug` and the like.
    pub(super) fn describe(&self) -> String {
        let addresses = match (self.place, self.is_random) {
            (Some(_), _) => "at random addresses",
            (None, true) => "at random virtual addresses",
            (None, false) => "not at random addresses",
        };
        let initrds = self.initrds.iter().flatten().count();
        format!("prepared: the kernel is unpacked, {addresses}; initrds unpacked: {initrds}")
    }
}

/// Refuses what only the kernel's own first code can set up.
fn require_fit(file: &BzImage<'_>, machine: &Machine) -> anyhow::Result<()> {
    if let Encryption::Active(_) = machine.encryption {
        bail!("this machine's memory is encrypted, and the next kernel must set that up by itself");
    }
    if machine.cpu.as_ref().is_ok_and(|cpu| cpu.has("la57")) && !file.levels_5 {
        bail!("this kernel uses page tables of five levels, and the next kernel knows only four");
    }
    if !file.has_entry_64 {
        bail!("the kernel (boot protocol {}) has no 64-bit entry point", file.protocol);
    }
    Ok(())
}

/// How random a kernel's addresses may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Randomness {
    None,
    /// The command line decides which memory the kernel uses: its physical address is the lowest.
    Virtual,
    Full,
}

impl Randomness {
    fn of(command_line: &[u8]) -> Self {
        let has = |names: &[&[u8]]| {
            parameters::of_kernel(command_line).any(|it| names.iter().any(|name| it.is_named(name)))
        };
        match () {
            () if has(&[b"nokaslr"]) => Self::None,
            () if has(&[b"mem", b"memmap", b"efi_fake_mem", b"hugepages", b"movable_node"]) => Self::Virtual,
            () => Self::Full,
        }
    }
}

/// By how many bytes to move a kernel: it stays in the part of the address space that is for it.
fn shift(kernel: &Unpacked, file: &BzImage<'_>, random: u64) -> u64 {
    let align = file.alignment.unwrap_or(0).max(2 << 20);
    let room = vmlinux::SPAN.saturating_sub(kernel.linked_at).saturating_sub(kernel.memory);
    random % (room / align + 1) * align
}

/// The initrds without compression, as far as memory allows: each is then here and where it is
/// loaded.
fn plain(files: &Files, machine: &Machine) -> anyhow::Result<Vec<Option<Vec<u8>>>> {
    let mut room = machine.amounts.as_ref().map_or(0, |amounts| amounts.room() / 4);
    let mut plain = Vec::new();
    for initrd in files.all_initrds()? {
        let _progress = Progress::start(format!("unpacking {}", initrd.name), 1);
        let bytes = archive::without_compression(initrd.bytes, room);
        room = room.saturating_sub(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64));
        plain.push(bytes);
    }
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_decides_how_random_addresses_are() {
        assert_eq!(Randomness::of(b"quiet ro"), Randomness::Full);
        assert_eq!(Randomness::of(b"quiet nokaslr mem=1G"), Randomness::None);
        assert_eq!(Randomness::of(b"memmap=1M$2G"), Randomness::Virtual);
        assert_eq!(Randomness::of(b"quiet -- nokaslr"), Randomness::Full);
    }
}
