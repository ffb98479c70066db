//! The block of the image in `bare/bios`: [`abi::bios`].

use abi::bios::{
    self as field, CALL_COUNT, CALLS, CALLS_MAX, ENTRY, FLAGS, MAGIC, MAGIC_NUMBER, call, kind, registers,
    why,
};
use abi::{Field, Number};

use crate::need::Setup;
use crate::state::State;
use crate::{Call, Kind, Registers};

/// Most calls of one block.
pub const MOST_CALLS: usize = CALLS_MAX;

/// The block that makes these calls, of which there are at most [`MOST_CALLS`].
#[must_use]
pub fn render(setup: &Setup, calls: &[Call], buffer: u32) -> Vec<u8> {
    let mut bytes = vec![0; ENTRY];
    let calls = calls.get(..MOST_CALLS.min(calls.len())).unwrap_or_default();
    put(&mut bytes, MAGIC, MAGIC_NUMBER);
    put(&mut bytes, FLAGS, setup.flags);
    put(&mut bytes, CALL_COUNT, u32::try_from(calls.len()).unwrap_or(0));
    put(&mut bytes, field::HPET, setup.hpet);
    put(&mut bytes, field::IO_APIC, setup.io_apic);
    put(&mut bytes, field::PIC_LINUX, u16::from_le_bytes([setup.vectors, setup.vectors.wrapping_add(8)]));
    put(&mut bytes, field::PIC_MASK, setup.mask);
    put(&mut bytes, field::BUFFER_LENGTH, buffer);
    for (one, bytes) in calls.iter().zip(bytes[CALLS..].chunks_exact_mut(call::SIZE)) {
        render_call(one, bytes);
    }
    bytes
}

fn render_call(one: &Call, bytes: &mut [u8]) {
    match one.kind {
        Kind::Interrupt(number) => {
            put(bytes, call::KIND, kind::INTERRUPT);
            put(bytes, call::NUMBER, number);
        }
        Kind::Loop { number, most, step } => {
            put(bytes, call::KIND, kind::LOOP);
            put(bytes, call::NUMBER, number);
            put(bytes, call::MOST, most);
            put(bytes, call::STEP, step);
        }
        Kind::Far { segment, offset } => {
            put(bytes, call::KIND, kind::FAR);
            put(bytes, call::TARGET, u32::from(segment) << 16 | u32::from(offset));
        }
    }
    put(bytes, call::DEADLINE, one.ticks());
    let Registers { eax, ebx, ecx, edx, esi, edi, ebp, eflags, ds, es } = one.registers;
    let general = [eax, ebx, ecx, edx, esi, edi, ebp, eflags];
    for (number, value) in general.into_iter().enumerate() {
        put(bytes, Field::at(call::IN + number * 4), value);
    }
    put(bytes, Field::at(call::IN + registers::DS.offset()), ds);
    put(bytes, Field::at(call::IN + registers::ES.offset()), es);
}

/// The bytes are a whole block.
fn put<T: Number>(bytes: &mut [u8], field: Field<T>, value: T) {
    let is_inside = field.write(bytes, value);
    debug_assert!(is_inside);
}

/// What a block says after the calls.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Results {
    /// One of [`why`].
    pub why: u32,
    /// Calls that were made.
    pub done: usize,
    /// NMIs that came meanwhile.
    pub nmis: u32,
    /// Ticks that came meanwhile.
    pub ticks: u32,
    /// Time stamps: entry, before the first call, after the last, end.
    pub stamps: [u64; 4],
    /// The machine before.
    pub before: State,
    /// The machine as the calls left it.
    pub between: State,
    /// The machine at the end.
    pub after: State,
    /// The calls that were made.
    pub calls: Vec<Returned>,
}

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Returned {
    /// The registers out.
    pub registers: Registers,
    /// How many times it was made.
    pub times: u32,
    /// One of [`why`].
    pub why: u32,
    /// Where it was ended: the segment in the high half, the offset in the low one. After
    /// [`why::VECTOR`] the vector.
    pub place: u32,
    /// Ticks of the time stamp counter.
    pub time: u64,
}

impl Results {
    /// Reads a block; `None` if the bytes are not all of one.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..ENTRY)?;
        let done = usize::try_from(field::DONE.read(bytes)?).ok()?.min(CALLS_MAX);
        let all = bytes.get(CALLS..)?.chunks_exact(call::SIZE);
        let mut stamps = [0; 4];
        for (number, stamp) in stamps.iter_mut().enumerate() {
            *stamp = field::stamp(number).read(bytes)?;
        }
        Some(Self {
            why: field::WHY.read(bytes)?,
            done,
            nmis: field::NMIS.read(bytes)?,
            ticks: field::TICKS.read(bytes)?,
            stamps,
            before: State::read(bytes.get(field::BEFORE..)?)?,
            between: State::read(bytes.get(field::BETWEEN..)?)?,
            after: State::read(bytes.get(field::AFTER..)?)?,
            calls: all.take(done).map(read_call).collect::<Option<_>>()?,
        })
    }

    /// Whether the calls came to their end.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.why == why::DONE
    }
}

fn read_call(bytes: &[u8]) -> Option<Returned> {
    let out = |register: Field<u32>| Field::<u32>::at(call::OUT + register.offset()).read(bytes);
    let segment = |register: Field<u16>| Field::<u16>::at(call::OUT + register.offset()).read(bytes);
    Some(Returned {
        registers: Registers {
            eax: out(registers::EAX)?,
            ebx: out(registers::EBX)?,
            ecx: out(registers::ECX)?,
            edx: out(registers::EDX)?,
            esi: out(registers::ESI)?,
            edi: out(registers::EDI)?,
            ebp: out(registers::EBP)?,
            eflags: out(registers::EFLAGS)?,
            ds: segment(registers::DS)?,
            es: segment(registers::ES)?,
        },
        times: call::TIMES.read(bytes)?,
        why: call::WHY.read(bytes)?,
        place: call::WHERE.read(bytes)?,
        time: call::TIME.read(bytes)?,
    })
}

/// How a call ended, in words; `None` if it returned.
#[must_use]
pub fn explain(why: u32, place: u32) -> Option<String> {
    let place = format!("{:04x}:{:04x}", place >> 16, place & 0xffff);
    Some(match why {
        why::DONE => return None,
        why::DEADLINE => format!("did not return before its deadline; it was ended at {place}"),
        why::VECTOR => format!("its interrupt vector, {place}, does not point into ROM"),
        why::VIRTUALIZATION => {
            "the CPU runs virtual machines, and cannot leave 64-bit mode; end them and unload kvm_intel or \
             kvm_amd, or use --quiesce suspend"
                .into()
        }
        why::NO_BIOS => "this machine has no BIOS: its interrupt vectors are all zero".into(),
        why::BASE_MEMORY => {
            "the BIOS has less base memory than the firmware's memory map; restart the machine".into()
        }
        why::SENSELESS => "the block of calls is not valid; this is a bug in kjump".into(),
        _ if why & why::EXCEPTION != 0 => {
            let vector = why & 0xff;
            let name = match vector {
                0 => "divide error",
                6 => "invalid opcode",
                8 => "double fault",
                12 => "stack fault",
                13 => "general protection fault",
                _ => "exception",
            };
            format!("exception {vector} ({name}) at {place}")
        }
        _ => format!("ended for reason {why:#x} at {place}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::need::{Facts, setup};
    use proptest::prelude::*;

    fn calls() -> Vec<Call> {
        let registers = Registers { eax: 0xe820, ebp: 7, es: 0x1234, ..Registers::default() };
        let one = Call::interrupt(0x15, registers);
        let [looped, far] =
            [Kind::Loop { number: 0x15, most: 100, step: 24 }, Kind::Far { segment: 0xf000, offset: 0xfff0 }];
        vec![one, Call { kind: looped, ..one }, Call { kind: far, ..one }]
    }

    #[test]
    fn a_call_stands_in_the_block_as_the_image_reads_it() {
        let setup = setup(&Facts { hpet: 0xfed0_0000, vectors: 0x30, ..Facts::default() }, &calls());
        let bytes = render(&setup, &calls(), 0x1000);
        assert_eq!(field::PIC_LINUX.read(&bytes), Some(0x3830));
        assert_eq!(CALL_COUNT.read(&bytes), Some(3));
        let third = &bytes[CALLS + 2 * call::SIZE..];
        assert_eq!(call::KIND.read(third), Some(kind::FAR));
        assert_eq!(call::TARGET.read(third), Some(0xf000_fff0));
        assert_eq!(Field::<u32>::at(call::IN).read(third), Some(0xe820));
        assert_eq!(Field::<u16>::at(call::IN + 0x22).read(third), Some(0x1234));
    }

    #[test]
    fn more_calls_than_there_is_room_for_are_left_out() {
        let many = vec![calls()[0]; MOST_CALLS + 1];
        let bytes = render(&setup(&Facts::default(), &many), &many, 0);
        assert_eq!(CALL_COUNT.read(&bytes), u32::try_from(MOST_CALLS).ok());
    }

    #[test]
    fn every_ending_is_explained() {
        assert_eq!(explain(why::DONE, 0), None);
        let text = explain(why::EXCEPTION, 0x2000_0001).unwrap();
        assert_eq!(text, "exception 0 (divide error) at 2000:0001");
        assert!(explain(why::DEADLINE, 0xf000_b7b9).unwrap().ends_with("at f000:b7b9"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..5000)) {
            if let Some(results) = Results::read(&bytes) {
                prop_assert!(results.calls.len() == results.done && results.done <= MOST_CALLS);
            }
        }
    }
}
