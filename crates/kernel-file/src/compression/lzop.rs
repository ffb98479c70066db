//! The file format of lzop: a header, then blocks of LZO1X, each with its sizes and checksums.
//! Numbers are big-endian. There is no specification; the fields are those that
//! `lib/decompress_unlzo.c` of Linux reads and lzop writes.

use std::io;

use super::{Sink, broken, ends_early};

/// The first bytes.
pub(super) const MAGIC: &[u8] = b"\x89LZO\0\r\n\x1a\n";

/// Limit of the uncompressed size of a block, as in lzop.
const BLOCK_LIMIT: u32 = 64 << 20;
/// Since this version the header has the version needed to extract, the compression level and the
/// upper half of the time.
const LONG_HEADER: u16 = 0x0940;

/// Bits of the header's flags.
mod flag {
    pub(super) const ADLER_OF_DATA: u32 = 1 << 0;
    pub(super) const ADLER_OF_PACKED: u32 = 1 << 1;
    pub(super) const EXTRA_FIELD: u32 = 1 << 6;
    pub(super) const CRC_OF_DATA: u32 = 1 << 8;
    pub(super) const CRC_OF_PACKED: u32 = 1 << 9;
    pub(super) const MULTIPART: u32 = 1 << 10;
    pub(super) const FILTER: u32 = 1 << 11;
}

/// Decompresses a file.
pub(super) fn file(data: &[u8], sink: &mut Sink<'_>) -> io::Result<()> {
    let mut reader = Reader { rest: data };
    let flags = header(&mut reader)?;
    loop {
        let length = reader.u32()?;
        if length == 0 {
            return Ok(());
        }
        block(&mut reader, flags, length, sink)?;
    }
}

fn header(reader: &mut Reader<'_>) -> io::Result<u32> {
    if reader.bytes(MAGIC.len())? != MAGIC {
        return Err(broken("not made by lzop"));
    }
    let version = reader.u16()?;
    let is_long = version >= LONG_HEADER;
    // Version of the library, version needed to extract.
    reader.bytes(if is_long { 4 } else { 2 })?;
    let method = reader.u8()?;
    if !(1..=3).contains(&method) {
        return Err(broken(format!("method {method} is not LZO1X")));
    }
    reader.bytes(usize::from(is_long))?;
    let flags = reader.u32()?;
    if flags & (flag::MULTIPART | flag::EXTRA_FIELD | flag::FILTER) != 0 {
        return Err(broken(format!("flags {flags:#x} require more than LZO1X")));
    }
    // Mode and time of the file, its name, and a checksum of the header.
    reader.bytes(if is_long { 12 } else { 8 })?;
    let name = reader.u8()?;
    reader.bytes(name.into())?;
    reader.u32()?;
    Ok(flags)
}

fn block(reader: &mut Reader<'_>, flags: u32, length: u32, sink: &mut Sink<'_>) -> io::Result<()> {
    let packed_length = reader.u32()?;
    if length > BLOCK_LIMIT || packed_length > length {
        return Err(broken(format!("a block of {packed_length} bytes for {length}")));
    }
    let is_packed = packed_length < length;
    let adler = if flags & flag::ADLER_OF_DATA != 0 { Some(reader.u32()?) } else { None };
    let others = [
        flags & flag::CRC_OF_DATA != 0,
        is_packed && flags & flag::ADLER_OF_PACKED != 0,
        is_packed && flags & flag::CRC_OF_PACKED != 0,
    ];
    reader.bytes(4 * others.iter().filter(|&&there| there).count())?;
    let packed = reader.bytes(packed_length as usize)?;
    if !is_packed {
        return check_and_put(packed, adler, sink);
    }
    // LZO1X expands a byte to at most 255, so a small block cannot request much memory.
    if u64::from(length) > 256 * u64::from(packed_length) + 256 {
        return Err(broken(format!("{packed_length} bytes cannot be {length}")));
    }
    let data = lzo::decompress(packed, length as usize).map_err(|error| broken(error.to_string()))?;
    if data.len() != length as usize {
        return Err(broken(format!("a block has {} bytes in place of {length}", data.len())));
    }
    check_and_put(&data, adler, sink)
}

fn check_and_put(data: &[u8], expected: Option<u32>, sink: &mut Sink<'_>) -> io::Result<()> {
    if expected.is_some_and(|expected| adler32(data) != expected) {
        return Err(broken("a block does not match its checksum"));
    }
    sink.put(data)
}

/// RFC 1950, section 8.2.
fn adler32(data: &[u8]) -> u32 {
    const MODULUS: u32 = 65521;
    let (mut a, mut b) = (1_u32, 0_u32);
    // The largest number of bytes for which the sums do not overflow.
    for chunk in data.chunks(5552) {
        for &byte in chunk {
            a += u32::from(byte);
            b += a;
        }
        a %= MODULUS;
        b %= MODULUS;
    }
    b << 16 | a
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, size: usize) -> io::Result<&'a [u8]> {
        let (bytes, rest) = self.rest.split_at_checked(size).ok_or_else(ends_early)?;
        self.rest = rest;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        self.bytes(N)?.try_into().map_err(|_| ends_early())
    }

    fn u8(&mut self) -> io::Result<u8> {
        self.array().map(u8::from_be_bytes)
    }

    fn u16(&mut self) -> io::Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    fn u32(&mut self) -> io::Result<u32> {
        self.array().map(u32::from_be_bytes)
    }
}
