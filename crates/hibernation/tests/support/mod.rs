//! Memory to hibernate, and a disk that loses its power.
#![allow(dead_code, clippy::unwrap_used, reason = "each test uses a part of it")]

use hibernation::{
    BLOCK_PAGES, BlockReader, CipherKind, Codec, Cost, Disk, Error, Facts, Image, Key, PAGE, Plan, Saved,
    Saving, Secret, Slot, State,
};

pub(crate) const KEY: &[u8] = b"the key of these tests";

/// Pages by their frames: every third is of zeros, and there are gaps.
pub(crate) struct Memory(Vec<u64>);

impl Memory {
    pub(crate) fn new(pages: u64) -> Self {
        Self((0..pages).map(|page| 16 + page + page / 50 * 7).collect())
    }

    fn fill(frame: u64, page: &mut [u8]) {
        page.fill(0);
        if !frame.is_multiple_of(3) || frame % 7 == 5 {
            page[..16].copy_from_slice(b"the sixth page: ");
            for (place, byte) in page[16..].iter_mut().enumerate() {
                let mixed = (frame ^ (place as u64 / 16)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                *byte = if place % 64 < 16 { mixed.to_le_bytes()[place % 8] } else { 1 };
            }
        }
    }

    pub(crate) fn pages(&self) -> Vec<(u64, Vec<u8>)> {
        let page = |&frame: &u64| {
            let mut page = vec![0; PAGE];
            Self::fill(frame, &mut page);
            (frame, page)
        };
        self.0.iter().map(page).collect()
    }
}

pub(crate) fn plan(cipher: CipherKind, codec: Codec) -> Plan {
    if cipher == CipherKind::None {
        return Plan { codec, cipher, secret: None, slots: Vec::new() };
    }
    let secret = Secret::new([9; 32]);
    let slots = vec![Slot::new(&secret, Key::File(KEY), Cost::USUAL, [5; 16]).unwrap()];
    Plan { codec, cipher, secret: Some(secret), slots }
}

/// Writes an image, by two threads.
pub(crate) fn save<D: Disk>(disk: &D, memory: &Memory, plan: Plan, id: [u8; 16]) -> Result<Saved, Error> {
    let state = State::read(disk)?.start(disk, id)?;
    let saving = Saving::start(disk, state, plan)?;
    let blocks: Vec<_> = memory.0.chunks(BLOCK_PAGES).collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..2)
            .map(|thread| {
                let (saving, blocks) = (&saving, &blocks);
                scope.spawn(move || {
                    let mut writer = saving.writer();
                    for frames in blocks.iter().skip(thread).step_by(2) {
                        writer.put(frames, |first, buffer| {
                            for (page, frame) in buffer.chunks_mut(PAGE).zip(first..) {
                                Memory::fill(frame, page);
                            }
                            Ok::<_, Error>(())
                        })?;
                    }
                    Ok::<_, Error>(())
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap())
    })?;
    saving.finish(Facts { release: "6.1-test".into(), entry: 0x1000, ..Facts::default() })
}

pub(crate) fn pages_of<D: Disk>(image: &Image<'_, D>) -> Result<Vec<(u64, Vec<u8>)>, Error> {
    let zeros = image.zeros().iter().flat_map(|run| run.first..run.first + run.count);
    let mut pages: Vec<_> = zeros.map(|frame| (frame, vec![0; PAGE])).collect();
    let mut reader: BlockReader<'_, '_, D> = image.reader();
    for number in 0..image.blocks().len() {
        let (block, bytes) = reader.get(number)?;
        let frames = block.runs.iter().flat_map(|run| run.first..run.first + run.count);
        pages.extend(frames.zip(bytes.chunks(PAGE).map(<[u8]>::to_vec)));
    }
    pages.sort_unstable_by_key(|(frame, _)| *frame);
    Ok(pages)
}
