//! Any answers of a BIOS to the steps of `kjump test-machine`, with any memory and any files of the
//! kernel to compare them with: every step has a finding.
#![no_main]

use firmware::block::Results;
use firmware::examination::{self, Function, Known, Named, Observed, STEPS};

/// Bytes of a block, and of page 0.
const PAGE: usize = 0x1000;

/// A number of eight bytes, zeros where there are none.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |number, &byte| number << 8 | u64::from(byte))
}

fn known(bytes: &[u8]) -> Known {
    let map = bytes.chunks(17).map(|chunk| Named {
        first: number(chunk),
        last: number(chunk.get(8..).unwrap_or_default()),
        kind: if chunk.len() > 16 { "System RAM".into() } else { "Reserved".into() },
    });
    let function = |chunk: &[u8]| Function {
        address: (number(chunk) & 0xffff) as u16,
        id: (number(chunk) >> 32) as u32,
    };
    Known {
        memory_map: bytes.first().map(|_| map.collect()),
        disks: bytes.chunks(8).map(|chunk| ("sda".into(), number(chunk))).collect(),
        controllers: Vec::new(),
        functions: bytes.chunks(8).map(function).collect(),
        last_bus: bytes.first().copied(),
        monitors: vec![("card0-VGA-1".into(), bytes.to_vec())],
        rom: Some(bytes.to_vec()),
        tsc_khz: number(bytes),
    }
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&[split, calls], bytes)) = bytes.split_first_chunk() else { return };
    let (answers, rest) = bytes.split_at(bytes.len() * usize::from(split) / 255);
    let mut block: Vec<u8> = answers.iter().copied().cycle().take(PAGE).collect();
    block.resize(PAGE, 0);
    // The calls came to their end, in half of the inputs.
    block[0x28..0x2c].copy_from_slice(&u32::from(calls).to_le_bytes());
    if calls & 1 == 0 {
        block[0x2c..0x30].fill(0);
    }
    let Some(results) = Results::read(&block) else { return };
    let known = known(rest);
    let clock = (!rest.is_empty()).then(|| [number(rest), number(answers)]);
    for step in STEPS {
        let mut buffer = (step.buffer)();
        for (place, byte) in buffer.iter_mut().zip(answers.iter().cycle()) {
            *place = *byte;
        }
        let observed = Observed { results: &results, buffer: &buffer, page_0: &block, clock };
        let finding = step.finding(&observed, &known);
        assert!(!finding.seen.is_empty(), "{}", step.name);
        assert!((step.calls)(&known).len() <= firmware::block::MOST_CALLS, "{}", step.name);
    }
    let states = [("a", results.before, results.between), ("b", results.between, results.after)];
    let _ = examination::devices(&states);
    let low: Vec<(&str, String)> =
        examination::low_changes(&results, &block, rest).into_iter().map(|change| ("a", change)).collect();
    let _ = examination::left_changed(&states, &low);
    let _ = examination::roms(&known, Some(answers));
});
