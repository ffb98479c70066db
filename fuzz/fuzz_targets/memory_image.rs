//! Any bytes as a memory image: an error, or an image whose pages can be read, selected and written
//! again.
#![no_main]

use std::collections::BTreeMap;
use std::io;

use vmcore::codec::{Codec, Effort};
use vmcore::select::{Level, WriteOrder};
use vmcore::write::{Compression, Pages, Progress, Settings, write_kdump};
use vmcore::{MemoryImage, PhysRead, WriteAt, log_buffer, select};

/// Pages to read at most: an image may claim to have any number.
const MOST: usize = 200;
/// No dump is written of an image that ends beyond this page (1 TiB): a dump has a bit for each
/// page up to its end.
const LAST: u64 = 1 << 28;

struct Nowhere;

impl WriteAt for Nowhere {
    fn write_at(&self, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}

libfuzzer_sys::fuzz_target!(|file: &[u8]| {
    let Ok(image) = MemoryImage::open(file) else { return };
    let mut page = [0; 4096];
    for number in image.present().iter().take(MOST) {
        let _ = image.read_phys(number.address().get(), &mut page);
    }
    let _ = image.check_sums(|_| {});
    let info = image.vmcoreinfo().unwrap_or_default();
    let _ = log_buffer::records(&image, &info);
    if image.present().count() > MOST as u64 || image.ram().end() > LAST {
        return;
    }
    let level = Level::new(31).unwrap_or_default();
    let selection = select(&image, image.present(), image.vmcoreinfo(), level, WriteOrder::ByNeed, 1);
    let settings = Settings {
        compression: Compression::Fixed(Effort::usual(Codec::Lzo)),
        level,
        threads: 1,
        incomplete: false,
    };
    let statistics = BTreeMap::new();
    let first = selection.vital.in_order();
    let pages = Pages { kept: &selection.kept, first: &first, part: None, statistics: &statistics };
    let _ = write_kdump(&image, &pages, &settings, &Nowhere, &Progress::default());
});
