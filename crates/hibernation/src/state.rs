//! The state of a hibernation file: 512 bytes at its start, which a disk writes at once.
//!
//! ```text
//! empty ─> writing ─> complete <─> resuming ─> used
//!             └────────> failed
//! ```
//!
//! A new hibernation may start from empty, writing, failed and used. *Used* is written before the
//! resumed kernel runs, so that no image is resumed twice; *complete* follows *used* only where the
//! jump was refused and nothing ran.
//!
//! In a swap partition the sector is in the unused first KiB of swap's header. Swap's signature, at
//! the end of the page, is replaced while the file is in use, and put back afterwards: until then
//! no system takes the partition for swap.

use std::fmt;

use blake2::{Blake2b, Digest, digest::consts::U16};

use crate::disk::{self, Aligned};
use crate::field::Reader;
use crate::{Disk, Error, Id, PAGE, Result};

const MAGIC: [u8; 8] = *b"kjumphib";
const VERSION: u32 = 1;
const SECTOR: usize = 512;
const CHECK: usize = SECTOR - 16;
const REASON: usize = 64;
/// Most bytes of a reason.
const REASON_ROOM: usize = CHECK - REASON;
/// Where swap has its signature.
const SIGNATURE: usize = PAGE - 10;
const SWAP: [u8; 10] = *b"SWAPSPACE2";
/// Stands there while the file is in use.
const IN_USE: [u8; 10] = *b"KJUMPHIBER";

/// What can be done with a hibernation file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateKind {
    /// It holds nothing.
    Empty,
    /// An image is being written, or the machine stopped while it was.
    Writing,
    /// It holds an image that can be resumed.
    Complete,
    /// An image is being loaded; nothing of it has run.
    Resuming,
    /// The image has been resumed, or was about to be: it is never resumed again.
    Used,
    /// The image could not be written.
    Failed,
}

impl StateKind {
    const ALL: [Self; 6] =
        [Self::Empty, Self::Writing, Self::Complete, Self::Resuming, Self::Used, Self::Failed];

    const fn number(self) -> u32 {
        match self {
            Self::Empty => 0,
            Self::Writing => 1,
            Self::Complete => 2,
            Self::Resuming => 3,
            Self::Used => 4,
            Self::Failed => 5,
        }
    }

    /// Whether there is an image to resume.
    #[must_use]
    pub const fn has_image(self) -> bool {
        matches!(self, Self::Complete | Self::Resuming)
    }

    /// Whether the state may be followed by another.
    const fn may_become(self, next: Self) -> bool {
        match next {
            Self::Empty => true,
            Self::Writing => !self.has_image(),
            Self::Complete => matches!(self, Self::Writing | Self::Resuming | Self::Used),
            Self::Resuming => self.has_image(),
            Self::Used => matches!(self, Self::Resuming | Self::Used),
            Self::Failed => matches!(self, Self::Writing | Self::Failed),
        }
    }
}

impl fmt::Display for StateKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "empty",
            Self::Writing => "unfinished",
            Self::Complete => "complete",
            Self::Resuming => "being resumed",
            Self::Used => "used",
            Self::Failed => "failed",
        })
    }
}

/// The state of a hibernation file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// What can be done with it.
    pub kind: StateKind,
    /// The image's.
    pub id: Id,
    /// Why it is in this state, for people.
    pub reason: String,
    /// Whether it is in a swap partition, whose signature is to be put back.
    pub in_swap: bool,
}

impl State {
    const EMPTY: Self = Self { kind: StateKind::Empty, id: [0; 16], reason: String::new(), in_swap: false };

    /// Reads the state. Without one, the file is empty.
    ///
    /// # Errors
    /// The disk fails, or the state is damaged.
    pub fn read(disk: &impl Disk) -> Result<Self> {
        check_size(disk)?;
        let mut page = Aligned::zeros(PAGE);
        disk::read(disk, "the state", 0, &mut page)?;
        Self::parse(&page)
    }

    /// Reads the state from the first page of a file.
    ///
    /// # Errors
    /// It is damaged.
    pub fn parse(page: &[u8]) -> Result<Self> {
        let bad = |why| Error::BadState { why };
        let sector = page.get(..SECTOR).ok_or(bad("it is cut short"))?;
        let mut reader = Reader(sector);
        if reader.array() != Some(MAGIC) {
            return Ok(Self::EMPTY);
        }
        if digest(sector) != sector[CHECK..] {
            return Err(bad("its checksum is wrong"));
        }
        let (version, number) = (reader.u32().unwrap_or(0), reader.u32().unwrap_or(0));
        if version != VERSION {
            return Err(Error::Version { what: "the state", version, wanted: VERSION });
        }
        let kind = StateKind::ALL.into_iter().find(|kind| kind.number() == number);
        let kind = kind.ok_or(bad("it has an unknown number"))?;
        let id = reader.array().ok_or(bad("it is cut short"))?;
        let in_swap = reader.u32().unwrap_or(0) & 1 != 0;
        let length = reader.u32().and_then(|length| usize::try_from(length).ok()).unwrap_or(usize::MAX);
        let reason = sector[REASON..CHECK].get(..length).ok_or(bad("its reason is too long"))?;
        Ok(Self { kind, id, reason: String::from_utf8_lossy(reason).into_owned(), in_swap })
    }

    /// Puts the file into another state, which is on the disk when this returns.
    ///
    /// # Errors
    /// The state cannot follow, or the disk fails.
    pub fn change(&self, disk: &impl Disk, kind: StateKind, reason: &str) -> Result<Self> {
        self.change_id(disk, kind, self.id, reason)
    }

    /// Starts to write another image.
    ///
    /// # Errors
    /// There is an image to resume, or the disk fails.
    pub fn start(&self, disk: &impl Disk, id: Id) -> Result<Self> {
        self.change_id(disk, StateKind::Writing, id, "the machine stopped before the image was complete")
    }

    fn change_id(&self, disk: &impl Disk, kind: StateKind, id: Id, reason: &str) -> Result<Self> {
        if !self.kind.may_become(kind) {
            return Err(Error::Step { from: self.kind, to: kind });
        }
        let mut page = Aligned::zeros(PAGE);
        disk::read(disk, "the state", 0, &mut page)?;
        let in_swap = self.in_swap || [SWAP, IN_USE].iter().any(|known| page[SIGNATURE..] == *known);
        let next = Self { kind, id, reason: shortened(reason).to_owned(), in_swap };
        next.put(&mut page);
        disk::write(disk, "the state", 0, &page)?;
        disk::sync(disk, "the state")?;
        Ok(next)
    }

    /// Makes swap of a swap partition again. The state stays, for people.
    ///
    /// # Errors
    /// There is an image to resume, or the disk fails.
    pub fn release(&self, disk: &impl Disk) -> Result<()> {
        if self.kind.has_image() {
            return Err(Error::Step { from: self.kind, to: StateKind::Empty });
        }
        let mut page = Aligned::zeros(PAGE);
        disk::read(disk, "the state", 0, &mut page)?;
        if page[SIGNATURE..] == IN_USE {
            page[SIGNATURE..].copy_from_slice(&SWAP);
            disk::write(disk, "the state", 0, &page)?;
            disk::sync(disk, "the state")?;
        }
        Ok(())
    }

    /// Writes the sector, and the signature that belongs to it.
    fn put(&self, page: &mut [u8]) {
        let sector = &mut page[..SECTOR];
        sector.fill(0);
        if self.kind != StateKind::Empty {
            sector[..8].copy_from_slice(&MAGIC);
            sector[8..12].copy_from_slice(&VERSION.to_le_bytes());
            sector[12..16].copy_from_slice(&self.kind.number().to_le_bytes());
            sector[16..32].copy_from_slice(&self.id);
            sector[32..36].copy_from_slice(&u32::from(self.in_swap).to_le_bytes());
            let length = u32::try_from(self.reason.len()).unwrap_or(0);
            sector[36..40].copy_from_slice(&length.to_le_bytes());
            sector[REASON..REASON + self.reason.len()].copy_from_slice(self.reason.as_bytes());
            let check = digest(sector);
            sector[CHECK..].copy_from_slice(&check);
        }
        if self.in_swap {
            let signature = if self.kind == StateKind::Empty { SWAP } else { IN_USE };
            page[SIGNATURE..].copy_from_slice(&signature);
        }
    }
}

/// Checks that a disk has room for the state, a header and a block.
pub(crate) fn check_size(disk: &impl Disk) -> Result<()> {
    const LEAST: u64 = 2 << 20;
    let length = disk.length();
    if length < LEAST { Err(Error::TooSmall { length, least: LEAST }) } else { Ok(()) }
}

/// Makes the checksum right.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn reseal(page: &mut [u8]) {
    let check = digest(&page[..SECTOR]);
    page[CHECK..SECTOR].copy_from_slice(&check);
}

fn digest(sector: &[u8]) -> [u8; 16] {
    Blake2b::<U16>::digest(&sector[..CHECK]).into()
}

/// The start of a text, as far as there is room for it.
fn shortened(reason: &str) -> &str {
    let mut end = reason.len().min(REASON_ROOM);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemoryDisk;

    fn disk() -> MemoryDisk {
        MemoryDisk::new(vec![0x5a; 2 << 20])
    }

    #[test]
    fn a_file_goes_through_its_states_and_an_image_is_never_used_twice() {
        use StateKind::{Complete, Empty, Failed, Resuming, Used, Writing};
        let disk = disk();
        let mut state = State::read(&disk).unwrap();
        assert_eq!(state.kind, Empty);
        state = state.start(&disk, [7; 16]).unwrap();
        for next in [Complete, Resuming, Complete, Resuming, Used] {
            state = state.change(&disk, next, "why").unwrap();
            assert_eq!(State::read(&disk).unwrap(), state);
            assert_eq!((state.kind, state.id, state.reason.as_str()), (next, [7; 16], "why"));
        }
        assert!(matches!(state.change(&disk, Resuming, ""), Err(Error::Step { from: Used, to: Resuming })));
        assert!(matches!(state.change(&disk, Failed, ""), Err(Error::Step { .. })));
        state = state.start(&disk, [8; 16]).unwrap();
        assert_eq!(state.kind, Writing);
        state = state.change(&disk, Complete, "").unwrap();
        assert!(matches!(state.start(&disk, [9; 16]), Err(Error::Step { from: Complete, to: Writing })));
        state.change(&disk, Empty, "").unwrap();
        assert_eq!(State::read(&disk).unwrap(), State::EMPTY);
    }

    #[test]
    fn a_changed_byte_of_the_state_is_noticed() {
        let memory = disk();
        State::read(&memory).unwrap().start(&memory, [7; 16]).unwrap();
        let bytes = memory.into_bytes();
        for place in 8..SECTOR {
            let mut page = bytes[..PAGE].to_vec();
            page[place] ^= 1;
            assert!(matches!(State::parse(&page), Err(Error::BadState { .. })), "{place}");
        }
        assert!(State::parse(&bytes[..SECTOR - 1]).is_err());
    }

    #[test]
    fn a_long_reason_is_shortened_at_a_letter() {
        let disk = disk();
        let reason = "é".repeat(1000);
        let state = State::read(&disk).unwrap().start(&disk, [1; 16]).unwrap();
        let state = state.change(&disk, StateKind::Failed, &reason).unwrap();
        assert_eq!(State::read(&disk).unwrap(), state);
        assert!(reason.starts_with(&state.reason) && state.reason.len() > REASON_ROOM - 2);
    }

    #[test]
    fn swap_is_no_swap_while_there_is_an_image_and_swap_afterwards() {
        let mut bytes = vec![0; 2 << 20];
        bytes[1024..1040].copy_from_slice(b"the swap header.");
        bytes[SIGNATURE..PAGE].copy_from_slice(&SWAP);
        let disk = MemoryDisk::new(bytes.clone());
        let signature = |disk: &MemoryDisk| {
            let mut page = vec![0; PAGE];
            disk.read_at(0, &mut page).unwrap();
            assert_eq!(page[1024..1040], *b"the swap header.");
            page[SIGNATURE..].to_vec()
        };
        let state = State::read(&disk).unwrap().start(&disk, [1; 16]).unwrap();
        assert_eq!(signature(&disk), IN_USE);
        let state = state.change(&disk, StateKind::Complete, "").unwrap();
        assert!(state.release(&disk).is_err());
        let state = state.change(&disk, StateKind::Resuming, "").unwrap();
        let state = state.change(&disk, StateKind::Used, "").unwrap();
        assert_eq!(signature(&disk), IN_USE);
        state.release(&disk).unwrap();
        assert_eq!(signature(&disk), SWAP);
        let state = State::read(&disk).unwrap().start(&disk, [2; 16]).unwrap();
        assert_eq!(signature(&disk), IN_USE);
        state.change(&disk, StateKind::Empty, "").unwrap();
        assert!(disk.into_bytes() == bytes);
    }

    /// A page that a power cut tore: some of its sectors are old, some new.
    #[test]
    fn every_mixture_of_old_and_new_sectors_is_a_state() {
        let before = {
            let mut bytes = vec![0; 2 << 20];
            bytes[SIGNATURE..PAGE].copy_from_slice(&SWAP);
            bytes
        };
        let disk = MemoryDisk::new(before.clone());
        let written = State::read(&disk).unwrap().start(&disk, [1; 16]).unwrap();
        let after = disk.into_bytes();
        for mask in 0..256_u32 {
            let mut mixed = before.clone();
            for sector in (0..8).filter(|sector| mask >> sector & 1 == 1) {
                let range = sector * SECTOR..(sector + 1) * SECTOR;
                mixed[range.clone()].copy_from_slice(&after[range]);
            }
            let state = State::parse(&mixed).unwrap();
            assert_eq!(state.kind, if mask & 1 == 1 { StateKind::Writing } else { StateKind::Empty });
            // Whatever was torn, the next hibernation starts from it.
            let disk = MemoryDisk::new(mixed);
            let again = state.start(&disk, [2; 16]).unwrap();
            assert!(again.in_swap && written.in_swap);
        }
    }
}
