//! Writing a flattened stream out as the file that it describes.

use std::io::Read;

use crate::format::flattened::{HEADER_SIZE, RECORD_SIZE, Record, check_header};
use crate::{Error, Result, WriteAt};

/// Writes the records of a flattened stream to their places as they arrive; returns the length of
/// the file.
///
/// # Errors
/// The stream cannot be read, is something else or ends early, or the destination cannot be
/// written.
pub fn rearrange(mut stream: impl Read, to: &impl WriteAt) -> Result<u64> {
    let mut at = 0;
    let mut header = vec![0; HEADER_SIZE];
    read_exact(&mut stream, &mut at, &mut header)?;
    check_header(&header)?;
    let mut buffer = vec![0; 1 << 20];
    let mut length = 0;
    loop {
        let start = at;
        let mut head = [0; RECORD_SIZE];
        read_exact(&mut stream, &mut at, &mut head)?;
        let record = Record::from_bytes(&head);
        if record.is_last() {
            return Ok(length);
        }
        let (mut goal, mut left) = (record.offset, record.size);
        let beyond =
            Error::Flattened { offset: start, reason: "a record's place is beyond the largest file" };
        let end = goal.checked_add(left).filter(|end| i64::try_from(*end).is_ok()).ok_or(beyond)?;
        while left > 0 {
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let part = &mut buffer[..count];
            read_exact(&mut stream, &mut at, part)?;
            to.write_at(goal, part).map_err(|source| Error::Write { offset: goal, size: count, source })?;
            goal += count as u64;
            left -= count as u64;
        }
        length = length.max(end);
    }
}

fn read_exact(stream: &mut impl Read, at: &mut u64, buffer: &mut [u8]) -> Result<()> {
    let (offset, size) = (*at, buffer.len());
    *at += size as u64;
    let what = "a flattened stream";
    stream.read_exact(buffer).map_err(|source| Error::Read { what, offset, size, source })
}
