use super::*;
use proptest::prelude::*;

const ALL: [(Compression, &[u8]); 8] = [
    (Compression::Gzip, include_bytes!("../../testdata/words.gz")),
    (Compression::Zstd, include_bytes!("../../testdata/words.zst")),
    (Compression::Xz, include_bytes!("../../testdata/words.xz")),
    (Compression::Lzma, include_bytes!("../../testdata/words.lzma")),
    (Compression::Lz4, include_bytes!("../../testdata/words.lz4")),
    (Compression::Lz4Legacy, include_bytes!("../../testdata/words.legacy.lz4")),
    (Compression::Bzip2, include_bytes!("../../testdata/words.bz2")),
    (Compression::Lzo, include_bytes!("../../testdata/words.lzo")),
];

/// The contents of each file.
fn words() -> Vec<u8> {
    (0..2000).flat_map(|number| format!("segment {number} of {}\n", number * number).into_bytes()).collect()
}

#[test]
fn files_of_the_usual_tools_are_recognised_and_decompressed() {
    for (compression, file) in ALL {
        assert_eq!(Compression::recognise(file), Some(compression));
        assert!(compression.decompress(file, 1 << 20).unwrap() == words(), "{compression}");
    }
}

#[test]
fn output_is_limited() {
    let size = words().len() as u64;
    for (compression, file) in ALL {
        assert_eq!(compression.decompress(file, size).unwrap().len() as u64, size);
        assert_eq!(compression.check(file, size), Ok(size));
        for limit in [0, 1, size - 1] {
            let error = Error::TooLarge { what: compression, limit };
            assert_eq!(compression.decompress(file, limit), Err(error.clone()));
            assert_eq!(compression.check(file, limit), Err(error));
        }
    }
}

#[test]
fn a_truncated_file_is_rejected_at_any_length() {
    for (compression, file) in ALL {
        let middle = (64..file.len() - 64).step_by(211);
        for length in (0..64).chain(middle).chain(file.len() - 64..file.len()) {
            // A legacy file may end after any block.
            match compression.decompress(&file[..length], 1 << 20) {
                Err(Error::Compressed { .. }) => {}
                Ok(bytes) if compression == Compression::Lz4Legacy => {
                    assert!(bytes.is_empty() && length <= 4);
                }
                other => panic!("{compression} to {length}: {:?}", other.map(|bytes| bytes.len())),
            }
        }
    }
}

#[test]
fn concatenated_files_are_one() {
    for (compression, file) in ALL
        .into_iter()
        .filter(|(compression, _)| !matches!(compression, Compression::Lzma | Compression::Lzo))
    {
        let twice = [file, file].concat();
        assert!(
            compression.decompress(&twice, 1 << 20).unwrap() == [words(), words()].concat(),
            "{compression}"
        );
    }
}

#[test]
fn bytes_after_the_data_are_ignored() {
    for (compression, file) in
        ALL.into_iter().filter(|(compression, _)| *compression != Compression::Lz4Legacy)
    {
        let longer = [file, b"\0\0\0\0".as_slice()].concat();
        assert!(compression.decompress(&longer, 1 << 20).unwrap() == words(), "{compression}");
    }
}

#[test]
fn the_size_that_a_kernel_build_appends_to_a_legacy_file_is_not_a_block() {
    let file = include_bytes!("../../testdata/words.legacy.lz4");
    let size = u32::try_from(words().len()).unwrap().to_le_bytes();
    let longer = [file.as_slice(), size.as_slice()].concat();
    assert!(Compression::Lz4Legacy.decompress(&longer, 1 << 20).unwrap() == words());
}

#[test]
fn changed_data_under_a_checksum_is_detected() {
    for (compression, file) in ALL {
        if matches!(compression, Compression::Lzma | Compression::Lz4Legacy) {
            continue;
        }
        let mut damaged = file.to_vec();
        damaged[file.len() / 2] ^= 0x10;
        assert!(compression.decompress(&damaged, 1 << 20).is_err(), "{compression}");
    }
}

#[test]
fn a_dictionary_larger_than_any_kernel_needs_is_rejected() {
    let mut lzma = include_bytes!("../../testdata/words.lzma").to_vec();
    lzma[1..5].copy_from_slice(&(1_u32 << 31).to_le_bytes());
    assert!(matches!(Compression::Lzma.decompress(&lzma, 1 << 20), Err(Error::Compressed { .. })));
}

#[test]
fn other_bytes_are_not_mistaken_for_a_magic() {
    for bytes in
        [b"".as_slice(), b"BZh", b"BZh91234567", b"\x5d\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff", b"\x1f\x8b"]
    {
        assert_eq!(Compression::recognise(bytes), None);
    }
}

proptest! {
    #[test]
    fn damaged_files_are_rejected_or_decompressed_within_the_limit(
        which in 0..ALL.len(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let (compression, file) = ALL[which];
        let mut damaged = file.to_vec();
        for (index, byte) in changes {
            *index.get_mut(&mut damaged) = byte;
        }
        if let Ok(bytes) = compression.decompress(&damaged, 100_000) {
            prop_assert!(bytes.len() <= 100_000);
        }
    }
}
