//! Where the parts of a file are loaded, from its bytes and the arguments. Nothing is read here.

use abi::device::{Range, load_flag};
use anyhow::bail;
use kernel_file::{Format, Mode, Program, flat};

use crate::call::args::PlacingArgs;

/// How a file becomes an image.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Placing {
    pub(crate) mode: Option<Mode>,
    pub(crate) entry: Option<u64>,
    pub(crate) load_at: Option<u64>,
    pub(crate) vouched: Vec<Range>,
    /// Whether the kernel is asked to move its pages away from the image's addresses.
    pub(crate) claim: bool,
}

impl Placing {
    /// The program in a file, placed.
    pub(crate) fn program<'a>(&self, file: &'a [u8]) -> anyhow::Result<Program<'a>> {
        let mut program = match (self.load_at, Format::recognise(file)) {
            (Some(_), Some(Format::Elf)) => bail!(
                "an ELF file determines its own addresses; leave out --load-at, or make a flat binary of \
                 it with `objcopy -O binary`"
            ),
            (Some(address), _) => flat::parse(file, address, self.mode.unwrap_or(Mode::Long))?,
            (None, Some(_)) => kernel_file::parse(file)?,
            (None, None) => {
                bail!("not an ELF executable; a flat binary needs --load-at")
            }
        };
        program.mode = self.mode.unwrap_or(program.mode);
        program.entry = self.entry.unwrap_or(program.entry);
        Ok(program)
    }

    /// Bits of [`load_flag`].
    pub(crate) const fn flags(&self) -> u64 {
        if self.claim { load_flag::CLAIM } else { 0 }
    }
}

impl From<PlacingArgs> for Placing {
    fn from(args: PlacingArgs) -> Self {
        let PlacingArgs { mode, entry, load_at, vouch, no_claim } = args;
        Self { mode, entry, load_at, vouched: vouch, claim: !no_claim }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn placing(load_at: Option<u64>) -> Placing {
        Placing { load_at, ..Placing::default() }
    }

    #[test]
    fn a_flat_binary_is_placed_by_its_arguments_in_64_bit_mode() {
        let program = placing(Some(0x8000)).program(&[0xc3]).unwrap();
        assert_eq!((program.entry, program.mode), (0x8000, Mode::Long));
        let mode_and_entry =
            Placing { mode: Some(Mode::Protected), entry: Some(0x8001), ..placing(Some(0x8000)) };
        let program = mode_and_entry.program(&[0x90, 0xc3]).unwrap();
        assert_eq!((program.entry, program.mode), (0x8001, Mode::Protected));
    }

    #[test]
    fn the_kind_of_file_and_its_arguments_must_agree() {
        let error = placing(None).program(&[0xc3]).unwrap_err().to_string();
        assert!(error.contains("--load-at"), "{error}");
        let error = placing(Some(0x8000)).program(b"\x7fELF").unwrap_err().to_string();
        assert!(error.contains("leave out --load-at"), "{error}");
    }

    #[test]
    fn claiming_is_a_flag() {
        assert_eq!(Placing::from(PlacingArgs::default()).flags(), load_flag::CLAIM);
        assert_eq!(Placing::from(PlacingArgs { no_claim: true, ..PlacingArgs::default() }).flags(), 0);
    }
}
