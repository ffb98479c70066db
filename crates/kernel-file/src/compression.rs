//! Compression of whole files, and of data in other files.
//!
//! Decompression is bounded by the caller's limit on the output, and by a limit on the dictionary
//! that a file may request. Bytes after the compressed data are ignored, as by the usual tools.

mod lz4;
mod lzop;

use std::fmt;
use std::io::{self, Read};

use crate::Error;

/// Limit of the dictionary in bytes: the largest that the kernel's build uses (128 MiB, by
/// `scripts/xz_wrap.sh` and `zstd --ultra -22`).
const DICTIONARY_LIMIT: u64 = 128 << 20;

/// A compression format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
    /// The .xz file format.
    Xz,
    /// The older .lzma file format.
    Lzma,
    /// The LZ4 frame format.
    Lz4,
    /// The LZ4 legacy frame format, which the kernel's build uses (`lz4 -l`).
    Lz4Legacy,
    /// bzip2.
    Bzip2,
    /// The file format of lzop, which the kernel's build uses.
    Lzo,
}

impl Compression {
    /// The format that the first bytes of a file indicate, if any.
    #[must_use]
    pub fn recognise(file: &[u8]) -> Option<Self> {
        let magics: [(&[u8], Self); 6] = [
            (b"\x1f\x8b\x08", Self::Gzip),
            (b"\x28\xb5\x2f\xfd", Self::Zstd),
            (b"\xfd7zXZ\0", Self::Xz),
            (b"\x04\x22\x4d\x18", Self::Lz4),
            (b"\x02\x21\x4c\x18", Self::Lz4Legacy),
            (lzop::MAGIC, Self::Lzo),
        ];
        let by_magic = magics.iter().find(|(magic, _)| file.starts_with(magic)).map(|&(_, found)| found);
        by_magic
            .or_else(|| is_bzip2(file).then_some(Self::Bzip2))
            .or_else(|| is_lzma(file).then_some(Self::Lzma))
    }

    /// The format by its name in the kernel's build (`comp_type` of an EFI zboot image).
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "gzip" => Some(Self::Gzip),
            "zstd" | "zstd22" => Some(Self::Zstd),
            "xzkern" | "xz" => Some(Self::Xz),
            "lzma" => Some(Self::Lzma),
            "lz4" => Some(Self::Lz4Legacy),
            "bzip2" => Some(Self::Bzip2),
            "lzo" => Some(Self::Lzo),
            _ => None,
        }
    }

    /// Decompresses the data.
    ///
    /// # Errors
    /// [`Error::Compressed`] if the data is damaged, truncated or needs too large a dictionary;
    /// [`Error::TooLarge`] if the output exceeds `limit` bytes.
    pub fn decompress(self, data: &[u8], limit: u64) -> Result<Vec<u8>, Error> {
        self.decompress_part(data, limit).map(|(bytes, _)| bytes)
    }

    /// Decompresses the data, and returns the bytes after it, if the format marks its end.
    ///
    /// # Errors
    /// As [`decompress`](Self::decompress).
    pub fn decompress_part(self, data: &[u8], limit: u64) -> Result<(Vec<u8>, Option<&[u8]>), Error> {
        let mut bytes = Vec::new();
        let rest = self.decompress_to(Sink { bytes: Some(&mut bytes), length: 0, limit }, data)?.1;
        Ok((bytes, rest))
    }

    /// Decompresses the data without keeping the result, and returns its length in bytes.
    ///
    /// # Errors
    /// As [`decompress`](Self::decompress).
    pub fn check(self, data: &[u8], limit: u64) -> Result<u64, Error> {
        Ok(self.decompress_to(Sink { bytes: None, length: 0, limit }, data)?.0)
    }

    /// The length of the output, and the bytes after the data.
    fn decompress_to<'a>(self, mut sink: Sink<'_>, data: &'a [u8]) -> Result<(u64, Option<&'a [u8]>), Error> {
        let limit = sink.limit;
        let dictionary_kib = u32::try_from(DICTIONARY_LIMIT / 1024 + 4096).unwrap_or(u32::MAX);
        let outcome = match self {
            Self::Gzip => members(data, b"\x1f\x8b", |rest| {
                let mut decoder = flate2::bufread::GzDecoder::new(rest);
                sink.fill(&mut decoder).map(|()| decoder.into_inner())
            })
            .map(Some),
            Self::Zstd => members(data, b"\x28\xb5\x2f\xfd", |rest| zstd_frame(rest, &mut sink)).map(Some),
            Self::Xz => members(data, b"\xfd7zXZ\0", |rest| {
                let mut decoder = lzma_rust2::XzReader::new_mem_limit(rest, false, dictionary_kib);
                sink.fill(&mut decoder).map(|()| decoder.into_inner())
            })
            .map(Some),
            Self::Lzma => lzma_rust2::LzmaReader::new_mem_limit(data, dictionary_kib, None)
                .and_then(|mut decoder| sink.fill(&mut decoder))
                .map(|()| None),
            Self::Lz4 => members(data, b"\x04\x22\x4d\x18", |rest| lz4::frame(rest, &mut sink)).map(Some),
            Self::Lz4Legacy => lz4::legacy(data, &mut sink).map(|()| None),
            Self::Bzip2 => members(data, b"BZh", |rest| {
                let mut decoder = bzip2::bufread::BzDecoder::new(rest);
                sink.fill(&mut decoder).map(|()| decoder.into_inner())
            })
            .map(Some),
            Self::Lzo => lzop::file(data, &mut sink).map(|()| None),
        };
        match outcome {
            _ if sink.is_over() => Err(Error::TooLarge { what: self, limit }),
            Ok(rest) => Ok((sink.length, rest)),
            Err(reason) => Err(Error::Compressed { what: self, reason: reason.to_string() }),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Lzma => "lzma",
            Self::Lz4 => "lz4",
            Self::Lz4Legacy => "lz4 (legacy)",
            Self::Bzip2 => "bzip2",
            Self::Lzo => "lzo",
        })
    }
}

/// `BZh`, the block size from 1 to 9, and the magic of the first block or of the end.
fn is_bzip2(file: &[u8]) -> bool {
    let magics: [&[u8]; 2] = [b"1AY&SY", b"\x17\x72\x45\x38\x50\x90"];
    match file.strip_prefix(b"BZh") {
        Some([b'1'..=b'9', rest @ ..]) => magics.iter().any(|magic| rest.starts_with(magic)),
        _ => false,
    }
}

/// The format has no magic. As for xz's own tool, the properties must be the usual ones, the
/// dictionary 2^n or 2^n + 2^(n-1) bytes, and the size unknown or below 256 GiB.
fn is_lzma(file: &[u8]) -> bool {
    let Some(([0x5d, dictionary @ ..], rest)) = file.split_first_chunk::<5>() else { return false };
    let Some((size, _)) = rest.split_first_chunk() else { return false };
    let (dictionary, size) = (u32::from_le_bytes(*dictionary), u64::from_le_bytes(*size));
    let is_round =
        dictionary.is_power_of_two() || (dictionary.is_multiple_of(3) && (dictionary / 3).is_power_of_two());
    dictionary >= 4096 && is_round && (size == u64::MAX || size < 1 << 38)
}

/// Decompresses consecutive frames as one, and returns the bytes after them, as `decompress` does
/// for one.
fn members<'a>(
    mut data: &'a [u8],
    magic: &[u8],
    mut decompress: impl FnMut(&'a [u8]) -> io::Result<&'a [u8]>,
) -> io::Result<&'a [u8]> {
    loop {
        let rest = decompress(data)?;
        if !rest.starts_with(magic) || rest.len() >= data.len() {
            return Ok(rest);
        }
        data = rest;
    }
}

/// Decompresses one frame, and returns the bytes after it. The decoder computes the checksum, but
/// does not compare it.
fn zstd_frame<'a>(data: &'a [u8], sink: &mut Sink<'_>) -> io::Result<&'a [u8]> {
    let decoder = ruzstd::decoding::StreamingDecoder::new_with_max_window_size(data, DICTIONARY_LIMIT);
    let mut decoder = decoder.map_err(|error| broken(error.to_string()))?;
    sink.fill(&mut decoder)?;
    let (rest, frame) = decoder.into_parts();
    match frame.get_checksum_from_data() {
        Some(expected) if frame.get_calculated_checksum() != Some(expected) => {
            Err(broken("the checksum of the decompressed data does not match"))
        }
        _ => Ok(rest),
    }
}

/// Where the output goes: at most one byte over the limit.
struct Sink<'a> {
    /// The output, unless only its length is needed.
    bytes: Option<&'a mut Vec<u8>>,
    /// Bytes of output so far.
    length: u64,
    limit: u64,
}

impl Sink<'_> {
    const fn room(&self) -> u64 {
        self.limit.saturating_add(1).saturating_sub(self.length)
    }

    const fn is_over(&self) -> bool {
        self.length > self.limit
    }

    /// Takes all output of a decoder, up to the limit.
    fn fill(&mut self, decoder: &mut impl Read) -> io::Result<()> {
        let mut decoder = decoder.take(self.room());
        let length = match &mut self.bytes {
            Some(bytes) => decoder.read_to_end(bytes)? as u64,
            None => io::copy(&mut decoder, &mut io::sink())?,
        };
        self.advance(length)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        let room = usize::try_from(self.room()).unwrap_or(usize::MAX);
        let taken = bytes.get(..room).unwrap_or(bytes);
        if let Some(output) = &mut self.bytes {
            output.extend_from_slice(taken);
        }
        self.advance(taken.len() as u64)
    }

    fn advance(&mut self, length: u64) -> io::Result<()> {
        self.length = self.length.saturating_add(length);
        if self.is_over() { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(()) }
    }
}

/// The error for truncated data.
fn ends_early() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the data ends early")
}

fn broken(what: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what.into())
}

#[cfg(test)]
mod tests;
