//! The blocks before the descriptors, and the manifest.

use super::layout::DumpLayout;
use crate::format::field::{self, put_bytes};
use crate::format::kdump::{BLOCK, MAGIC, VERSION, WIDE_HEADER, WIDE_SUB_HEADER, manifest_place, utsname};
use crate::format::manifest::{Manifest, add_block};
use crate::kernel::notes;
use crate::kernel::paging::AddressSpace;
use crate::write::{Pages, Settings, Written, put};
use crate::{DumpSource, Result, Vmcoreinfo, WriteAt};

/// The blocks before the descriptors.
pub(super) struct Head<'a> {
    pub(super) image: &'a dyn DumpSource,
    pub(super) info: &'a Vmcoreinfo,
    pub(super) layout: &'a DumpLayout,
    pub(super) pages: &'a Pages<'a>,
    pub(super) settings: &'a Settings,
}

impl Head<'_> {
    /// The header block, for a given status, and place and size of the manifest.
    pub(super) fn header(&self) -> impl Fn(u32, Option<(u64, u64)>) -> Vec<u8> + use<> {
        let (image, layout) = (self.image, self.layout);
        let mut header = vec![0; BLOCK];
        put_bytes(&mut header, 0, &MAGIC);
        field::put(&mut header, WIDE_HEADER.version, VERSION);
        put_bytes(&mut header, WIDE_HEADER.utsname, &names(image, self.info));
        let time = self.info.text("CRASHTIME").and_then(|seconds| seconds.parse().ok());
        let time = time.or(image.origin().map(|origin| origin.seconds));
        field::put(&mut header, WIDE_HEADER.seconds, time.unwrap_or(0));
        field::put(&mut header, WIDE_HEADER.block_size, saturated(BLOCK as u64));
        field::put(&mut header, WIDE_HEADER.sub_header_blocks, saturated(layout.sub_blocks));
        field::put(&mut header, WIDE_HEADER.bitmap_blocks, saturated(2 * layout.bitmap_blocks));
        field::put(&mut header, WIDE_HEADER.max_mapnr, saturated(layout.max_mapnr));
        // Readers require at least one CPU.
        field::put(&mut header, WIDE_HEADER.cpus, notes::cpus(image.notes()).max(1));
        let codec = self.settings.compression.codec().flag();
        move |status, manifest| {
            let mut block = header.clone();
            field::put(&mut block, WIDE_HEADER.status, status | codec);
            if let Some((offset, size)) = manifest {
                put_bytes(&mut block, manifest_place::START, &manifest_place::MAGIC);
                field::put(&mut block, manifest_place::OFFSET, offset);
                field::put(&mut block, manifest_place::SIZE, size);
            }
            block
        }
    }

    /// The blocks of the sub-header, of the notes, and of the commands that erased data. There may
    /// be many notes, so they are not copied as a whole.
    pub(super) fn sub_header(&self) -> impl Iterator<Item = Vec<u8>> + '_ {
        let start = self.start_of_sub_header();
        let size = start.len() + self.image.notes().len() + self.image.erased().len();
        (0..size).step_by(BLOCK).map(move |from| {
            let (mut block, mut skipped) = (Vec::with_capacity(BLOCK), from);
            for part in [&start, self.image.notes(), self.image.erased()] {
                let room = BLOCK - block.len();
                block.extend(part.iter().skip(skipped).take(room));
                skipped = skipped.saturating_sub(part.len());
            }
            block.resize(BLOCK, 0);
            block
        })
    }

    fn start_of_sub_header(&self) -> Vec<u8> {
        let (image, layout) = (self.image, self.layout);
        let all = image.notes();
        let sub = WIDE_SUB_HEADER;
        let at = (BLOCK + sub.size) as u64;
        let mut bytes = vec![0; sub.size];
        let phys_base = self.info.number("phys_base").ok().map(i64::cast_unsigned);
        let phys_base = phys_base.or(image.origin().map(|origin| origin.phys_base)).unwrap_or(0);
        field::put(&mut bytes, sub.phys_base, phys_base);
        // Pages that an earlier dump excluded are excluded from this one, too.
        let earlier = image.origin().map_or(0, |origin| origin.level);
        field::put(&mut bytes, sub.dump_level, earlier | u32::from(self.settings.level.number()));
        if let Some((from, to, _)) = self.pages.part {
            field::put(&mut bytes, sub.split, 1);
            for (field, frame) in
                [(sub.start_pfn, from), (sub.end_pfn, to), (sub.start_pfn_64, from), (sub.end_pfn_64, to)]
            {
                field::put(&mut bytes, field, frame);
            }
        }
        if let Some(note) = notes::vmcoreinfo(all) {
            field::put(&mut bytes, sub.vmcoreinfo, at + note.offset as u64);
            field::put(&mut bytes, sub.vmcoreinfo_size, note.contents.len() as u64);
        }
        field::put(&mut bytes, sub.notes, at);
        field::put(&mut bytes, sub.notes_size, all.len() as u64);
        if !image.erased().is_empty() {
            field::put(&mut bytes, sub.erased, at + all.len() as u64);
            field::put(&mut bytes, sub.erased_size, image.erased().len() as u64);
        }
        field::put(&mut bytes, sub.max_mapnr_64, layout.max_mapnr);
        bytes
    }

    /// Writes the manifest and the final header; returns the length of the file.
    pub(super) fn seal(
        &self,
        status: u32,
        written: &Written,
        descriptors: u64,
        end: u64,
        out: &impl WriteAt,
    ) -> Result<u64> {
        let layout = self.layout;
        let mut statistics = self.pages.statistics.clone();
        statistics.insert("zero_pages".to_owned(), written.zero_pages);
        statistics.insert("missing_pages".to_owned(), written.missing);
        for (codec, count) in &written.stored {
            statistics.insert(format!("stored_{}", codec.name()), *count);
        }
        let mut manifest =
            Manifest { table: layout.table, entries: layout.units, descriptors, head: 0, statistics };
        // The header depends on the text's length, which does not depend on the checksum.
        let header = self.header()(status, Some((end, manifest.text().len() as u64)));
        manifest.head = self.head_sum(&header);
        let text = manifest.text();
        put(out, end, text.as_bytes())?;
        put(out, 0, &header)?;
        Ok(end + text.len() as u64)
    }

    /// The checksum of all blocks before the descriptors.
    fn head_sum(&self, header: &[u8]) -> u64 {
        let mut seed = add_block(0, header);
        for block in self.sub_header() {
            seed = add_block(seed, &block);
        }
        for set in [self.image.ram(), self.pages.bitmap()] {
            let mut chunks = set.chunks().peekable();
            for number in 0..self.layout.bitmap_blocks {
                // Most blocks of a large memory have no frame.
                seed = match chunks.next_if(|(found, _)| *found == number) {
                    Some((_, chunk)) => add_block(seed, &chunk.to_bytes()),
                    None => add_block(seed, &[0; BLOCK]),
                };
            }
        }
        add_block(seed, &[0; BLOCK])
    }
}

fn saturated(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// The kernel's own `struct utsname` if it can be found, else as much of it as is known.
fn names(image: &dyn DumpSource, info: &Vmcoreinfo) -> Vec<u8> {
    let from_memory = || -> Result<Vec<u8>> {
        let address = info.symbol("init_uts_ns")?.wrapping_add(info.offset("uts_namespace.name")? as u64);
        let mut names = vec![0; utsname::SIZE];
        AddressSpace::of_kernel(info)?.read(image, address, &mut names)?;
        Ok(names)
    };
    // Names that an earlier dump has may have been erased from this one.
    let old = || image.origin().filter(|_| image.erased().is_empty()).map(|origin| origin.utsname.to_vec());
    from_memory()
        .ok()
        .filter(|names| names.starts_with(b"Linux\0"))
        .or_else(old)
        .unwrap_or_else(|| known_names(info))
}

fn known_names(info: &Vmcoreinfo) -> Vec<u8> {
    let mut names = vec![0; utsname::SIZE];
    put_bytes(&mut names, utsname::SYSTEM, b"Linux");
    // libkdumpfile does not recognise the architecture if release or version is empty.
    let release = info.text("OSRELEASE").unwrap_or("unknown").as_bytes();
    put_bytes(&mut names, utsname::RELEASE, &release[..release.len().min(utsname::STRING - 1)]);
    put_bytes(&mut names, utsname::VERSION, b"unknown");
    put_bytes(&mut names, utsname::MACHINE, b"x86_64");
    names
}
