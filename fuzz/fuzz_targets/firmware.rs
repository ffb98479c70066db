//! Any bytes as what a BIOS returned or left in memory: an error, or a value that can be printed.
#![no_main]

use firmware::{block, e820, edd, edid, rom, vbe};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    match choice % 6 {
        0 => {
            for range in e820::ranges(bytes, u32::MAX) {
                let _ = (range.last(), range.name());
            }
        }
        1 => {
            let _ = edid::monitor(bytes).map(|monitor| monitor.to_string());
        }
        2 => {
            let _ = (vbe::controller(bytes), vbe::mode(0, bytes), vbe::modes(bytes));
        }
        3 => {
            if let Some(drive) = edd::drive(bytes) {
                assert!(drive.host_bus.is_ascii() && drive.interface.is_ascii());
            }
        }
        4 => {
            // The last 64 KiB are the BIOS.
            let mut memory = vec![0; 0x3_0000];
            memory.extend_from_slice(bytes);
            for rom in rom::option_roms(bytes) {
                assert!(rom.size <= bytes.len());
            }
            let _ = rom::anchors(&memory);
        }
        _ => {
            if let Some(results) = block::Results::read(bytes) {
                assert!(results.calls.len() == results.done);
                let _ = results.before.differences(&results.after);
                let _ = results.calls.iter().map(|call| block::explain(call.why, call.place)).count();
            }
        }
    }
});
