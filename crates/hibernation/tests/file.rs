//! Whole hibernation files: written, read back, damaged, cut short, and interrupted.
#![allow(clippy::unwrap_used, reason = "a test")]

mod support;

use hibernation::{
    BLOCK_PAGES, CipherKind, Codec, Disk, Error, Image, Key, MemoryDisk, PAGE, State, StateKind, load_header,
};
use support::{KEY, Memory, pages_of, plan, save};

const LENGTH: usize = 4 << 20;

/// A small image, and its bytes.
fn saved(cipher: CipherKind, codec: Codec) -> (Memory, Vec<u8>) {
    let memory = Memory::new(600);
    let disk = MemoryDisk::new(vec![0xee; LENGTH]);
    save(&disk, &memory, plan(cipher, codec), [3; 16]).unwrap();
    (memory, disk.into_bytes())
}

fn key(cipher: CipherKind) -> Option<Key<'static>> {
    (cipher != CipherKind::None).then_some(Key::File(KEY))
}

/// Reads everything, as a kernel that resumes does.
fn load(disk: &impl Disk, key: Option<Key<'_>>) -> Result<Vec<(u64, Vec<u8>)>, Error> {
    pages_of(&Image::open(disk, key)?)
}

#[test]
fn memory_is_read_back_by_every_cipher_and_codec() {
    for cipher in [CipherKind::None, CipherKind::Aes256Gcm, CipherKind::ChaCha20Poly1305] {
        for codec in [Codec::Raw, Codec::Lz4, Codec::Zstd] {
            let (memory, bytes) = saved(cipher, codec);
            let visible = bytes.windows(16).any(|window| window == b"the sixth page: ");
            match (cipher, codec) {
                (CipherKind::None, Codec::Raw) => assert!(visible),
                (CipherKind::None, _) => {}
                _ => assert!(!visible, "{cipher:?} {codec:?}"),
            }
            let disk = MemoryDisk::new(bytes);
            assert!(load(&disk, key(cipher)).unwrap() == memory.pages(), "{cipher:?} {codec:?}");
            let (state, header) = load_header(&disk).unwrap();
            let header = header.unwrap();
            assert_eq!((state.kind, header.pages), (StateKind::Complete, 600));
            assert_eq!((header.zero_pages, header.facts.release.as_str()), (165, "6.1-test"));
        }
    }
}

#[test]
fn a_wrong_key_is_named_and_no_key_opens_only_what_is_not_encrypted() {
    let disk = MemoryDisk::new(saved(CipherKind::Aes256Gcm, Codec::Lz4).1);
    let error = |disk, key| load(disk, key).unwrap_err().to_string();
    assert!(error(&disk, None).contains("no key was given"));
    let wrong = error(&disk, Some(Key::File(b"another key file")));
    assert_eq!(wrong, "the key is wrong: it opens none of the 1 key slots");
    assert!(error(&disk, Some(Key::Passphrase(b"x"))).contains("wrong"));
    let open = MemoryDisk::new(saved(CipherKind::None, Codec::Lz4).1);
    assert!(error(&open, Some(Key::File(KEY))).contains("not encrypted"));
}

#[test]
fn every_changed_byte_is_found() {
    for cipher in [CipherKind::None, CipherKind::ChaCha20Poly1305] {
        let (memory, bytes) = saved(cipher, Codec::Lz4);
        let end = used(&bytes);
        let header = 4096..4096 + (16 << 10);
        let places =
            header.clone().filter(|place| *place < 5000 || place % 61 == 0 || *place > header.end - 40);
        for place in places.chain(((1 << 20)..end).step_by(509)) {
            let mut changed = bytes.clone();
            changed[place] ^= 0x10;
            // The rest of a block's last page belongs to nothing.
            match load(&MemoryDisk::new(changed), key(cipher)) {
                Ok(pages) => assert!(place >= 1 << 20 && pages == memory.pages(), "{cipher:?} {place:#x}"),
                Err(Error::Disk { .. }) => panic!("{place:#x} made the file too short"),
                Err(_) => {}
            }
        }
    }
}

/// The end of the last page that was written.
fn used(bytes: &[u8]) -> usize {
    bytes.chunks(PAGE).rposition(|page| page.iter().any(|byte| *byte != 0xee)).unwrap() * PAGE + PAGE
}

#[test]
fn a_file_that_is_cut_short_is_refused() {
    let (_, bytes) = saved(CipherKind::Aes256Gcm, Codec::Raw);
    let end = used(&bytes);
    assert!(end > 2 << 20, "the least size hides every cut");
    for length in (0..end).step_by(PAGE) {
        assert!(
            load(&MemoryDisk::new(bytes[..length].to_vec()), Some(Key::File(KEY))).is_err(),
            "{length:#x}"
        );
    }
    assert!(load(&MemoryDisk::new(bytes[..end].to_vec()), Some(Key::File(KEY))).is_ok());
}

#[test]
fn there_is_no_image_without_room_for_it() {
    let memory = Memory::new(3000);
    let disk = MemoryDisk::new(vec![0; 2 << 20]);
    let error = save(&disk, &memory, plan(CipherKind::None, Codec::Raw), [1; 16]).unwrap_err();
    assert!(matches!(error, Error::Full { length: 0x20_0000, .. }), "{error}");
    assert_eq!(State::read(&disk).unwrap().kind, StateKind::Writing);
    let small = MemoryDisk::new(vec![0; 1 << 20]);
    assert!(matches!(State::read(&small), Err(Error::TooSmall { .. })));
}

#[test]
fn a_header_of_another_image_is_not_taken() {
    let (_, old) = saved(CipherKind::Aes256Gcm, Codec::Lz4);
    let disk = MemoryDisk::new(vec![0; LENGTH]);
    save(&disk, &Memory::new(10), plan(CipherKind::Aes256Gcm, Codec::Lz4), [4; 16]).unwrap();
    let mut bytes = disk.into_bytes();
    bytes[PAGE..5 * PAGE].copy_from_slice(&old[PAGE..5 * PAGE]);
    assert!(matches!(load(&MemoryDisk::new(bytes), Some(Key::File(KEY))), Err(Error::OtherImage)));
}

#[test]
fn a_block_has_at_most_256_pages() {
    let memory = Memory::new(BLOCK_PAGES as u64 * 2);
    let disk = MemoryDisk::new(vec![0; LENGTH]);
    let saved = save(&disk, &memory, plan(CipherKind::None, Codec::Zstd), [1; 16]).unwrap();
    assert_eq!((saved.blocks, saved.pages), (2, 512));
    assert!(saved.end <= LENGTH as u64);
}
