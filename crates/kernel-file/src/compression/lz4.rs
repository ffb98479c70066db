//! LZ4 in its two file formats: <https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md>.

use std::io::{self, Read};

use super::{Sink, broken, ends_early};

/// The first word of a legacy file. Files may be concatenated, so it may also appear in place of a
/// block size.
const LEGACY_MAGIC: u32 = 0x184c_2102;
/// Limit of the uncompressed size of a legacy block.
const LEGACY_BLOCK: usize = 8 << 20;

/// Decompresses one frame, and returns the bytes after it.
pub(super) fn frame<'a>(data: &'a [u8], sink: &mut Sink<'_>) -> io::Result<&'a [u8]> {
    // The decoder accepts a frame without its end mark, unless reading further is an error.
    let mut decoder = lz4_flex::frame::FrameDecoder::new(data.chain(End));
    sink.fill(&mut decoder)?;
    let (rest, End) = decoder.into_inner().into_inner();
    Ok(rest)
}

/// A reader at the end of the data, which fails.
struct End;

impl Read for End {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the data ends early"))
    }
}

/// Decompresses a legacy file, which is sizes and blocks to its end. The kernel's build appends the
/// total size as a last word.
pub(super) fn legacy(data: &[u8], sink: &mut Sink<'_>) -> io::Result<()> {
    let mut rest = data;
    let mut block = vec![0; LEGACY_BLOCK];
    while let Some((size, after)) = rest.split_first_chunk() {
        let size = u32::from_le_bytes(*size);
        rest = after;
        if size == LEGACY_MAGIC || (rest.is_empty() && u64::from(size) == sink.length) {
            continue;
        }
        let (packed, after) = rest.split_at_checked(size as usize).ok_or_else(ends_early)?;
        let length = lz4_flex::block::decompress_into(packed, &mut block)
            .map_err(|error| broken(error.to_string()))?;
        sink.put(block.get(..length).unwrap_or(&[]))?;
        rest = after;
    }
    if rest.is_empty() { Ok(()) } else { Err(ends_early()) }
}
