//! Little-endian numbers at fixed places. Bytes beyond the end read as 0: whoever asks has checked the length of the
//! structure, and a structure cut short by an older version has zeros there by definition.

pub(crate) fn u8_at(bytes: &[u8], at: usize) -> u8 {
    array_at::<1>(bytes, at)[0]
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(array_at(bytes, at))
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(array_at(bytes, at))
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut array = [0; N];
    if let Some(found) = at.checked_add(N).and_then(|end| bytes.get(at..end)) {
        array.copy_from_slice(found);
    }
    array
}

/// A structure being written: numbers go to the places the layout gives them.
pub(crate) struct Fields(pub(crate) Vec<u8>);

impl Fields {
    pub(crate) fn zeroed(size: usize) -> Self {
        Self(vec![0; size])
    }

    /// # Panics
    /// If the layout puts the field outside the structure.
    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
    }

    pub(crate) fn put_u32(&mut self, at: usize, value: u32) {
        self.put(at, &value.to_le_bytes());
    }

    pub(crate) fn put_u64(&mut self, at: usize, value: u64) {
        self.put(at, &value.to_le_bytes());
    }
}
