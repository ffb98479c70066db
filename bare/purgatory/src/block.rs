use abi::Field;
use abi::purgatory::{
    DIGEST, DIGEST_SIZE, ENTRY, FLAGS, KEY, KEY_SIZE, MAGIC, MAGIC_NUMBER, REGION_COUNT, REGIONS,
    REGIONS_MAX, region,
};

/// The parameters of purgatory, if they make sense.
#[derive(Clone, Copy)]
pub struct Block<'b> {
    bytes: &'b [u8; ENTRY],
    regions: &'b [[u8; region::SIZE]],
}

/// Memory that is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Its address.
    pub start: u64,
    /// Bytes that the digest is over.
    pub bytes: u64,
    /// Bytes after them that must be zero.
    pub zeros: u64,
}

impl<'b> Block<'b> {
    /// A block, or `None` if these bytes are none.
    #[must_use]
    pub fn new(bytes: &'b [u8; ENTRY]) -> Option<Self> {
        let count = usize::try_from(REGION_COUNT.read(bytes)?).ok()?;
        if MAGIC.read(bytes) != Some(MAGIC_NUMBER) || count > REGIONS_MAX {
            return None;
        }
        let regions = bytes.get(REGIONS..)?.as_chunks().0.get(..count)?;
        Some(Self { bytes, regions })
    }

    /// A field; 0 where there is none.
    #[must_use]
    pub fn get(&self, field: Field<u64>) -> u64 {
        field.read(self.bytes).unwrap_or(0)
    }

    /// Whether a bit of [`abi::purgatory::flag`] is set.
    #[must_use]
    pub fn has(&self, flag: u64) -> bool {
        self.get(FLAGS) & flag != 0
    }

    /// The regions to check.
    pub fn regions(&self) -> impl Iterator<Item = Region> + use<'b> {
        let number = |bytes: &[u8], field: Field<u64>| field.read(bytes).unwrap_or(0);
        self.regions.iter().map(move |entry| Region {
            start: number(entry, region::START),
            bytes: number(entry, region::BYTES),
            zeros: number(entry, region::ZEROS),
        })
    }

    /// The key of the digest.
    #[must_use]
    pub fn key(&self) -> &'b [u8; KEY_SIZE] {
        self.part(KEY)
    }

    /// The digest that it should be.
    #[must_use]
    pub fn digest(&self) -> &'b [u8; DIGEST_SIZE] {
        self.part(DIGEST)
    }

    /// The part of the block that the digest covers: all parameters, in two parts.
    #[must_use]
    pub fn description(&self) -> [&'b [u8]; 2] {
        [self.bytes.get(..DIGEST).unwrap_or_default(), self.regions.as_flattened()]
    }

    fn part(&self, offset: usize) -> &'b [u8; 32] {
        self.bytes.get(offset..).and_then(<[u8]>::first_chunk).unwrap_or(&[0; 32])
    }
}
