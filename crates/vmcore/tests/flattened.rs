//! Flattened streams: written, read as a file, and written out as one.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

use proptest::prelude::*;
use support::MemoryFile;
use vmcore::{Flattened, Flattener, ReadAt, WriteAt, rearrange};

fn stream(records: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let flattener = Flattener::new(Vec::new()).unwrap();
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
        prop_assert_eq!(rearrange(stream(&records).as_slice(), &file).unwrap(), model.len() as u64);
        prop_assert_eq!(file.bytes(), model);
    }
}

#[test]
fn a_stream_cut_short_is_refused() {
    let whole = stream(&[(0, vec![1; 100])]);
    for length in [0, 20, 4096, 4100, 4150, whole.len() - 1] {
        assert!(Flattened::open(&whole[..length]).is_err(), "{length}");
        assert!(rearrange(&whole[..length], &MemoryFile::new()).is_err(), "{length}");
    }
}
