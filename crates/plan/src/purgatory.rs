//! Purgatory, which runs between the running kernel and the loaded one, and its parameters. Their
//! layout is [`abi::purgatory`]; the caller provides the code. It is placed below 4 GiB for an
//! entry in 32-bit mode, below 1 MiB for real mode.

use std::borrow::Cow;

use abi::Field;
use abi::purgatory::{
    COPY_FROM, COPY_SIZE, COPY_TO, ENTRY, FLAGS, GOAL, JUMP_BACK, LAST_PAGE, LOW_PAGE, MAGIC, MAGIC_NUMBER,
    MEMORY, MODE, PAUSE, REGION_COUNT, REGIONS, REGIONS_MAX, SEGMENTS, SERIAL_BAUD, SERIAL_PORT, VARIABLES,
    flag, mode, region, register_field,
};
use phys::{PhysAddr, PhysRange};

use crate::{CpuMode, Entry, Error, Segment};

/// Name of its segment.
pub(crate) const NAME: &str = "purgatory";
/// Bytes of its memory.
pub(crate) const SIZE: u64 = MEMORY as u64;

/// Purgatory and its options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purgatory<'a> {
    /// The contents of its memory, up to the last byte that is not zero.
    pub image: &'a [u8],
    /// Whether it verifies the digest of everything that is loaded.
    pub check: bool,
    /// I/O port and speed of the serial port for its messages; 0 baud keeps the current speed.
    pub serial: Option<(u16, u64)>,
    /// Whether it prints messages on the VGA screen.
    pub vga: bool,
    /// Whether the screen is put into text mode first.
    pub reset_vga: bool,
    /// Seconds between a fatal message and the reset of the machine.
    pub pause: u64,
}

/// Additional work of purgatory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Extras {
    /// Address of the command-line parameter for the jump-back entry, if the running kernel waits
    /// for the loaded one.
    pub(crate) jump_back: Option<u64>,
    /// A copy of memory to make first: from, to, bytes.
    pub(crate) copy: Option<(u64, u64, u64)>,
}

impl<'a> Purgatory<'a> {
    /// Its segment at a place, and the address of its entry point. It verifies the other segments,
    /// then enters the kernel. [`LoadPlan::seal`](crate::LoadPlan::seal) adds the digest later.
    ///
    /// # Errors
    /// [`Error::TooManyRegions`].
    pub(crate) fn segment_and_entry(
        &self,
        place: PhysRange,
        kernel_entry: &Entry,
        extras: &Extras,
        checked: &[Segment<'_>],
    ) -> Result<(Segment<'a>, PhysAddr), Error> {
        let segment = self.segment(place, kernel_entry, extras, checked)?;
        let entry = place.start().get() + ENTRY as u64;
        Ok((segment, PhysAddr::new(entry).ok_or(Error::EntryOutside { entry })?))
    }

    fn segment(
        &self,
        place: PhysRange,
        kernel_entry: &Entry,
        extras: &Extras,
        checked: &[Segment<'_>],
    ) -> Result<Segment<'a>, Error> {
        let mut bytes = vec![0; ENTRY];
        let mut block = Block(&mut bytes);
        block.put(MAGIC, MAGIC_NUMBER);
        block.put(FLAGS, self.flags(extras));
        let (port, baud) = self.serial.unwrap_or_default();
        block.put(SERIAL_PORT, port.into());
        block.put(SERIAL_BAUD, baud);
        block.put(PAUSE, self.pause);
        block.kernel_entry(kernel_entry, place);
        block.extras(extras);
        let code = self.image.get(ENTRY..).unwrap_or_default();
        let own =
            (place.start().get() + ENTRY as u64, code.len() as u64, (VARIABLES - ENTRY - code.len()) as u64);
        let others = checked.iter().filter(|segment| !segment.bytes.is_empty()).map(|segment| {
            let bytes = segment.bytes.len() as u64;
            (segment.range.start().get(), bytes, segment.range.bytes() - bytes)
        });
        block.regions(&others.chain([own]).collect::<Vec<_>>())?;
        bytes.extend_from_slice(code);
        Ok(Segment { name: NAME, range: place, bytes: Cow::Owned(bytes) })
    }

    const fn flags(&self, extras: &Extras) -> u64 {
        let mut flags = 0;
        let switches = [
            (self.check, flag::CHECK),
            (extras.jump_back.is_some(), flag::COMES_BACK),
            (self.serial.is_some(), flag::CONSOLE_SERIAL),
            (self.vga, flag::CONSOLE_VGA),
            (self.reset_vga, flag::RESET_VGA),
        ];
        let mut rest = switches.as_slice();
        while let [(on, bit), others @ ..] = rest {
            flags |= if *on { *bit } else { 0 };
            rest = others;
        }
        flags
    }
}

/// The parameter block under construction.
struct Block<'b>(&'b mut [u8]);

impl Block<'_> {
    fn put(&mut self, field: Field<u64>, number: u64) {
        let written = field.write(self.0, number);
        debug_assert!(written, "abi asserts that every field lies in the block");
    }

    fn kernel_entry(&mut self, kernel_entry: &Entry, place: PhysRange) {
        let mode = match kernel_entry.mode {
            CpuMode::Long => mode::LONG,
            CpuMode::Protected => mode::PROTECTED,
            CpuMode::Real => mode::REAL,
        };
        self.put(MODE, mode);
        self.put(GOAL, kernel_entry.address);
        for (number, &value) in kernel_entry.registers.iter().enumerate() {
            self.put(register_field(number), value);
        }
        let segment = u64::from(kernel_entry.segment);
        self.put(SEGMENTS, segment << 16 | segment);
        self.put(LOW_PAGE, place.start().get() + LAST_PAGE as u64);
    }

    fn extras(&mut self, extras: &Extras) {
        self.put(JUMP_BACK, extras.jump_back.unwrap_or(0));
        let (from, to, size) = extras.copy.unwrap_or_default();
        self.put(COPY_FROM, from);
        self.put(COPY_TO, to);
        self.put(COPY_SIZE, size);
    }

    fn regions(&mut self, regions: &[(u64, u64, u64)]) -> Result<(), Error> {
        if regions.len() > REGIONS_MAX {
            return Err(Error::TooManyRegions { count: regions.len(), limit: REGIONS_MAX });
        }
        self.put(REGION_COUNT, regions.len() as u64);
        let table = self.0.get_mut(REGIONS..).unwrap_or_default();
        for (entry, &(start, bytes, zeros)) in table.chunks_exact_mut(region::SIZE).zip(regions) {
            let written = region::START.write(entry, start)
                && region::BYTES.write(entry, bytes)
                && region::ZEROS.write(entry, zeros);
            debug_assert!(written, "abi asserts that every field lies in an entry");
        }
        Ok(())
    }
}

/// The regions in a block: start address and bytes covered by the digest.
pub(crate) fn regions(block: &[u8]) -> Vec<(u64, u64)> {
    let count = REGION_COUNT.read(block).unwrap_or(0).min(REGIONS_MAX as u64);
    let table = block.get(REGIONS..ENTRY).unwrap_or_default().chunks_exact(region::SIZE);
    let entries = table.zip(0..count);
    entries.filter_map(|(entry, _)| Some((region::START.read(entry)?, region::BYTES.read(entry)?))).collect()
}
