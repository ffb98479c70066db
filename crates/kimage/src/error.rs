use core::fmt;

use phys::{ADDRESS_END, PAGE_SIZE};

use crate::frames::Zone;

/// Why there is no image, frame or mapping. Addresses are physical byte addresses and sizes are in
/// bytes, unless noted otherwise; `segment` is [`Segment::index`](crate::Segment::index).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants describe their fields")]
pub enum Error {
    /// `mem` or `memsz` is not a multiple of the page size.
    Unaligned { segment: u32, mem: u64, memsz: u64 },
    /// More bytes than the destination has room for.
    BufferTooLong { segment: u32, bufsz: u64, memsz: u64 },
    /// The destination wraps around or ends beyond 52 bits.
    TooHigh { segment: u32, mem: u64, memsz: u64 },
    /// The destination leaves the allowed ranges, first at `address`.
    NotAllowed { segment: u32, mem: u64, memsz: u64, address: u64 },
    /// Two segments want the bytes from `start` up to `end`.
    Overlap { segments: [u32; 2], start: u64, end: u64 },
    /// The entry point lies in no segment.
    EntryOutside { entry: u64 },
    /// The segments have more pages together than the rules allow.
    TooManyPages { pages: u64, limit: u64 },
    /// The allocator had no 2^`order` frames of the zone; the image held `held` frames then.
    NoMemory { purpose: Purpose, order: u32, zone: Zone, held: u64 },
    /// The allocator broke its promise: a frame (by number) that is unaligned, outside the zone, or
    /// handed out before. In the last case the image's frames are not given back.
    BadFrame { frame: u64, order: u32, zone: Zone },
    /// The finished page list is wrong at this word (by number, links not counted; for a support
    /// frame, word 0 and the frame's address): a defect of this crate or of the allocator, or
    /// overwritten memory. The image's frames are not given back then, since the list is not a
    /// reliable record of them.
    List { fault: ListFault, position: u64, word: u64 },
    /// A virtual address that is not the start of a page.
    UnalignedPage { virt: u64 },
    /// A virtual range that this many levels of page tables cannot express.
    NotCanonical { virt: u64, bytes: u64, levels: u32 },
    /// The virtual address is mapped to another physical address already.
    MappedElsewhere { virt: u64, phys: u64, wanted: u64 },
}

/// The use that memory was wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// The page list.
    List = 1,
    /// The table of support frames.
    Ledger = 2,
    /// A source page.
    Source = 3,
    /// A frame asked for through [`Image::support`](crate::Image::support): control page, stack,
    /// page table.
    Support = 4,
    /// The final check.
    Check = 5,
}

/// A defect of a page list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ListFault {
    /// A source page is missing.
    Source = 1,
    /// Not the destination of the next segment.
    Destination = 2,
    /// A source page that is the destination of another slot.
    Stolen = 3,
    /// A frame used twice.
    Doubled = 4,
    /// A support frame that is a destination.
    Support = 5,
    /// A link to anything but the next list frame, or a missing link.
    Chain = 6,
    /// The end is missing.
    Done = 7,
}

/// An error as plain numbers, to cross an ioctl: [`Error::reason`] and [`Error::numbers`] one way,
/// [`Error::from_numbers`] the other.
impl Error {
    /// The stable number of the kind of error, never 0.
    #[inline]
    #[must_use]
    pub const fn reason(&self) -> u32 {
        match self {
            Self::Unaligned { .. } => 1,
            Self::BufferTooLong { .. } => 2,
            Self::TooHigh { .. } => 3,
            Self::NotAllowed { .. } => 4,
            Self::Overlap { .. } => 5,
            Self::EntryOutside { .. } => 6,
            Self::TooManyPages { .. } => 7,
            Self::NoMemory { .. } => 8,
            Self::BadFrame { .. } => 9,
            Self::List { .. } => 10,
            Self::UnalignedPage { .. } => 11,
            Self::NotCanonical { .. } => 12,
            Self::MappedElsewhere { .. } => 13,
        }
    }

    /// The numbers of the error, in the order of the fields, then zeros.
    #[inline]
    #[must_use]
    pub const fn numbers(&self) -> [u64; 4] {
        match *self {
            Self::Unaligned { segment, mem, memsz } | Self::TooHigh { segment, mem, memsz } => {
                [segment as u64, mem, memsz, 0]
            }
            Self::BufferTooLong { segment, bufsz, memsz } => [segment as u64, bufsz, memsz, 0],
            Self::NotAllowed { segment, mem, memsz, address } => [segment as u64, mem, memsz, address],
            Self::Overlap { segments: [a, b], start, end } => [a as u64, b as u64, start, end],
            Self::EntryOutside { entry } => [entry, 0, 0, 0],
            Self::TooManyPages { pages, limit } => [pages, limit, 0, 0],
            Self::NoMemory { purpose, order, zone, held } => {
                [purpose as u64, order as u64, zone.number(), held]
            }
            Self::BadFrame { frame, order, zone } => [frame, order as u64, zone.number(), 0],
            Self::List { fault, position, word } => [fault as u64, position, word, 0],
            Self::UnalignedPage { virt } => [virt, 0, 0, 0],
            Self::NotCanonical { virt, bytes, levels } => [virt, bytes, levels as u64, 0],
            Self::MappedElsewhere { virt, phys, wanted } => [virt, phys, wanted, 0],
        }
    }

    /// The error with these numbers, or `None` if no error has them.
    #[must_use]
    pub fn from_numbers(reason: u32, numbers: [u64; 4]) -> Option<Self> {
        let [a, b, c, d] = numbers;
        let small = |number: u64| u32::try_from(number).ok();
        let error = match reason {
            1 => Self::Unaligned { segment: small(a)?, mem: b, memsz: c },
            2 => Self::BufferTooLong { segment: small(a)?, bufsz: b, memsz: c },
            3 => Self::TooHigh { segment: small(a)?, mem: b, memsz: c },
            4 => Self::NotAllowed { segment: small(a)?, mem: b, memsz: c, address: d },
            5 => Self::Overlap { segments: [small(a)?, small(b)?], start: c, end: d },
            6 => Self::EntryOutside { entry: a },
            7 => Self::TooManyPages { pages: a, limit: b },
            8 => Self::NoMemory {
                purpose: Purpose::from_number(a)?,
                order: small(b)?,
                zone: Zone::from_number(c)?,
                held: d,
            },
            9 => Self::BadFrame { frame: a, order: small(b)?, zone: Zone::from_number(c)? },
            10 => Self::List { fault: ListFault::from_number(a)?, position: b, word: c },
            11 => Self::UnalignedPage { virt: a },
            12 => Self::NotCanonical { virt: a, bytes: b, levels: small(c)? },
            13 => Self::MappedElsewhere { virt: a, phys: b, wanted: c },
            _ => return None,
        };
        (error.numbers() == numbers).then_some(error)
    }
}

impl Purpose {
    const ALL: [Self; 5] = [Self::List, Self::Ledger, Self::Source, Self::Support, Self::Check];

    fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|&purpose| purpose as u64 == number)
    }
}

impl ListFault {
    const ALL: [Self; 7] = [
        Self::Source,
        Self::Destination,
        Self::Stolen,
        Self::Doubled,
        Self::Support,
        Self::Chain,
        Self::Done,
    ];

    fn from_number(number: u64) -> Option<Self> {
        Self::ALL.into_iter().find(|&fault| fault as u64 == number)
    }
}

// The texts are for user space, which receives an error as numbers. `inline` keeps them, and core's
// formatting, out of the object code of a kernel module that never uses a text.

impl fmt::Display for Error {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Unaligned { segment, mem, memsz } => {
                write!(
                    f,
                    "segment {segment}: mem {mem:#x} and memsz {memsz:#x} must be multiples of {PAGE_SIZE}"
                )
            }
            Self::BufferTooLong { segment, bufsz, memsz } => {
                write!(f, "segment {segment}: bufsz {bufsz:#x} is more than memsz {memsz:#x}")
            }
            Self::TooHigh { segment, mem, memsz } => write!(
                f,
                "segment {segment}: mem {mem:#x} plus memsz {memsz:#x} is beyond {ADDRESS_END:#x}, \
                 the end of physical addresses"
            ),
            Self::NotAllowed { segment, mem, memsz, address } => write!(
                f,
                "segment {segment}: {memsz:#x} bytes at {mem:#x} are not all in allowed memory: \
                 {address:#x} is not"
            ),
            Self::Overlap { segments: [a, b], start, end } => {
                let last = end.wrapping_sub(1);
                write!(f, "segments {a} and {b} overlap in {start:#x}-{last:#x}")
            }
            Self::EntryOutside { entry } => write!(f, "entry point {entry:#x} is not in any segment"),
            Self::TooManyPages { pages, limit } => {
                let [needed, available] = [pages, limit].map(|pages| pages.saturating_mul(PAGE_SIZE) >> 20);
                write!(
                    f,
                    "the segments take {needed} MiB ({pages} pages), and {available} MiB ({limit} pages) \
                     are available"
                )
            }
            Self::NoMemory { purpose, order, zone, held } => {
                write!(f, "no memory for {purpose}: ")?;
                match order {
                    0 => write!(f, "1 page {zone}, after {held} pages"),
                    _ => {
                        let pages = 1_u64.unbounded_shl(order);
                        write!(f, "{pages} neighbouring pages {zone}, after {held} pages")
                    }
                }
            }
            Self::BadFrame { frame, order, zone } => {
                write!(f, "the allocator handed out a wrong frame: {frame:#x} (order {order}, {zone})")
            }
            Self::List { fault, position, word } => {
                write!(f, "page list is wrong at word {position} ({word:#x}): {fault}")
            }
            Self::UnalignedPage { virt } => {
                write!(f, "virtual address {virt:#x} must be a multiple of {PAGE_SIZE}")
            }
            Self::NotCanonical { virt, bytes, levels } => {
                write!(f, "{levels} levels of page tables cannot map {bytes:#x} bytes at {virt:#x}")
            }
            Self::MappedElsewhere { virt, phys, wanted } => {
                write!(f, "virtual address {virt:#x} is mapped to {phys:#x}, not to {wanted:#x}")
            }
        }
    }
}

impl fmt::Display for Purpose {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::List => "the page list",
            Self::Ledger => "the table of support frames",
            Self::Source => "source pages",
            Self::Support => "control pages and page tables",
            Self::Check => "the final check",
        })
    }
}

impl fmt::Display for ListFault {
    #[inline]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "expected a source page",
            Self::Destination => "expected the destination of the next segment",
            Self::Stolen => "the source page is the destination of another slot",
            Self::Doubled => "the frame is used twice",
            Self::Support => "a support frame is a destination",
            Self::Chain => "expected a link to the next list frame",
            Self::Done => "expected the end of the list",
        })
    }
}

impl core::error::Error for Error {}
