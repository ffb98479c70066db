//! Any bytes as the start of a disk image, and any memory map of a firmware: a disk that INT 13h
//! can describe and a map that fits, or an error.
#![no_main]

use firmware::disk::{Disk, Kind, SECTOR};
use firmware::e820::Range;
use firmware::need::Facts;
use firmware::program::{self, Ended, Memory, Program};

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let Some((size, bytes)) = bytes.split_first_chunk::<8>() else { return };
    let wanted = [None, Some(Kind::Floppy), Some(Kind::HardDisk)][usize::from(choice % 3)];
    let size = if choice & 0x80 != 0 { number(size) } else { (number(size) & 0xffff_ffff) * SECTOR };
    let mut sector = bytes[..bytes.len().min(512)].to_vec();
    if choice & 0x40 != 0 {
        sector.resize(512, 0);
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
    }
    let Ok(disk) = Disk::of(&sector, size, wanted) else { return };
    assert!((1..=1024).contains(&disk.cylinders) && (1..=63).contains(&disk.track));
    assert!((1..=255).contains(&disk.heads) && disk.sectors * SECTOR == size);
    let ranges = bytes.chunks_exact(17).map(|chunk| Range {
        start: number(chunk),
        length: number(&chunk[8..]),
        kind: u32::from(chunk[16]),
    });
    let firmware: Vec<Range> = ranges.collect();
    if let Ok(memory) = Memory::new(&firmware, number(bytes)) {
        let deadline = number(bytes);
        let program = Program { disk: &disk, memory: &memory, kept: 0, contents: 0, deadline };
        let block = program::render(&Facts::default(), &program);
        assert!(Ended::read(&block).is_some());
    }
    let _ = Ended::read(bytes).map(|ended| ended.end());
});
