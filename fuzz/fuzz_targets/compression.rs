//! Any bytes as compressed data of every kind: an error, or at most LIMIT bytes of output.
#![no_main]

use kernel_file::Compression;

const LIMIT: u64 = 1 << 20;

libfuzzer_sys::fuzz_target!(|file: &[u8]| {
    let kinds = [
        Compression::Gzip,
        Compression::Zstd,
        Compression::Xz,
        Compression::Lzma,
        Compression::Lz4,
        Compression::Lz4Legacy,
        Compression::Bzip2,
        Compression::Lzo,
    ];
    // If the format is not recognised, the first byte chooses one for the rest.
    let (kind, data) = match (Compression::recognise(file), file) {
        (Some(kind), data) => (kind, data),
        (None, [first, data @ ..]) => (kinds[usize::from(*first) % kinds.len()], data),
        (None, []) => return,
    };
    if let Ok(bytes) = kind.decompress(data, LIMIT) {
        assert!(bytes.len() as u64 <= LIMIT);
    }
});
