//! For tests and fuzzing: checksums that fit whatever was changed.

use crate::cipher::{Cipher, Part};
use crate::field::Reader;
use crate::{PAGE, header, state};

/// Makes all checksums of an image without encryption right, so that changed fields are not
/// refused for their checksums.
pub fn reseal(file: &mut [u8]) {
    reseal_manifest(file);
    if file.len() >= PAGE {
        state::reseal(file);
    }
    let start = PAGE;
    if let Some(bytes) = file.get_mut(start..start + header::SIZE) {
        header::reseal(bytes);
    }
}

fn reseal_manifest(file: &mut [u8]) {
    let Some((offset, bytes)) = file.get(PAGE..PAGE + header::SIZE).and_then(header::place_of) else {
        return;
    };
    let place = offset..offset.saturating_add(bytes);
    let Some(mut copy) = file.get(place.clone()).map(<[u8]>::to_vec) else { return };
    for (number, (tag, block)) in (0..).zip(places(&copy)) {
        if let Some(block) = file.get_mut(block) {
            let new = Cipher::None.seal(Part::Block(number), block);
            copy[tag..tag + new.len()].copy_from_slice(&new);
        }
    }
    let tag = Cipher::None.seal(Part::Manifest, &mut copy);
    file[place].copy_from_slice(&copy);
    header::put_tag(&mut file[PAGE..], tag);
}

/// The blocks that a manifest places: where their tags are in it, and where they are in the file.
fn places(bytes: &[u8]) -> Vec<(usize, std::ops::Range<usize>)> {
    let mut reader = Reader(bytes);
    let mut found = Vec::new();
    let mut next = || -> Option<()> {
        let zeros = usize::try_from(reader.u64()?).ok()?;
        reader.bytes(zeros.checked_mul(8)?)?;
        loop {
            let (offset, stored) =
                (usize::try_from(reader.u64()?).ok()?, usize::try_from(reader.u32()?).ok()?);
            let (_, runs) = (reader.u16()?, reader.u16()?);
            let tag = bytes.len() - reader.0.len();
            reader.bytes(16 + 8 * usize::from(runs))?;
            found.push((tag, offset..offset.saturating_add(stored)));
        }
    };
    let _: Option<()> = next();
    found
}

#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;

#[cfg(test)]
mod tests {
    use super::support::{Memory, pages_of, plan, save};
    use super::*;
    use crate::{CipherKind, Codec, Image, MemoryDisk, load_header};

    /// Every field of header and manifest with extreme values, and checksums to fit.
    #[test]
    fn hostile_fields_are_refused_or_harmless() {
        let disk = MemoryDisk::new(vec![0; 4 << 20]);
        save(&disk, &Memory::new(600), plan(CipherKind::None, Codec::Lz4), [3; 16]).unwrap();
        let bytes = disk.into_bytes();
        let found = load_header(&MemoryDisk::new(bytes.clone())).unwrap().1.unwrap();
        let (manifest, _) = header::place_of(&bytes[PAGE..]).unwrap();
        assert_eq!(found.blocks, 3);
        let (mut refused, mut read) = (0, 0);
        for place in (PAGE..PAGE + 120).step_by(4).chain((manifest..manifest + 240).step_by(4)) {
            for value in [0, 1, 1 << 16, u32::MAX] {
                let mut changed = bytes.clone();
                changed[place..place + 4].copy_from_slice(&value.to_le_bytes());
                reseal(&mut changed);
                match Image::open(&MemoryDisk::new(changed), None).and_then(|image| pages_of(&image)) {
                    Ok(_) => read += 1,
                    Err(_) => refused += 1,
                }
            }
        }
        assert!(refused > 150 && read > 0, "{refused} refused, {read} read");
    }
}
