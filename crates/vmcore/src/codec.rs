//! Page codecs of the kdump-compressed format: each page is compressed on its own.

mod deflate;
mod huffman;
mod lzo;

pub use lzo::{Dictionary as LzoDictionary, compress as lzo_compress, decompress as lzo_decompress};

use crate::error::DecodeError;
use deflate::Deflate;

/// How a page is stored. The numbers are those of page descriptors and of the header's status word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// Not compressed.
    Raw,
    /// A zlib stream.
    Zlib,
    /// LZO1X.
    Lzo,
    /// A raw Snappy block.
    Snappy,
    /// One Zstandard frame.
    Zstd,
}

impl Codec {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Raw, Self::Zlib, Self::Lzo, Self::Snappy, Self::Zstd];

    /// The flag of a page descriptor; 0 for [`Codec::Raw`].
    #[must_use]
    pub const fn flag(self) -> u32 {
        match self {
            Self::Raw => 0,
            Self::Zlib => 1,
            Self::Lzo => 2,
            Self::Snappy => 4,
            Self::Zstd => 0x20,
        }
    }

    /// The codec that a page descriptor's flags name.
    ///
    /// # Errors
    /// [`DecodeError::Codec`].
    pub fn from_flags(flags: u32) -> Result<Self, DecodeError> {
        Self::ALL.into_iter().find(|codec| codec.flag() == flags).ok_or(DecodeError::Codec { flags })
    }

    /// The name, in lower case.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::Zlib => "zlib",
            Self::Lzo => "lzo",
            Self::Snappy => "snappy",
            Self::Zstd => "zstd",
        }
    }
}

/// Decompresses pages, one at a time.
pub struct Decoder {
    zlib: libdeflater::Decompressor,
    zstd: zstd_safe::DCtx<'static>,
    snappy: snap::raw::Decoder,
}

impl Default for Decoder {
    fn default() -> Self {
        Self {
            zlib: libdeflater::Decompressor::new(),
            zstd: zstd_safe::DCtx::create(),
            snappy: snap::raw::Decoder::new(),
        }
    }
}

impl Decoder {
    /// Fills the page from its stored form.
    ///
    /// # Errors
    /// The stored form is damaged, or does not decompress to exactly one page.
    pub fn decode(&mut self, codec: Codec, stored: &[u8], page: &mut [u8]) -> Result<(), DecodeError> {
        let wanted = page.len();
        let damaged = DecodeError::Damaged { codec: codec.name() };
        let length = match codec {
            Codec::Raw => copy(stored, page),
            Codec::Zlib => self.zlib.zlib_decompress(stored, page).map_err(|_| damaged)?,
            Codec::Lzo => lzo::decompress(stored, page).ok_or(damaged)?,
            Codec::Snappy => self.snappy.decompress(stored, page).map_err(|_| damaged)?,
            Codec::Zstd => self.zstd.decompress(page, stored).map_err(|_| damaged)?,
        };
        if length == wanted {
            Ok(())
        } else {
            Err(DecodeError::Length { codec: codec.name(), length, wanted })
        }
    }
}

fn copy(stored: &[u8], page: &mut [u8]) -> usize {
    let count = stored.len().min(page.len());
    page[..count].copy_from_slice(&stored[..count]);
    stored.len()
}

/// A codec and its level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// The codec of pages that it makes smaller; the others are stored uncompressed.
    pub codec: Codec,
    /// The codec's own scale: zlib 1 to 12, zstd -7 to 19; others have none.
    pub level: i32,
}

impl Effort {
    /// The codec at makedumpfile's level.
    #[must_use]
    pub const fn usual(codec: Codec) -> Self {
        Self { codec, level: 1 }
    }
}

/// Compresses pages, one at a time.
pub struct Encoder {
    effort: Effort,
    /// For the lowest level of zlib; higher levels spend more time on smaller pages.
    deflate: Deflate,
    zlib: libdeflater::Compressor,
    zstd: zstd_safe::CCtx<'static>,
    snappy: snap::raw::Encoder,
    lzo: LzoDictionary,
}

impl Encoder {
    /// An encoder; levels out of range count as the nearest one.
    #[must_use]
    pub fn new(effort: Effort) -> Self {
        let mut zstd = zstd_safe::CCtx::create();
        // Neither this nor setting a level in range can fail; a context without them would still
        // make correct frames.
        let _ = zstd.set_parameter(zstd_safe::CParameter::ContentSizeFlag(true));
        let _ = zstd.set_parameter(zstd_safe::CParameter::CompressionLevel(zstd_level(effort)));
        Self {
            effort,
            deflate: Deflate::default(),
            zlib: libdeflater::Compressor::new(zlib_level(effort)),
            zstd,
            snappy: snap::raw::Encoder::new(),
            lzo: LzoDictionary::default(),
        }
    }

    /// Sets the effort for the next pages; levels out of range count as the nearest one.
    pub fn set_effort(&mut self, effort: Effort) {
        if effort == self.effort {
            return;
        }
        match effort.codec {
            Codec::Zlib => self.zlib = libdeflater::Compressor::new(zlib_level(effort)),
            Codec::Zstd => {
                let _ = self.zstd.set_parameter(zstd_safe::CParameter::CompressionLevel(zstd_level(effort)));
            }
            Codec::Raw | Codec::Lzo | Codec::Snappy => {}
        }
        self.effort = effort;
    }

    /// The most bytes that compressing a page may need.
    #[must_use]
    pub fn most(&mut self, page: usize) -> usize {
        let zlib = self.zlib.zlib_compress_bound(page);
        zlib.max(deflate::bound(page))
            .max(lzo::bound(page))
            .max(snap::raw::max_compress_len(page))
            .max(zstd_safe::compress_bound(page))
    }

    /// Puts the stored form of a page at the start of `out`, which has room for [`Encoder::most`]
    /// bytes; returns its codec and length. A page that does not become smaller is stored
    /// uncompressed.
    pub fn encode(&mut self, page: &[u8], out: &mut [u8]) -> (Codec, usize) {
        match self.compress(page, out) {
            Some(length) if length < page.len() => (self.effort.codec, length),
            _ => {
                out[..page.len()].copy_from_slice(page);
                (Codec::Raw, page.len())
            }
        }
    }

    fn compress(&mut self, page: &[u8], out: &mut [u8]) -> Option<usize> {
        match self.effort.codec {
            Codec::Raw => None,
            Codec::Zlib if self.effort.level <= 1 && page.len() <= deflate::MOST => {
                self.deflate.compress(page, out)
            }
            Codec::Zlib => self.zlib.zlib_compress(page, out).ok(),
            Codec::Lzo => lzo::compress(&mut self.lzo, page, out),
            Codec::Snappy => self.snappy.compress(page, out).ok(),
            Codec::Zstd => self.zstd.compress2(out, page).ok(),
        }
    }
}

fn zlib_level(effort: Effort) -> libdeflater::CompressionLvl {
    libdeflater::CompressionLvl::new(effort.level.clamp(1, 12)).unwrap_or_default()
}

fn zstd_level(effort: Effort) -> i32 {
    effort.level.clamp(-7, 19)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages() -> Vec<Vec<u8>> {
        let noise =
            (0_u32..1024).flat_map(|n| (n.wrapping_mul(0x9e37_79b9) ^ n << 7).to_le_bytes()).collect();
        let text = b"a page of a page of memory ".iter().copied().cycle().take(4096).collect();
        vec![vec![0; 4096], vec![0xcc; 4096], noise, text]
    }

    #[test]
    fn every_codec_gives_back_the_page() {
        for codec in Codec::ALL {
            let (mut encoder, mut decoder) = (Encoder::new(Effort::usual(codec)), Decoder::default());
            let mut out = vec![0; encoder.most(4096)];
            for page in pages() {
                let (stored, length) = encoder.encode(&page, &mut out);
                let mut back = vec![1; 4096];
                decoder.decode(stored, &out[..length], &mut back).unwrap();
                assert!(back == page, "{codec:?}");
                assert!(length < 4096 || stored == Codec::Raw);
            }
        }
    }

    #[test]
    fn an_encoder_that_changes_its_effort_is_like_a_new_one() {
        let levels =
            [(Codec::Zstd, 7), (Codec::Raw, 1), (Codec::Zlib, 6), (Codec::Zstd, -5), (Codec::Lzo, 1)];
        let mut changing = Encoder::new(Effort::usual(Codec::Zlib));
        let mut outs = [vec![0; changing.most(4096)], vec![0; changing.most(4096)]];
        for (codec, level) in levels {
            let effort = Effort { codec, level };
            changing.set_effort(effort);
            for page in pages() {
                let [one, other] = &mut outs;
                let stored = changing.encode(&page, one);
                assert_eq!(stored, Encoder::new(effort).encode(&page, other));
                assert!(one[..stored.1] == other[..stored.1], "{effort:?}");
            }
        }
    }

    #[test]
    fn a_page_cut_short_is_an_error_in_every_codec() {
        for codec in Codec::ALL {
            let (mut encoder, mut decoder) = (Encoder::new(Effort::usual(codec)), Decoder::default());
            let mut out = vec![0; encoder.most(4096)];
            let (stored, length) = encoder.encode(&pages()[3], &mut out);
            assert!(decoder.decode(stored, &out[..length - 1], &mut [0; 4096]).is_err(), "{codec:?}");
            assert!(decoder.decode(stored, &out[..length], &mut [0; 4000]).is_err(), "{codec:?}");
        }
    }

    #[test]
    fn flags_of_no_codec_are_refused() {
        assert_eq!(Codec::from_flags(3), Err(DecodeError::Codec { flags: 3 }));
        for codec in Codec::ALL {
            assert_eq!(Codec::from_flags(codec.flag()), Ok(codec));
        }
    }
}
