//! The kdump-compressed format, versions 1 to 6, as makedumpfile inherited it from diskdump.
//!
//! ```text
//! block 0     header            utsname, time, status, block size, number of bitmap blocks, highest frame
//! block 1..   sub-header        phys_base, part of a split set, where the notes are; then the notes
//!             first bitmap      frames that are memory
//!             second bitmap     frames that are in the dump
//!             page descriptors  24 bytes for each frame in the dump, in order
//!             page data         anywhere after them
//! ```
//!
//! `bitmap_blocks` counts both bitmaps together. All numbers are little-endian here, as on x86. The
//! headers come in two widths: those of a 64-bit kernel, and those of i386, whose `long` has 4
//! bytes and whose 64-bit numbers are aligned to 4 bytes.
//!
//! Source: makedumpfile's `diskdump_mod.h` and `IMPLEMENTATION`; crash's `diskdump.h`.

use abi::Field;

/// The first bytes of a dump.
pub(crate) const MAGIC: [u8; 8] = *b"KDUMP   ";
/// The version that is written.
pub(crate) const VERSION: u32 = 6;
/// The only page size of x86, which is the block size too.
pub(crate) const BLOCK: usize = 4096;

/// Bits of the status word. The others are the flags of codecs.
pub(crate) mod status {
    /// The dump was cut short (makedumpfile's `DUMP_DH_COMPRESSED_INCOMPLETE`).
    pub(crate) const INCOMPLETE: u32 = 8;
}

/// The kernel's `struct utsname` in the header: six strings.
pub(crate) mod utsname {
    /// Bytes of one string, its final zero included.
    pub(crate) const STRING: usize = 65;
    /// Bytes of all of them.
    pub(crate) const SIZE: usize = 6 * STRING;
    /// Where the name of the system starts.
    pub(crate) const SYSTEM: usize = 0;
    /// Where the release starts.
    pub(crate) const RELEASE: usize = 2 * STRING;
    /// Where the version starts, with number and date of the build.
    pub(crate) const VERSION: usize = 3 * STRING;
    /// Where the name of the architecture starts.
    pub(crate) const MACHINE: usize = 4 * STRING;

    /// The string that starts at `at`.
    pub(crate) fn string(utsname: &[u8], at: usize) -> String {
        let bytes = utsname.get(at..at + STRING).unwrap_or_default();
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    }
}

/// The header. `A` is the kernel's `long`.
#[derive(Clone, Copy)]
pub(crate) struct HeaderLayout<A> {
    pub(crate) version: Field<u32>,
    /// Offset of [`utsname`].
    pub(crate) utsname: usize,
    /// Seconds since 1970.
    pub(crate) seconds: Field<A>,
    /// See [`status`].
    pub(crate) status: Field<u32>,
    pub(crate) block_size: Field<u32>,
    pub(crate) sub_header_blocks: Field<u32>,
    pub(crate) bitmap_blocks: Field<u32>,
    /// Since version 6, the sub-header's number is used in its place.
    pub(crate) max_mapnr: Field<u32>,
    pub(crate) cpus: Field<u32>,
}

/// The header of a 64-bit kernel.
pub(crate) const WIDE_HEADER: HeaderLayout<u64> = HeaderLayout {
    version: Field::at(8),
    utsname: 12,
    seconds: Field::at(408),
    status: Field::at(424),
    block_size: Field::at(428),
    sub_header_blocks: Field::at(432),
    bitmap_blocks: Field::at(436),
    max_mapnr: Field::at(440),
    cpus: Field::at(460),
};

/// The header of i386.
pub(crate) const NARROW_HEADER: HeaderLayout<u32> = HeaderLayout {
    version: Field::at(8),
    utsname: 12,
    seconds: Field::at(404),
    status: Field::at(412),
    block_size: Field::at(416),
    sub_header_blocks: Field::at(420),
    bitmap_blocks: Field::at(424),
    max_mapnr: Field::at(428),
    cpus: Field::at(448),
};

/// Where kjump's manifest is: in the header's block, after all fields of the format.
pub(crate) mod manifest_place {
    use abi::Field;

    /// Precedes the place.
    pub(crate) const MAGIC: [u8; 8] = *b"kjump  1";
    /// Offset of [`MAGIC`].
    pub(crate) const START: usize = 1024;
    /// Offset of the manifest in the file.
    pub(crate) const OFFSET: Field<u64> = Field::at(START + 8);
    /// Bytes of the manifest.
    pub(crate) const SIZE: Field<u64> = Field::at(START + 16);
}

/// The sub-header, in the blocks after the header. `A` is the kernel's `long`.
#[derive(Clone, Copy)]
pub(crate) struct SubHeaderLayout<A> {
    pub(crate) phys_base: Field<A>,
    pub(crate) dump_level: Field<u32>,
    /// 1 in a file of a split set, since version 2.
    pub(crate) split: Field<u32>,
    /// First frame of a file of a split set; since version 6 see `start_pfn_64`.
    pub(crate) start_pfn: Field<A>,
    /// Frame after the last one of a file of a split set.
    pub(crate) end_pfn: Field<A>,
    /// Offset of VMCOREINFO's text, since version 3.
    pub(crate) vmcoreinfo: Field<u64>,
    pub(crate) vmcoreinfo_size: Field<A>,
    /// Offset of the ELF notes, since version 4.
    pub(crate) notes: Field<u64>,
    pub(crate) notes_size: Field<A>,
    /// Offset of the commands that erased data, one a line, since version 5.
    pub(crate) erased: Field<u64>,
    pub(crate) erased_size: Field<A>,
    pub(crate) start_pfn_64: Field<u64>,
    pub(crate) end_pfn_64: Field<u64>,
    /// Number of the frame after the highest one, since version 6.
    pub(crate) max_mapnr_64: Field<u64>,
    /// Bytes of the sub-header; the notes follow.
    pub(crate) size: usize,
}

/// The sub-header of a 64-bit kernel.
pub(crate) const WIDE_SUB_HEADER: SubHeaderLayout<u64> = SubHeaderLayout {
    phys_base: Field::at(0),
    dump_level: Field::at(8),
    split: Field::at(12),
    start_pfn: Field::at(16),
    end_pfn: Field::at(24),
    vmcoreinfo: Field::at(32),
    vmcoreinfo_size: Field::at(40),
    notes: Field::at(48),
    notes_size: Field::at(56),
    erased: Field::at(64),
    erased_size: Field::at(72),
    start_pfn_64: Field::at(80),
    end_pfn_64: Field::at(88),
    max_mapnr_64: Field::at(96),
    size: 104,
};

/// The sub-header of i386.
pub(crate) const NARROW_SUB_HEADER: SubHeaderLayout<u32> = SubHeaderLayout {
    phys_base: Field::at(0),
    dump_level: Field::at(4),
    split: Field::at(8),
    start_pfn: Field::at(12),
    end_pfn: Field::at(16),
    vmcoreinfo: Field::at(20),
    vmcoreinfo_size: Field::at(28),
    notes: Field::at(32),
    notes_size: Field::at(40),
    erased: Field::at(44),
    erased_size: Field::at(52),
    start_pfn_64: Field::at(56),
    end_pfn_64: Field::at(64),
    max_mapnr_64: Field::at(72),
    size: 80,
};

// Both end with the same field; the last three come after the commands that erased data.
const _: () = {
    let (wide, narrow) = (WIDE_SUB_HEADER, NARROW_SUB_HEADER);
    assert!(wide.max_mapnr_64.end() == wide.size && narrow.max_mapnr_64.end() == narrow.size);
    assert!(wide.notes_size.end() == wide.erased.offset());
    assert!(wide.erased_size.end() == wide.start_pfn_64.offset());
    assert!(narrow.notes_size.end() == narrow.erased.offset());
    assert!(narrow.erased_size.end() == narrow.start_pfn_64.offset());
    // The time stamp is a `struct timeval`.
    let (wide, narrow) = (WIDE_HEADER, NARROW_HEADER);
    assert!(wide.seconds.offset() + 16 == wide.status.offset());
    assert!(narrow.seconds.offset() + 8 == narrow.status.offset());
    assert!(wide.cpus.end() <= manifest_place::START && narrow.cpus.end() <= manifest_place::START);
    assert!(wide.utsname + utsname::SIZE <= narrow.seconds.offset());
};

/// A page descriptor.
pub(crate) mod descriptor {
    use abi::Field;

    /// Where the page's data is in the file; 0 if the page is missing.
    pub(crate) const OFFSET: Field<u64> = Field::at(0);
    /// Bytes of the data.
    pub(crate) const DATA_SIZE: Field<u32> = Field::at(8);
    /// The codec's flag.
    pub(crate) const FLAGS: Field<u32> = Field::at(12);
    /// Bytes of a descriptor. The last 8 are flags of the page, always 0.
    pub(crate) const SIZE: usize = 24;
}
