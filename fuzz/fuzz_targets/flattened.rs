//! Any bytes as a flattened stream: read as a file and written out as one, it has the same bytes.
#![no_main]

use std::io;
use std::sync::{Mutex, PoisonError};

use vmcore::{Flattened, ReadAt, WriteAt, rearrange};

/// The longest file that is written.
const MOST: u64 = 1 << 20;

#[derive(Default)]
struct Short(Mutex<Vec<u8>>);

impl WriteAt for Short {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let end = offset.checked_add(bytes.len() as u64).filter(|end| *end <= MOST);
        let end = end.and_then(|end| usize::try_from(end).ok()).ok_or(io::ErrorKind::StorageFull)?;
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let size = file.len().max(end);
        file.resize(size, 0);
        file[end - bytes.len()..end].copy_from_slice(bytes);
        Ok(())
    }
}

fn whole(file: &impl ReadAt) -> Vec<u8> {
    let mut bytes = vec![0; usize::try_from(file.length()).unwrap_or(0)];
    let mut done = 0;
    while let Ok(count @ 1..) = file.read_at(done as u64, &mut bytes[done..]) {
        done += count;
    }
    assert_eq!(done, bytes.len());
    bytes
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let file = Short::default();
    let (stream, written) = (Flattened::open(bytes), rearrange(bytes, &file));
    let Ok(written) = written else { return };
    let stream = match stream {
        Ok(stream) => stream,
        Err(error) => panic!("it was written, but cannot be read: {error}"),
    };
    assert_eq!(stream.is_cut_off(), written.cut_off.is_some());
    let file = file.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    assert_eq!((stream.length(), file.len() as u64), (written.length, written.length));
    // The header of a stream that is cut off was marked.
    if !stream.is_cut_off() {
        assert!(whole(&stream) == file);
    }
});
