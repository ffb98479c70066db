//! Flattened streams: written, read as a file, and written out as one.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use proptest::prelude::*;
use support::MemoryFile;
use vmcore::{Flattened, Flattener, ReadAt, Rearranged, WriteAt, rearrange};

fn stream(records: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let flattener = Flattener::new(Vec::new());
    records.iter().for_each(|(offset, bytes)| flattener.write_at(*offset, bytes).unwrap());
    flattener.finish().unwrap()
}

/// All bytes of a file.
fn whole(file: &impl ReadAt) -> Vec<u8> {
    let mut bytes = vec![1; usize::try_from(file.length()).unwrap()];
    let mut done = 0;
    while done < bytes.len() {
        let count = file.read_at(done as u64, &mut bytes[done..]).unwrap();
        assert!(count > 0);
        done += count;
    }
    bytes
}

proptest! {
    #[test]
    fn the_later_of_two_records_counts(
        records in prop::collection::vec((0_u64..60, prop::collection::vec(any::<u8>(), 0..30)), 0..12)
    ) {
        let (mut model, mut is_stored) = (Vec::new(), [false; 90]);
        for (offset, bytes) in &records {
            let from = usize::try_from(*offset).unwrap();
            let to = from + bytes.len();
            if !bytes.is_empty() {
                model.resize(model.len().max(to), 0);
                model[from..to].copy_from_slice(bytes);
                is_stored[from..to].fill(true);
            }
        }
        let flattened = Flattened::open(stream(&records)).unwrap();
        prop_assert_eq!(flattened.length(), model.len() as u64);
        prop_assert_eq!(flattened.stored(), is_stored.iter().filter(|stored| **stored).count() as u64);
        prop_assert_eq!(&whole(&flattened), &model);
        let file = MemoryFile::new();
        let rearranged = Rearranged { length: model.len() as u64, cut_off: None };
        prop_assert_eq!(rearrange(stream(&records).as_slice(), &file).unwrap(), rearranged);
        prop_assert_eq!(file.bytes(), model);
    }
}

#[test]
fn of_a_stream_that_is_cut_off_the_beginning_is_used() {
    let whole_stream = stream(&[(0, vec![1; 100]), (200, vec![2; 100])]);
    for (length, there) in [(4113, 1), (4150, 38), (4212, 100), (4235, 207), (whole_stream.len() - 1, 300)] {
        let flattened = Flattened::open(&whole_stream[..length]).unwrap();
        assert!(flattened.is_cut_off());
        let file = MemoryFile::new();
        let rearranged = rearrange(&whole_stream[..length], &file).unwrap();
        assert_eq!(rearranged, Rearranged { length: there, cut_off: Some(length as u64) });
        assert_eq!(whole(&flattened), file.bytes());
    }
    for length in [0, 20, 4096, 4100, 4112] {
        assert!(Flattened::open(&whole_stream[..length]).is_err(), "{length}");
        assert!(rearrange(&whole_stream[..length], &MemoryFile::new()).is_err(), "{length}");
    }
    // Without its header, a file is of no use.
    let headless = stream(&[(200, vec![2; 100])]);
    let message = "the flattened stream is cut off after 4212 bytes, before anything of use";
    assert_eq!(Flattened::open(&headless[..4212]).map(|_| ()).unwrap_err().to_string(), message);
    assert_eq!(rearrange(&headless[..4212], &MemoryFile::new()).unwrap_err().to_string(), message);
}

#[test]
fn the_header_that_was_announced_takes_the_place_of_one_that_never_arrived() {
    let flattener = Flattener::new(Vec::new());
    flattener.announce(&[7; 64]).unwrap();
    flattener.write_at(100, &[2; 100]).unwrap();
    flattener.write_at(0, &[9; 64]).unwrap();
    let stream = flattener.finish().unwrap();
    assert_eq!(whole(&Flattened::open(stream.as_slice()).unwrap())[..64], [9; 64]);
    // The header's record starts at 4212.
    for length in [4150, 4212, 4220, 4230, 4240] {
        let flattened = Flattened::open(&stream[..length]).unwrap();
        assert_eq!(whole(&flattened)[..64], [7; 64], "{length}");
        let file = MemoryFile::new();
        rearrange(&stream[..length], &file).unwrap();
        assert_eq!(whole(&flattened), file.bytes());
    }
}
