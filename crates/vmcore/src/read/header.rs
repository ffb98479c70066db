//! The header and sub-header of a kdump-compressed dump.

use abi::{Field, Number};
use phys::PAGE_SIZE;

use crate::format::field::get;
use crate::format::kdump::{
    BLOCK, HeaderLayout, MAGIC, NARROW_HEADER, NARROW_SUB_HEADER, SubHeaderLayout, VERSION, WIDE_HEADER,
    WIDE_SUB_HEADER, manifest_place, status, utsname,
};
use crate::source::read_vec;
use crate::{Error, ReadAt, Result};

/// The facts in the header of a kdump-compressed dump.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KdumpHeader {
    /// The version of the format.
    pub version: u32,
    /// The kernel's `struct utsname`.
    pub utsname: Vec<u8>,
    /// Seconds since 1970 when the kernel crashed, or when the dump was made; 0 if unknown.
    pub seconds: u64,
    /// Codecs used, and whether the dump is incomplete; informative.
    pub status: u32,
    /// The dump level it was made with.
    pub level: u32,
    /// The kernel's `phys_base`.
    pub phys_base: u64,
    /// The number of the frame after the highest one.
    pub max_mapnr: u64,
    /// The frames of this file if it is one of a split set.
    pub part: Option<(u64, u64)>,
    /// The number of CPUs.
    pub cpus: u32,
    /// Offset and size of kjump's manifest.
    pub(super) manifest: Option<(u64, u64)>,
    pub(super) sub_blocks: u64,
    pub(super) bitmap_blocks: u64,
    pub(super) notes: NotesPlace,
    /// Offset and size of the commands that erased data.
    pub(super) erased: (u64, u64),
}

/// Where the notes are, in bytes of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NotesPlace {
    pub(super) offset: u64,
    pub(super) size: u64,
    /// The place is that of VMCOREINFO's text, as before version 4.
    pub(super) is_vmcoreinfo: bool,
}

impl KdumpHeader {
    /// Whether the dump was cut short, or pages were missing in its source.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.status & status::INCOMPLETE != 0
    }

    /// Reads both headers.
    pub(super) fn read(source: &impl ReadAt) -> Result<Self> {
        let block = read_vec(source, "the dump header", 0, BLOCK as u64)?;
        if !block.starts_with(&MAGIC) {
            return Err(Error::Unrecognised { start: block[..8].to_vec() });
        }
        // The block size shows the width: it has another place in each.
        let is_block_size = |field| u64::from(get(&block, field)) == PAGE_SIZE;
        let header = if is_block_size(WIDE_HEADER.block_size) {
            Self::of(source, &block, &WIDE_HEADER, &WIDE_SUB_HEADER)
        } else if is_block_size(NARROW_HEADER.block_size) {
            Self::of(source, &block, &NARROW_HEADER, &NARROW_SUB_HEADER)
        } else {
            return Err(Error::Unsupported {
                field: "the block size",
                value: get(&block, WIDE_HEADER.block_size).into(),
                wanted: "x86 has pages of 4096",
            });
        }?;
        let machine = utsname::string(&header.utsname, utsname::MACHINE);
        if !matches!(machine.as_str(), "" | "x86_64" | "i386" | "i486" | "i586" | "i686") {
            return Err(Error::ForeignMachine { machine });
        }
        if header.max_mapnr > phys::FRAME_END {
            return Err(Error::TooLarge {
                what: "max_mapnr",
                value: header.max_mapnr,
                most: phys::FRAME_END,
            });
        }
        Ok(header)
    }

    fn of<A: Number>(
        source: &impl ReadAt,
        block: &[u8],
        layout: &HeaderLayout<A>,
        sub_layout: &SubHeaderLayout<A>,
    ) -> Result<Self> {
        let version = get(block, layout.version);
        if version == 0 || version > VERSION {
            return Err(Error::Unsupported {
                field: "the version of the dump format",
                value: version.into(),
                wanted: "versions 1 to 6 are supported",
            });
        }
        let size = (sub_layout.size as u64).min(source.length());
        let sub = SubHeader {
            version,
            bytes: read_vec(source, "the sub-header", BLOCK as u64, size)?,
            layout: sub_layout,
        };
        let max_mapnr = get(block, layout.max_mapnr).into();
        Ok(Self {
            version,
            utsname: block[layout.utsname..layout.utsname + utsname::SIZE].to_vec(),
            seconds: get(block, layout.seconds).into(),
            status: get(block, layout.status),
            level: get(&sub.bytes, sub_layout.dump_level),
            phys_base: get(&sub.bytes, sub_layout.phys_base).into(),
            max_mapnr: if version >= 6 { get(&sub.bytes, sub_layout.max_mapnr_64) } else { max_mapnr },
            part: sub.part(),
            cpus: get(block, layout.cpus),
            manifest: block[manifest_place::START..]
                .starts_with(&manifest_place::MAGIC)
                .then(|| (get(block, manifest_place::OFFSET), get(block, manifest_place::SIZE))),
            sub_blocks: get(block, layout.sub_header_blocks).into(),
            bitmap_blocks: get(block, layout.bitmap_blocks).into(),
            notes: sub.notes(),
            erased: sub.since(5, sub_layout.erased, sub_layout.erased_size),
        })
    }
}

/// A sub-header. Fields that its version does not have may hold anything.
struct SubHeader<'a, A> {
    version: u32,
    bytes: Vec<u8>,
    layout: &'a SubHeaderLayout<A>,
}

impl<A: Number> SubHeader<'_, A> {
    /// The frames of a file of a split set.
    fn part(&self) -> Option<(u64, u64)> {
        let layout = self.layout;
        let is_split = self.version >= 2 && get(&self.bytes, layout.split) != 0;
        is_split.then(|| {
            if self.version >= 6 {
                (get(&self.bytes, layout.start_pfn_64), get(&self.bytes, layout.end_pfn_64))
            } else {
                (get(&self.bytes, layout.start_pfn).into(), get(&self.bytes, layout.end_pfn).into())
            }
        })
    }

    /// Offset and size of a part that there is since a version.
    fn since(&self, version: u32, offset: Field<u64>, size: Field<A>) -> (u64, u64) {
        if self.version < version {
            return (0, 0);
        }
        (get(&self.bytes, offset), get(&self.bytes, size).into())
    }

    /// The notes, or VMCOREINFO alone in older versions.
    fn notes(&self) -> NotesPlace {
        let layout = self.layout;
        let notes = self.since(4, layout.notes, layout.notes_size);
        let is_vmcoreinfo = notes.1 == 0;
        let (offset, size) =
            if is_vmcoreinfo { self.since(3, layout.vmcoreinfo, layout.vmcoreinfo_size) } else { notes };
        NotesPlace { offset, size, is_vmcoreinfo }
    }
}
