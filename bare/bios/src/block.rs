//! The block of parameters and results.

use abi::bios::{
    self as field, CALL_COUNT, CALLS, CALLS_MAX, ENTRY, FLAGS, MAGIC, MAGIC_NUMBER, call, registers,
};
use abi::{Field, Number};

/// A block with valid counts.
#[derive(Debug)]
pub struct Block<'b> {
    bytes: &'b mut [u8; ENTRY],
}

impl<'b> Block<'b> {
    /// The block, if it is one.
    pub fn new(bytes: &'b mut [u8; ENTRY]) -> Option<Self> {
        let is_valid = MAGIC.read(bytes) == Some(MAGIC_NUMBER)
            && get(bytes, CALL_COUNT) as usize <= CALLS_MAX
            && get(bytes, field::BUFFER_LENGTH) as usize <= field::BUFFER_ROOM;
        is_valid.then_some(Self { bytes })
    }

    pub(crate) fn get<T: Number>(&self, field: Field<T>) -> T {
        get(self.bytes, field)
    }

    pub(crate) fn set<T: Number>(&mut self, field: Field<T>, value: T) {
        set(self.bytes, field, value);
    }

    pub(crate) fn has(&self, flag: u32) -> bool {
        self.get(FLAGS) & flag != 0
    }

    pub(crate) fn calls(&self) -> usize {
        self.get(CALL_COUNT) as usize
    }

    /// The bytes of a call; the number is below [`Block::calls`].
    pub(crate) fn call(&mut self, number: usize) -> &mut [u8] {
        self.bytes
            .get_mut(CALLS + number * call::SIZE..)
            .and_then(|rest| rest.get_mut(..call::SIZE))
            .unwrap_or_default()
    }

    /// Some bytes of the block.
    pub(crate) fn bytes_at(&mut self, offset: usize, length: usize) -> &mut [u8] {
        self.bytes.get_mut(offset..).and_then(|rest| rest.get_mut(..length)).unwrap_or_default()
    }
}

/// A field, 0 if the bytes do not reach so far.
pub(crate) fn get<T: Number>(bytes: &[u8], field: Field<T>) -> T {
    field.read(bytes).unwrap_or_default()
}

/// Sets a field, if the bytes reach so far.
pub(crate) fn set<T: Number>(bytes: &mut [u8], field: Field<T>, value: T) {
    let _ = field.write(bytes, value);
}

/// Registers, as a call and the stub hold them.
pub(crate) type Registers = [u8; registers::SIZE];

/// The registers at an offset of a call.
pub(crate) fn registers_at(call: &[u8], offset: usize) -> Registers {
    let mut all = [0; registers::SIZE];
    for (to, from) in all.iter_mut().zip(call.iter().skip(offset)) {
        *to = *from;
    }
    all
}

/// Stores registers at an offset of a call.
pub(crate) fn store_registers(call: &mut [u8], offset: usize, all: &Registers) {
    for (to, from) in call.iter_mut().skip(offset).zip(all) {
        *to = *from;
    }
}
