//! The C header of the kernel module is compiled and compared with this crate.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::mem::{align_of, offset_of, size_of};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use abi::{control, device};

/// A line the C program prints, and what it must print.
struct Fact {
    name: String,
    c_expression: String,
    value: u64,
}

/// The facts about one structure: its size and the offset and size of each field. That the fields
/// fill the structure shows that none is missing from the list.
macro_rules! structure {
    ($facts:expr, $c:literal, $rust:ty, [$($field:ident),* $(,)?]) => {{
        let mut end = 0;
        $(
            assert_eq!(offset_of!($rust, $field), end, "fields of {} before {}", $c, stringify!($field));
            let size = field_size(|it: &$rust| &it.$field);
            end += size;
            let (c, field) = ($c, stringify!($field));
            $facts.push(Fact {
                name: format!("offset of {field} in {c}"),
                c_expression: format!("offsetof(struct {c}, {field})"),
                value: offset_of!($rust, $field) as u64,
            });
            $facts.push(Fact {
                name: format!("size of {field} in {c}"),
                c_expression: format!("sizeof(((struct {c} *)0)->{field})"),
                value: size as u64,
            });
        )*
        assert_eq!(size_of::<$rust>(), end, "fields of {} at its end", $c);
        $facts.push(Fact {
            name: format!("size of {}", $c),
            c_expression: format!("sizeof(struct {})", $c),
            value: size_of::<$rust>() as u64,
        });
        assert_eq!(align_of::<$rust>(), 8);
    }};
}

macro_rules! constants {
    ($($c:ident = $rust:expr),* $(,)?) => {
        vec![$(Fact {
            name: stringify!($c).into(),
            c_expression: stringify!($c).into(),
            value: u64::from($rust),
        }),*]
    };
}

fn field_size<S, F>(_: fn(&S) -> &F) -> usize {
    size_of::<F>()
}

fn structures() -> Vec<Fact> {
    let mut facts = Vec::new();
    structure!(facts, "kjump_segment", device::Segment, [buf, bufsz, mem, memsz]);
    structure!(facts, "kjump_range", device::Range, [start, end]);
    structure!(facts, "kjump_slot_run", device::SlotRun, [destination, source, pages]);
    structure!(facts, "kjump_diagnosis", device::Diagnosis, [reason, numbers]);
    structure!(
        facts,
        "kjump_info",
        device::Info,
        [size, version, features, paging_levels, images, frames, calls, tsc_khz, mover, guard_cpu]
    );
    structure!(
        facts,
        "kjump_load",
        device::Load,
        [
            size,
            segments,
            segment_count,
            vouched,
            vouched_count,
            entry,
            mode,
            flags,
            id,
            pages,
            claimed,
            in_use,
            first_in_use,
            support_frames,
            control_page,
            jump_back,
            diagnosis,
        ]
    );
    structure!(facts, "kjump_transfer", device::Transfer, [size, address, buffer, length, diagnosis]);
    structure!(facts, "kjump_note", device::Note, [size, address, length, diagnosis]);
    structure!(facts, "kjump_fault", control::Fault, [vector, error_code, rip, rflags, cs, cr2, registers]);
    structure!(facts, "kjump_ticks", device::Ticks, [quiesce, enter, run, leave, resume, exchange]);
    structure!(
        facts,
        "kjump_call",
        device::Call,
        [
            size, arguments, quiesce, value, value_high, status, quiesced, fault, ticks, calls, diagnosis,
            deadline
        ]
    );
    structure!(facts, "kjump_name", device::Name, [size, name, diagnosis]);
    structure!(facts, "kjump_list", device::List, [size, entries, capacity, id, count, diagnosis]);
    structure!(
        facts,
        "kjump_image_info",
        device::ImageInfo,
        [
            id,
            name,
            loader,
            mode,
            entry,
            ranges,
            pages,
            claimed,
            in_use,
            support_frames,
            calls,
            faults,
            loaded_at,
            ticks_run,
        ]
    );
    facts
}

fn numbers() -> Vec<Fact> {
    use device::{feature, load_flag, mode, quiesce, reason, status};
    constants!(
        KJUMP_VERSION = device::VERSION,
        KJUMP_IOC_INFO = device::INFO,
        KJUMP_IOC_LOAD = device::LOAD,
        KJUMP_IOC_READ = device::READ,
        KJUMP_IOC_WRITE = device::WRITE,
        KJUMP_IOC_CALL = device::CALL,
        KJUMP_IOC_UNLOAD = device::UNLOAD,
        KJUMP_IOC_KEEP = device::KEEP,
        KJUMP_IOC_ATTACH = device::ATTACH,
        KJUMP_IOC_IMAGES = device::IMAGES,
        KJUMP_IOC_RANGES = device::RANGES,
        KJUMP_IOC_SLOTS = device::SLOTS,
        KJUMP_IOC_NOTE = device::NOTE,
        KJUMP_IOC_WRITE_LIST = device::WRITE_LIST,
        KJUMP_NOTE_ROOM = device::Note::ROOM,
        KJUMP_REASON_NONE = reason::NONE,
        KJUMP_REASON_IMAGE_FIRST = reason::IMAGE_FIRST,
        KJUMP_REASON_IMAGE_LAST = reason::IMAGE_LAST,
        KJUMP_REASON_BAD_SIZE = reason::BAD_SIZE,
        KJUMP_REASON_BAD_FIELD = reason::BAD_FIELD,
        KJUMP_REASON_LOCKED_DOWN = reason::LOCKED_DOWN,
        KJUMP_REASON_LOAD_DISABLED = reason::LOAD_DISABLED,
        KJUMP_REASON_LOAD_DISABLED_UNKNOWN = reason::LOAD_DISABLED_UNKNOWN,
        KJUMP_REASON_NOT_PERMITTED = reason::NOT_PERMITTED,
        KJUMP_REASON_NOT_LOADED = reason::NOT_LOADED,
        KJUMP_REASON_UNDER_WAY = reason::UNDER_WAY,
        KJUMP_REASON_PAGE_IN_USE = reason::PAGE_IN_USE,
        KJUMP_REASON_SUSPEND_FAILED = reason::SUSPEND_FAILED,
        KJUMP_REASON_WOKEN_UP = reason::WOKEN_UP,
        KJUMP_REASON_INTERRUPTED = reason::INTERRUPTED,
        KJUMP_REASON_BAD_POINTER = reason::BAD_POINTER,
        KJUMP_REASON_NOT_IN_IMAGE = reason::NOT_IN_IMAGE,
        KJUMP_REASON_BAD_NAME = reason::BAD_NAME,
        KJUMP_REASON_NO_SUCH_IMAGE = reason::NO_SUCH_IMAGE,
        KJUMP_REASON_NO_MEMORY = reason::NO_MEMORY,
        KJUMP_REASON_ENTRY_TOO_HIGH = reason::ENTRY_TOO_HIGH,
        KJUMP_REASON_ALREADY_LOADED = reason::ALREADY_LOADED,
        KJUMP_REASON_WRONG_CONTEXT = reason::WRONG_CONTEXT,
        KJUMP_REASON_VOUCHED_RAM = reason::VOUCHED_RAM,
        KJUMP_REASON_BAD_VOUCHED = reason::BAD_VOUCHED,
        KJUMP_REASON_VIRTUALIZATION_ON = reason::VIRTUALIZATION_ON,
        KJUMP_REASON_NO_GUARD = reason::NO_GUARD,
        KJUMP_REASON_DEAD = reason::DEAD,
        KJUMP_REASON_CPU_NOT_STARTED = reason::CPU_NOT_STARTED,
        KJUMP_REASON_NOT_WRITTEN = reason::NOT_WRITTEN,
        KJUMP_REASON_BAD_NOTE = reason::BAD_NOTE,
        KJUMP_REASON_NO_DEADLINE = reason::NO_DEADLINE,
        KJUMP_FEATURE_SUSPEND = feature::SUSPEND,
        KJUMP_FEATURE_SUSPEND_OPS_KEPT = feature::SUSPEND_OPS_KEPT,
        KJUMP_FEATURE_CLAIM = feature::CLAIM,
        KJUMP_FEATURE_GIGABYTE_PAGES = feature::GIGABYTE_PAGES,
        KJUMP_FEATURE_GUARD = feature::GUARD,
        KJUMP_FEATURE_WATCH = feature::WATCH,
        KJUMP_FEATURE_TIMER = feature::TIMER,
        KJUMP_MOVER_WORD = control::mover::WORD,
        KJUMP_MOVER_SSE2 = control::mover::SSE2,
        KJUMP_MOVER_AVX = control::mover::AVX,
        KJUMP_MODE_LONG = mode::LONG,
        KJUMP_MODE_PROTECTED = mode::PROTECTED,
        KJUMP_LOAD_FLAG_CLAIM = load_flag::CLAIM,
        KJUMP_LOAD_FLAG_CALL_ON_PANIC = load_flag::CALL_ON_PANIC,
        KJUMP_LOAD_FLAG_GUARD = load_flag::GUARD,
        KJUMP_LOAD_FLAG_GUARDED_FROM_THERE = load_flag::GUARDED_FROM_THERE,
        KJUMP_LOAD_FLAG_UNFILLED = load_flag::UNFILLED,
        KJUMP_HANDOFF_MAGIC = device::Handoff::MAGIC,
        KJUMP_QUIESCE_AUTO = quiesce::AUTO,
        KJUMP_QUIESCE_NONE = quiesce::NONE,
        KJUMP_QUIESCE_STOP = quiesce::STOP,
        KJUMP_QUIESCE_SUSPEND = quiesce::SUSPEND,
        KJUMP_STATUS_NOT_CALLED = status::NOT_CALLED,
        KJUMP_STATUS_RETURNED = status::RETURNED,
        KJUMP_STATUS_FAULT = status::FAULT,
        KJUMP_STATUS_DEADLINE = status::DEADLINE,
    )
}

/// A C program that prints the value of each fact, one a line.
fn program(facts: &[Fact]) -> String {
    let mut text = String::from("#include \"kjump_abi.h\"\n#include <stddef.h>\n#include <stdio.h>\n");
    text.push_str("int main(void)\n{\n\tputs(KJUMP_PATH);\n");
    for fact in facts {
        writeln!(text, "\tprintf(\"%llu\\n\", (unsigned long long)({}));", fact.c_expression).unwrap();
    }
    text.push_str("\treturn 0;\n}\n");
    text
}

fn module_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../module")
}

/// What a C program prints that is compiled with the header, as strictly as the compiler can.
fn compile_and_run(source: &str) -> String {
    let binary = Path::new(env!("CARGO_TARGET_TMPDIR")).join("c_header");
    let mut compiler = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wpadded", "-Werror", "-x", "c", "-o"])
        .arg(&binary)
        .arg("-I")
        .arg(module_folder())
        .arg("-")
        .stdin(Stdio::piped())
        .spawn()
        .expect("a C compiler named cc");
    compiler.stdin.take().unwrap().write_all(source.as_bytes()).unwrap();
    assert!(compiler.wait().unwrap().success(), "kjump_abi.h does not compile");
    let output = Command::new(&binary).output().unwrap();
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_c_header_lays_out_every_structure_and_numbers_every_constant_alike() {
    let facts: Vec<Fact> = structures().into_iter().chain(numbers()).collect();
    let output = compile_and_run(&program(&facts));
    let mut lines = output.lines();
    assert_eq!(lines.next(), Some(device::PATH));
    let printed: Vec<u64> = lines.map(|line| line.parse().unwrap()).collect();
    assert_eq!(printed.len(), facts.len());
    for (fact, c) in facts.iter().zip(printed) {
        assert_eq!(fact.value, c, "{}: Rust left, C right", fact.name);
    }
}

#[test]
fn every_constant_of_the_header_is_compared() {
    let header = std::fs::read_to_string(module_folder().join("kjump_abi.h")).unwrap();
    let compared = numbers();
    let defined = header.lines().filter_map(|line| line.strip_prefix("#define ")?.split_whitespace().next());
    for name in defined.filter(|name| !matches!(*name, "KJUMP_ABI_H" | "KJUMP_PATH")) {
        assert!(compared.iter().any(|fact| fact.name == name), "{name} is not compared");
    }
}
