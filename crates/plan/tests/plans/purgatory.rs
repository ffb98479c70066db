//! Plans as purgatory reads them.

use abi::purgatory::{
    COPY_FROM, COPY_SIZE, COPY_TO, ENTRY, GOAL, JUMP_BACK, JUMP_BACK_PARAMETER, KEY_SIZE, MODE, PAUSE, flag,
    mode, register, register_field,
};
use abi::setup_header as header;
use kernel_file::testing::bzimage;
use plan::elfcorehdr::NoteAt;
use plan::linux::{Home, Request, plan};
use plan::purgatory::Purgatory;
use plan::{Error, LoadPlan, Machine, MemoryKind};
use proptest::prelude::*;
use purgatory::digest::{Digest, PAGE, Schedule};
use purgatory::{Block, Damage, verify, write_jump_back};

use crate::support::{self, MIB, QUIET, pages, range};

const KERNEL_SIZE: usize = 70_000;

/// A kernel of some pages that needs 2 MiB.
fn kernel_file() -> Vec<u8> {
    bzimage(KERNEL_SIZE, 2 << 20)
}

/// 1 GiB, of which 128 MiB are reserved for a crash kernel.
fn machine() -> Machine {
    Machine {
        ram: vec![pages(0x1000, 0x9_f000), pages(MIB, 1024 * MIB)],
        firmware: vec![
            range(0, 0x9_fbff, MemoryKind::Ram),
            range(0x9_fc00, 0x9_ffff, MemoryKind::Reserved),
            range(MIB, 1024 * MIB - 1, MemoryKind::Ram),
        ],
        vmcoreinfo: Some(NoteAt { address: 0x4af_a000, size: 0x1024 }),
        cpu_notes: vec![NoteAt { address: 0x3f41_b600, size: 368 }],
        crash: vec![pages(768 * MIB, 896 * MIB)],
        ..Machine::default()
    }
}

/// The real code.
const REAL: Purgatory<'static> = Purgatory { image: purgatory::IMAGE, ..QUIET };

fn request<'a>(kernel: &'a [u8], initrd: &'a [u8], home: Home) -> Request<'a> {
    Request {
        command_line: b"console=ttyS0".to_vec(),
        purgatory: REAL,
        ..support::request(kernel, &[initrd], home)
    }
}

/// Seals a plan as kexec does.
fn seal(plan: &mut LoadPlan<'_>, key: [u8; KEY_SIZE]) {
    plan.seal(&key, |parameters, regions| {
        let schedule = Schedule::new(&key);
        let mut digest = Digest::new();
        parameters.into_iter().for_each(|part| digest.describe(part));
        for page in regions.iter().flat_map(|bytes| bytes.chunks(PAGE)) {
            digest.tags(&[schedule.tag(page)]);
        }
        digest.finish()
    });
}

/// The memory that a plan loads, segment by segment.
struct Memory(Vec<(u64, Vec<u8>)>);

impl Memory {
    fn of(plan: &LoadPlan<'_>) -> Self {
        let segment = |segment: &plan::Segment<'_>| {
            let mut bytes = segment.bytes.to_vec();
            bytes.resize(segment.range.bytes() as usize, 0);
            (segment.range.start().get(), bytes)
        };
        Self(plan.segments().iter().map(segment).collect())
    }

    fn at(&self, start: u64, size: u64) -> &[u8] {
        let holds =
            |(first, bytes): &&(u64, Vec<u8>)| *first <= start && start + size <= first + bytes.len() as u64;
        let (first, bytes) = self.0.iter().find(holds).expect("the address is loaded");
        &bytes[(start - first) as usize..][..size as usize]
    }

    fn block(&self, plan: &LoadPlan<'_>) -> [u8; ENTRY] {
        let start = plan.entry().get() - ENTRY as u64;
        self.at(start, ENTRY as u64).try_into().unwrap()
    }

    fn check(&self, plan: &LoadPlan<'_>) -> Result<(), Damage> {
        verify(&Block::new(&self.block(plan)).unwrap(), |start, size| self.at(start, size))
    }
}

#[test]
fn purgatory_finds_the_planned_load_and_its_entry_point() {
    let (kernel, initrd) = (kernel_file(), vec![0x5a; 12_345]);
    let mut plan = plan(&request(&kernel, &initrd, Home::ANYWHERE), &machine()).unwrap();
    seal(&mut plan, [3; 32]);
    let memory = Memory::of(&plan);
    assert_eq!(memory.check(&plan), Ok(()));
    let bytes = memory.block(&plan);
    let block = Block::new(&bytes).unwrap();
    assert!(block.has(flag::CHECK) && !block.has(flag::COMES_BACK));
    assert_eq!((block.get(MODE), block.get(PAUSE), block.get(COPY_SIZE)), (mode::LONG, 10, 0));
    assert_eq!(memory.at(block.get(GOAL), 4), [0x90; 4]);
    let params = block.get(register_field(register::RSI));
    assert_eq!(header::HEADER.read(memory.at(params, 4096)), Some(header::HEADER_MAGIC));
    let covered: u64 = block.regions().map(|region| region.bytes).sum();
    assert!(covered > KERNEL_SIZE as u64 + 12_345);
    // Only purgatory's parameters and variables are neither verified nor zero.
    let all: u64 = block.regions().map(|region| region.bytes + region.zeros).sum();
    assert_eq!(plan.bytes() - all, 0x1000 + 0x8000);
}

#[test]
fn another_key_makes_another_digest() {
    let (kernel, initrd) = (kernel_file(), vec![1]);
    let digests = [1, 2].map(|key| {
        let mut plan = plan(&request(&kernel, &initrd, Home::ANYWHERE), &machine()).unwrap();
        seal(&mut plan, [key; 32]);
        let bytes = Memory::of(&plan).block(&plan);
        *Block::new(&bytes).unwrap().digest()
    });
    assert_ne!(digests[0], digests[1]);
}

#[test]
fn a_peer_gets_the_jump_back_entry_as_the_last_kernel_parameter() {
    let (kernel, initrd) = (kernel_file(), vec![1]);
    let home = Home::Peer { window: pages(256 * MIB, 320 * MIB), view: None };
    let mut request = request(&kernel, &initrd, home);
    request.command_line = b"console=ttyS0 -- single".to_vec();
    let mut plan = plan(&request, &machine()).unwrap();
    seal(&mut plan, [0; 32]);
    let mut memory = Memory::of(&plan);
    let bytes = memory.block(&plan);
    let block = Block::new(&bytes).unwrap();
    assert!(block.has(flag::COMES_BACK));
    let at = block.get(JUMP_BACK);
    let (first, bytes) =
        memory.0.iter_mut().find(|(first, bytes)| *first <= at && at < first + bytes.len() as u64).unwrap();
    let offset = (at - *first) as usize;
    assert!(write_jump_back(&mut bytes[offset..offset + JUMP_BACK_PARAMETER.len()], 0x1234_5678_9abc));
    let line = &bytes[offset - b"console=ttyS0 ".len()..];
    assert!(line.starts_with(b"console=ttyS0 kexec_jump_back_entry=0x0000123456789abc -- single\0"));
}

#[test]
fn a_crash_kernel_is_planned_in_its_memory_alone() {
    let (kernel, initrd) = (kernel_file(), vec![0x5a; 12_345]);
    let mut plan = plan(&request(&kernel, &initrd, Home::Crash { update_size: None }), &machine()).unwrap();
    seal(&mut plan, [3; 32]);
    let memory = Memory::of(&plan);
    assert_eq!(memory.check(&plan), Ok(()));
    let bytes = memory.block(&plan);
    let block = Block::new(&bytes).unwrap();
    let copy = (block.get(COPY_FROM), block.get(COPY_TO), block.get(COPY_SIZE));
    let line = String::from_utf8(plan.command_line().to_vec()).unwrap();
    let header: u64 = line.split_once("elfcorehdr=").unwrap().1.trim_end_matches('K').parse().unwrap();
    assert_eq!(copy, (0, header * 1024 + 4096, 640 * 1024));
    assert_eq!(&memory.at(header * 1024, 4096)[..4], b"\x7fELF");
    let kept = pages(header * 1024, header * 1024 + 4096 + 640 * 1024);
    let ram = plan.memory().iter().filter(|range| range.kind() == MemoryKind::Ram);
    assert!(ram.filter_map(|range| range.pages()).all(|range| range.intersection(kept).is_none()));
}

#[test]
fn a_crash_kernels_plan() {
    let (kernel, initrd) = (kernel_file(), vec![0x5a; 12_345]);
    let request =
        Request { purgatory: QUIET, ..request(&kernel, &initrd, Home::Crash { update_size: None }) };
    insta::assert_snapshot!(plan(&request, &machine()).unwrap());
}

#[test]
fn an_elfcorehdr_that_is_updated_has_its_size_and_is_not_verified() {
    let (kernel, initrd) = (kernel_file(), vec![1]);
    let home = Home::Crash { update_size: Some(0x5001) };
    let mut plan = plan(&request(&kernel, &initrd, home), &machine()).unwrap();
    seal(&mut plan, [3; 32]);
    let header = plan.segments().iter().find(|segment| segment.name == "elfcorehdr").unwrap().range;
    assert_eq!(header.bytes(), 0x6000);
    let mut memory = Memory::of(&plan);
    let segment = memory.0.iter_mut().find(|(start, _)| *start == header.start().get()).unwrap();
    segment.1.fill(0xee);
    assert_eq!(memory.check(&plan), Ok(()));
}

#[test]
fn without_reserved_memory_there_is_no_crash_kernel() {
    let (kernel, initrd) = (kernel_file(), vec![1]);
    let crash = Home::Crash { update_size: None };
    let none = Machine { crash: Vec::new(), ..machine() };
    assert_eq!(plan(&request(&kernel, &initrd, crash), &none), Err(Error::NoCrashMemory));
    let small = Machine { crash: vec![pages(768 * MIB, 769 * MIB)], ..machine() };
    let error = plan(&request(&kernel, &initrd, crash), &small).unwrap_err();
    assert!(error.to_string().starts_with("no room for kernel: 2 MiB"), "{error}");
}

proptest! {
    #[test]
    fn any_changed_bit_of_the_load_is_found(place: prop::sample::Index, bit in 0..8_u8) {
        let (kernel, initrd) = (kernel_file(), vec![0x5a; 12_345]);
        let mut plan = plan(&request(&kernel, &initrd, Home::ANYWHERE), &machine()).unwrap();
        seal(&mut plan, [9; 32]);
        let mut memory = Memory::of(&plan);
        let block = memory.block(&plan);
        let regions: Vec<_> = Block::new(&block).unwrap().regions().collect();
        let all: u64 = regions.iter().map(|region| region.bytes + region.zeros).sum();
        let mut place = place.index(all as usize) as u64;
        let mut regions = regions.into_iter();
        let region = loop {
            let region = regions.next().unwrap();
            if place < region.bytes + region.zeros {
                break region;
            }
            place -= region.bytes + region.zeros;
        };
        let address = region.start + place;
        let (first, bytes) = memory.0.iter_mut()
            .find(|(first, bytes)| *first <= address && address < first + bytes.len() as u64).unwrap();
        bytes[(address - *first) as usize] ^= 1 << bit;
        prop_assert!(memory.check(&plan).is_err());
    }
}
