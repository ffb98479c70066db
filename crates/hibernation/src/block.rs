//! The content of a block: pages, compressed.

use serde::{Deserialize, Serialize};

use crate::PAGE;

/// Most pages of a block.
pub const BLOCK_PAGES: usize = 256;

/// How the pages of a block are compressed. A block that compression does not make smaller is
/// stored as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Codec {
    /// Not at all.
    Raw,
    /// LZ4, for fast disks.
    Lz4,
    /// Zstandard of level 1, for slow disks.
    Zstd,
}

impl Codec {
    const ALL: [Self; 3] = [Self::Raw, Self::Lz4, Self::Zstd];

    pub(crate) const fn number(self) -> u16 {
        match self {
            Self::Raw => 0,
            Self::Lz4 => 1,
            Self::Zstd => 2,
        }
    }

    pub(crate) fn of(number: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.number() == number)
    }
}

/// Most bytes that compressing a whole block can make of it.
pub(crate) const ROOM: usize = BLOCK_PAGES * PAGE * 2;

/// Compressors and decompressors, kept for the next block.
#[derive(Default)]
pub(crate) struct Engine {
    zstd: Option<(zstd_safe::CCtx<'static>, zstd_safe::DCtx<'static>)>,
}

impl Engine {
    /// Compresses bytes into a larger buffer; returns the number of bytes and how they are stored.
    pub(crate) fn compress(&mut self, codec: Codec, plain: &[u8], out: &mut [u8]) -> (usize, Codec) {
        let packed = match codec {
            Codec::Raw => None,
            Codec::Lz4 => lz4_flex::block::compress_into(plain, out).ok(),
            Codec::Zstd => self.zstd().0.compress(out, plain, 1).ok(),
        };
        match packed {
            Some(length) if length < plain.len() => (length, codec),
            _ => {
                out[..plain.len()].copy_from_slice(plain);
                (plain.len(), Codec::Raw)
            }
        }
    }

    /// Decompresses bytes. False unless they fill the buffer exactly.
    #[must_use]
    pub(crate) fn decompress(&mut self, codec: Codec, packed: &[u8], out: &mut [u8]) -> bool {
        match codec {
            Codec::Raw => {
                let fits = packed.len() == out.len();
                if fits {
                    out.copy_from_slice(packed);
                }
                fits
            }
            Codec::Lz4 => {
                lz4_flex::block::decompress_into(packed, out).is_ok_and(|length| length == out.len())
            }
            Codec::Zstd => {
                let wanted = out.len();
                self.zstd().1.decompress(out, packed).is_ok_and(|length| length == wanted)
            }
        }
    }

    fn zstd(&mut self) -> &mut (zstd_safe::CCtx<'static>, zstd_safe::DCtx<'static>) {
        self.zstd.get_or_insert_with(|| (zstd_safe::CCtx::create(), zstd_safe::DCtx::create()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_survive_every_codec_and_random_ones_are_stored() {
        let mut engine = Engine::default();
        let plain: Vec<u8> = (0..5 * PAGE).map(|n| (n / 100).to_le_bytes()[0]).collect();
        let random: Vec<u8> = (0..PAGE as u64)
            .map(|n| {
                n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(n | 1).to_be_bytes()[2]
            })
            .collect();
        for codec in Codec::ALL {
            for (bytes, shrinks) in [(&plain, codec != Codec::Raw), (&random, false)] {
                let mut packed = vec![0; ROOM];
                let (length, stored) = engine.compress(codec, bytes, &mut packed);
                assert_eq!(
                    (stored == codec, length < bytes.len()),
                    (shrinks || codec == Codec::Raw, shrinks)
                );
                let mut back = vec![0; bytes.len()];
                assert!(engine.decompress(stored, &packed[..length], &mut back) && back == *bytes);
                let mut short = vec![0; bytes.len() - 1];
                assert!(!engine.decompress(stored, &packed[..length], &mut short), "{codec:?}");
                let mut long = vec![0; bytes.len() + 1];
                assert!(!engine.decompress(stored, &packed[..length], &mut long), "{codec:?}");
            }
        }
    }
}
