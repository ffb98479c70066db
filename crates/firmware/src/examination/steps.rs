//! The steps.

use super::places::{self, variable};
use super::{Finding, Function, Known, Observed, Step, end_of_ram, named};
use crate::block::{MOST_CALLS, Returned};
use crate::{Call, Registers, e820, edd, edid, need, vbe};

/// Bytes of the buffer for one disk.
const DISK: usize = 128;
/// Disks that are asked for.
const DISKS: usize = 8;
/// The first disk.
const FIRST_DISK: u32 = 0x80;
/// Milliseconds of the wait, and what a clock of 1024 Hz may be early.
const WAIT: u32 = 200;
const EARLY: u64 = 5;
/// The key A, as scan code and character.
const KEY: u16 = 0x1e61;

/// All steps, in order.
pub const STEPS: &[Step] = &[
    Step { name: "interrupt vectors", calls: |_| vec![call(0x11, 0)], buffer: none, judge: vectors },
    Step { name: "equipment", calls: |_| vec![call(0x11, 0)], buffer: none, judge: equipment },
    Step { name: "base memory", calls: |_| vec![call(0x12, 0)], buffer: none, judge: base_memory },
    Step { name: "A20", calls: |_| vec![call(0x15, 0x2402)], buffer: none, judge: a20 },
    Step {
        name: "memory map (E820h)",
        calls: |_| vec![need::memory_map()],
        buffer: || vec![0; usize::from(e820::ENTRY) * usize::from(e820::MOST)],
        judge: memory_map,
    },
    Step { name: "memory size (E801h)", calls: |_| vec![call(0x15, 0xe801)], buffer: none, judge: e801 },
    Step { name: "memory size (88h)", calls: |_| vec![call(0x15, 0x8800)], buffer: none, judge: e88 },
    Step { name: "system table (C0h)", calls: |_| vec![call(0x15, 0xc000)], buffer: none, judge: system },
    Step { name: "APM", calls: |_| vec![call(0x15, 0x5300)], buffer: none, judge: apm },
    Step {
        name: "date and time",
        calls: |_| vec![call(0x1a, 0x0400), call(0x1a, 0x0200), call(0x1a, 0x0400)],
        buffer: none,
        judge: date_and_time,
    },
    Step { name: "ticks and wait", calls: |_| wait(), buffer: none, judge: waited },
    Step { name: "keyboard", calls: |_| keyboard(), buffer: none, judge: key },
    Step { name: "keyboard rate", calls: |_| vec![call(0x16, 0x0900)], buffer: none, judge: keyboard_rate },
    Step {
        name: "video BIOS",
        calls: |_| vec![call(0x10, 0x0f00), call(0x10, 0x4f00)],
        buffer: || {
            let mut buffer = vec![0; vbe::CONTROLLER_SIZE];
            buffer[..4].copy_from_slice(&vbe::WANTED);
            buffer
        },
        judge: video,
    },
    Step { name: "display (1Ah)", calls: |_| vec![call(0x10, 0x1a00)], buffer: none, judge: display },
    Step { name: "cursor", calls: |_| vec![call(0x10, 0x0300)], buffer: none, judge: cursor },
    Step {
        name: "monitor",
        calls: |_| vec![with(0x10, Registers { eax: 0x4f15, ebx: 1, ..Registers::default() })],
        buffer: || vec![0; edid::SIZE],
        judge: monitor,
    },
    Step { name: "disk types (15h)", calls: |_| disk_types(), buffer: none, judge: disk_type },
    Step { name: "EDD (41h)", calls: |_| edd_versions(), buffer: none, judge: edd_version },
    Step {
        name: "disks (EDD)",
        calls: |_| disks(),
        buffer: || {
            let mut buffer = vec![0; DISK * DISKS];
            buffer.chunks_mut(DISK).for_each(|disk| disk[..2].copy_from_slice(&edd::SIZE.to_le_bytes()));
            buffer
        },
        judge: edd_disks,
    },
    Step { name: "PCI BIOS", calls: |_| vec![call(0x1a, 0xb101)], buffer: none, judge: pci },
    Step { name: "PCI devices", calls: pci_reads, buffer: none, judge: pci_devices },
];

const fn none() -> Vec<u8> {
    Vec::new()
}

fn call(number: u8, eax: u32) -> Call {
    with(number, Registers { eax, ..Registers::default() })
}

const fn with(number: u8, registers: Registers) -> Call {
    Call::interrupt(number, registers)
}

impl Observed<'_> {
    /// A call's registers; the step's calls were all made.
    fn registers(&self, number: usize) -> Registers {
        self.results.calls.get(number).map(|call| call.registers).unwrap_or_default()
    }
}

/// The low half of a register, as its high and its low byte.
const fn halves(register: u32) -> [u8; 2] {
    let [low, high, ..] = register.to_le_bytes();
    [high, low]
}

const fn low(register: u32) -> u16 {
    crate::call::low(register)
}

fn vectors(observed: &Observed<'_>, _: &Known) -> Finding {
    places::vectors(observed.page_0)
}

fn equipment(observed: &Observed<'_>, _: &Known) -> Finding {
    let expected = variable::<u16>(observed.page_0, 0x410).map(|word| format!("{word:#06x}"));
    Finding::equal_if_known(format!("{:#06x}", observed.registers(0).ax()), expected)
}

fn base_memory(observed: &Observed<'_>, known: &Known) -> Finding {
    let expected = end_of_ram(known, 0).map(|end| format!("{} KiB", end / 1024));
    Finding::equal_if_known(format!("{} KiB", observed.registers(0).ax()), expected)
}

/// By what the BIOS says, if it does, and by addresses that do not wrap, before and after the call.
fn a20(observed: &Observed<'_>, _: &Known) -> Finding {
    let registers = observed.registers(0);
    let [_, al] = halves(registers.eax);
    let is_off = !registers.carry() && registers.ah() == 0 && al == 0;
    let wraps = observed.results.before.wraps || observed.results.between.wraps;
    let seen = match (wraps, is_off) {
        (true, _) => "addresses wrap at 1 MiB",
        (false, true) => "off, by the BIOS, but addresses do not wrap",
        (false, false) => "on",
    };
    Finding::equal(seen, "on")
}

fn memory_map(observed: &Observed<'_>, known: &Known) -> Finding {
    let Some(call) = observed.results.calls.first() else { return Finding::seen("no call") };
    if call.registers.eax != e820::SIGNATURE {
        let seen = format!("EAX is {:#x}, not \"SMAP\"", call.registers.eax);
        return Finding::compared(seen, "a memory map", known.memory_map.is_none());
    }
    let map = named(&e820::ranges(observed.buffer, call.times));
    let seen = format!("{} ranges", map.len());
    let Some(kernels) = &known.memory_map else { return Finding::seen(seen) };
    let other = map.iter().chain(kernels).find(|range| map.contains(range) != kernels.contains(range));
    let seen = match other {
        Some(range) => format!("{seen}; differs at {:#x} to {:#x}, {}", range.first, range.last, range.kind),
        None => seen,
    };
    let expected = format!("{} ranges of /sys/firmware/memmap", kernels.len());
    Finding::compared(seen, expected, other.is_none() && map.len() == kernels.len())
}

/// KiB from 1 to 16 MiB, and units of 64 KiB above: of the RAM from 1 MiB on. Some BIOSes return
/// them in CX and DX only.
fn e801(observed: &Observed<'_>, known: &Known) -> Finding {
    const FIRST: u64 = 1 << 20;
    const SECOND: u64 = 16 << 20;
    let registers = observed.registers(0);
    if registers.carry() {
        return Finding::seen("not implemented");
    }
    let pair = |low_part: u32, high_part: u32| (u64::from(low(low_part)), u64::from(low(high_part)));
    let pair = match pair(registers.eax, registers.ebx) {
        (0, 0) => pair(registers.ecx, registers.edx),
        pair => pair,
    };
    let text = |(below, above): (u64, u64)| format!("{below} KiB and {} KiB", above * 64);
    let expected = end_of_ram(known, FIRST).map(|end| {
        let above = end.min(u64::from(u32::MAX) + 1).saturating_sub(SECOND);
        ((end.min(SECOND) - FIRST) >> 10, (above >> 16).min(0xffff))
    });
    Finding::equal_if_known(text(pair), expected.map(text))
}

/// A BIOS may stop counting at any of several limits, so that the RAM is an upper one.
fn e88(observed: &Observed<'_>, known: &Known) -> Finding {
    const FIRST: u64 = 1 << 20;
    let registers = observed.registers(0);
    let size = u64::from(registers.ax());
    let seen = format!("{size} KiB above 1 MiB");
    let Some(end) = end_of_ram(known, FIRST).filter(|_| !registers.carry()) else {
        return Finding::seen(if registers.carry() { "not implemented".into() } else { seen });
    };
    let most = (end - FIRST) >> 10;
    Finding::compared(seen, format!("at most {most} KiB"), size > 0 && size <= most)
}

fn system(observed: &Observed<'_>, _: &Known) -> Finding {
    let registers = observed.registers(0);
    if registers.carry() {
        return Finding::seen("none");
    }
    Finding::seen(format!("at {:04x}:{:04x}", registers.es, low(registers.ebx)))
}

fn apm(observed: &Observed<'_>, _: &Known) -> Finding {
    let registers = observed.registers(0);
    if registers.carry() || low(registers.ebx) != u16::from_be_bytes(*b"PM") {
        return Finding::seen("none");
    }
    let [major, minor] = halves(registers.eax);
    Finding::seen(format!("version {major:x}.{minor:x}"))
}

/// Two digits.
const fn decimal(bcd: u8) -> Option<u64> {
    match (bcd >> 4, bcd & 15) {
        (tens @ 0..=9, ones @ 0..=9) => Some(tens as u64 * 10 + ones as u64),
        _ => None,
    }
}

/// Seconds since 1970 by a date and a time in registers; `None` if they are not one.
fn seconds(date: &Registers, time: &Registers) -> Option<u64> {
    let [century, year] = halves(date.ecx).map(decimal);
    let [month, day] = halves(date.edx).map(decimal);
    let [hour, minute] = halves(time.ecx).map(decimal);
    let second = decimal(halves(time.edx)[0])?;
    let (month, day) = (month.filter(|month| (1..=12).contains(month))?, day.filter(|day| *day > 0)?);
    let year = (century? * 100 + year?).checked_sub(1970)? + 1970;
    // Years that start in March end with the day that a leap year adds.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    let days = days.checked_sub(719_468)?;
    Some(((days * 24 + hour?) * 60 + minute?) * 60 + second)
}

/// The date is read twice, in case midnight is between it and the time.
fn date_and_time(observed: &Observed<'_>, _: &Known) -> Finding {
    let (time, [before, after]) = (observed.registers(1), [0, 2].map(|number| observed.registers(number)));
    let [century, year] = halves(after.ecx);
    let [month, day] = halves(after.edx);
    let [hour, minute] = halves(time.ecx);
    let second = halves(time.edx)[0];
    let seen = format!("{century:02x}{year:02x}-{month:02x}-{day:02x} {hour:02x}:{minute:02x}:{second:02x}");
    let Some([first, last]) = observed.clock else { return Finding::seen(seen) };
    let is_between =
        |date: &Registers| seconds(date, &time).is_some_and(|seconds| (first..=last).contains(&seconds));
    let expected = format!("the kernel's, within {} s", last.saturating_sub(first).saturating_add(1));
    Finding::compared(seen, expected, is_between(&before) || is_between(&after))
}

fn wait() -> Vec<Call> {
    let micros = WAIT * 1000;
    let registers =
        Registers { eax: 0x8600, ecx: micros >> 16, edx: micros & 0xffff, ..Registers::default() };
    vec![call(0x1a, 0), with(0x15, registers), call(0x1a, 0)]
}

/// Both clocks of the BIOS interrupt: that of the wait 1024 times a second, that of the ticks 18.2
/// times. An emulator may lose some, so that only a wait that is too short is wrong.
fn waited(observed: &Observed<'_>, known: &Known) -> Finding {
    let ticks = |number| {
        let Registers { ecx, edx, .. } = observed.registers(number);
        u32::from(low(ecx)) << 16 | u32::from(low(edx))
    };
    let ticks = ticks(2).wrapping_sub(ticks(0));
    let time = observed.results.calls.get(1).map_or(0, |call: &Returned| call.time);
    let expected = format!("{WAIT} ms or more, ticks");
    let Some(milliseconds) = time.checked_div(known.tsc_khz) else {
        return Finding::compared(format!("{ticks} ticks"), "ticks", ticks > 0);
    };
    let long = milliseconds >= u64::from(WAIT).saturating_sub(EARLY);
    Finding::compared(format!("{milliseconds} ms, {ticks} ticks"), expected, long && ticks > 0)
}

/// Puts a key into the BIOS's buffer, looks for it, and takes it out.
fn keyboard() -> Vec<Call> {
    let put = Registers { eax: 0x0500, ecx: KEY.into(), ..Registers::default() };
    vec![with(0x16, put), call(0x16, 0x0100), call(0x16, 0)]
}

fn key(observed: &Observed<'_>, _: &Known) -> Finding {
    Finding::equal(format!("key {:#06x}", observed.registers(2).ax()), format!("key {KEY:#06x}"))
}

/// Whether the BIOS can set and report how fast a key repeats. It is only asked: what it sets would
/// stay, and the kernel has set it already.
fn keyboard_rate(observed: &Observed<'_>, _: &Known) -> Finding {
    const SET: u8 = 1 << 2;
    const GET: u8 = 1 << 3;
    let [_, functions] = halves(observed.registers(0).eax);
    let rate = match (functions & SET != 0, functions & GET != 0) {
        (true, true) => "can be set and read",
        (true, false) => "can be set",
        (false, true) => "can be read",
        (false, false) => "is not for the BIOS to set",
    };
    Finding::seen(format!("{rate} (functions {functions:#04x})"))
}

fn video(observed: &Observed<'_>, _: &Known) -> Finding {
    let mode = halves(observed.registers(0).eax)[1] & 0x7f;
    let implemented = observed.registers(1).ax() == vbe::IMPLEMENTED;
    let controller = vbe::controller(observed.buffer).filter(|_| implemented);
    let seen = controller.as_ref().map_or_else(
        || "no VBE".into(),
        |vbe::Controller { version: (major, minor), memory, .. }| {
            format!("VBE {major}.{minor}, {} MiB, mode {mode:#x}", memory >> 20)
        },
    );
    // Without a video ROM the BIOS itself answers, and has no VBE.
    let has_rom = places::is_in_option_rom(observed.page_0, 0x10);
    let expected = if has_rom { "a VBE: there is a video ROM" } else { "no VBE: there is no video ROM" };
    Finding::compared(seen, expected, has_rom == controller.is_some())
}

/// The kind of display, which every video ROM since 1987 reports.
fn display(observed: &Observed<'_>, _: &Known) -> Finding {
    let registers = observed.registers(0);
    let [_, implemented] = halves(registers.eax);
    let [_, code] = halves(registers.ebx);
    let has_rom = places::is_in_option_rom(observed.page_0, 0x10);
    let seen = match (implemented == 0x1a, code) {
        (false, _) => "no code".into(),
        (true, 0x07) => "VGA, monochrome".into(),
        (true, 0x08) => "VGA, colour".into(),
        (true, code) => format!("code {code:#x}"),
    };
    let expected = if has_rom { "a code: there is a video ROM" } else { "no code: there is no video ROM" };
    Finding::compared(seen, expected, has_rom == (implemented == 0x1a))
}

/// Place and shape of the cursor on page 0, as the BIOS's variables have them. Without a video ROM
/// nothing answers.
fn cursor(observed: &Observed<'_>, _: &Known) -> Finding {
    let text = |place: u16, shape: u16| {
        let ([row, column], [first, last]) = (place.to_be_bytes(), shape.to_be_bytes());
        format!("row {row}, column {column}, scan lines {first} to {last}")
    };
    if !places::is_in_option_rom(observed.page_0, 0x10) {
        return Finding::seen("none: there is no video ROM");
    }
    let registers = observed.registers(0);
    let place = variable(observed.page_0, 0x450).zip(variable(observed.page_0, 0x460));
    let expected = place.map(|(place, shape)| text(place, shape));
    Finding::equal_if_known(text(low(registers.edx), low(registers.ecx)), expected)
}

fn monitor(observed: &Observed<'_>, known: &Known) -> Finding {
    if observed.registers(0).ax() != vbe::IMPLEMENTED {
        return Finding::seen("none");
    }
    let seen = match edid::monitor(observed.buffer) {
        Ok(monitor) => format!("{} {:#06x} {}", monitor.manufacturer, monitor.product, monitor.name),
        Err(error) => return Finding::compared(error.to_string(), "EDID", false),
    };
    if known.monitors.is_empty() {
        return Finding::seen(seen);
    }
    let same = known.monitors.iter().find(|(_, bytes)| bytes.starts_with(observed.buffer));
    let names: Vec<&str> = known.monitors.iter().map(|(name, _)| name.as_str()).collect();
    Finding::compared(seen, format!("the EDID of {}", names.join(" or ")), same.is_some())
}

/// The numbers of the disks that are asked for.
fn disk_numbers() -> impl Iterator<Item = u32> {
    (FIRST_DISK..).take(DISKS)
}

fn disk_types() -> Vec<Call> {
    let one = |edx| with(0x13, Registers { eax: 0x1500, edx, ..Registers::default() });
    disk_numbers().map(one).collect()
}

/// Type 3 is a fixed disk. The BIOS counts them in one of its variables.
fn disk_type(observed: &Observed<'_>, _: &Known) -> Finding {
    const FIXED: u8 = 3;
    let mut fixed = 0;
    let mut sizes = Vec::new();
    for (number, call) in disk_numbers().zip(&observed.results.calls) {
        let registers = call.registers;
        if !registers.carry() && registers.ah() == FIXED {
            let sectors = u32::from(low(registers.ecx)) << 16 | u32::from(low(registers.edx));
            sizes.push(format!("{number:#x}: {sectors} sectors"));
            fixed += 1;
        }
    }
    let seen = if sizes.is_empty() { "no fixed disk".into() } else { sizes.join(", ") };
    match variable::<u8>(observed.page_0, 0x475) {
        Some(count) => {
            let expected = usize::from(count).min(DISKS);
            Finding::compared(seen, format!("fixed disks: {expected}"), fixed == expected)
        }
        None => Finding::seen(seen),
    }
}

fn edd_versions() -> Vec<Call> {
    let one = |edx| with(0x13, Registers { eax: 0x4100, ebx: 0x55aa, edx, ..Registers::default() });
    disk_numbers().map(one).collect()
}

/// The extensions that the BIOS has for each disk (EDD, 8.2): its version and functions.
fn edd_version(observed: &Observed<'_>, _: &Known) -> Finding {
    let all = disk_numbers().zip(&observed.results.calls);
    let versions: Vec<String> = all
        .filter(|(_, call)| !call.registers.carry() && low(call.registers.ebx) == 0xaa55)
        .map(|(number, call)| {
            let version = match call.registers.ah() {
                0x21 => "1.1".into(),
                0x30 => "3.0".into(),
                code => format!("code {code:#x}"),
            };
            format!("{number:#x}: {version}, functions {:#x}", low(call.registers.ecx))
        })
        .collect();
    Finding::seen(if versions.is_empty() { "none".into() } else { versions.join("; ") })
}

fn disks() -> Vec<Call> {
    let one =
        |(esi, edx): (u32, u32)| with(0x13, Registers { eax: 0x4800, edx, esi, ..Registers::default() });
    (0..).step_by(DISK).zip(disk_numbers()).map(one).collect()
}

/// A disk must have the size of one of the kernel's if the BIOS names its controller and a driver
/// has that.
fn edd_disks(observed: &Observed<'_>, known: &Known) -> Finding {
    let (mut seen, mut expected, mut same) = (Vec::new(), Vec::new(), true);
    let described = disk_numbers().zip(observed.buffer.chunks(DISK)).zip(&observed.results.calls);
    for ((number, bytes), call) in described {
        let Some(drive) = edd::drive(bytes).filter(|_| !call.registers.carry()) else { continue };
        let sectors = drive.sectors.saturating_mul(u64::from(drive.sector_size) / 512);
        seen.push(format!("{number:#x}: {sectors} sectors"));
        let with_driver = drive.pci.is_some_and(|[bus, device, function]| {
            let address = format!("0000:{bus:02x}:{device:02x}.{function:x}");
            known.controllers.iter().any(|one| one.address == address && one.driver.is_some())
        });
        match known.disks.iter().find(|(_, size)| *size == sectors) {
            Some((name, size)) => expected.push(format!("{name}: {size}")),
            None if with_driver => {
                same = false;
                expected.push("a disk of that size".into());
            }
            None => {}
        }
    }
    match (seen.is_empty(), expected.is_empty()) {
        (true, _) => Finding::seen("none"),
        (false, true) => Finding::seen(seen.join(", ")),
        (false, false) => Finding::compared(seen.join(", "), expected.join(", "), same),
    }
}

fn pci(observed: &Observed<'_>, known: &Known) -> Finding {
    let registers = observed.registers(0);
    if registers.edx != u32::from_le_bytes(*b"PCI ") {
        return Finding::compared("none", "a PCI BIOS", known.functions.is_empty());
    }
    let [major, minor] = halves(registers.ebx);
    let last = halves(registers.ecx)[1];
    let seen = format!("version {major:x}.{minor:02x}, last bus {last}");
    match known.last_bus {
        // The kernel may number buses behind bridges that the BIOS left alone.
        Some(bus) => Finding::compared(seen, format!("last bus at most {bus}"), last <= bus),
        None => Finding::seen(seen),
    }
}

/// The first word of each device's configuration, of as many devices as there is room for.
fn pci_reads(known: &Known) -> Vec<Call> {
    let one = |function: &Function| {
        with(0x1a, Registers { eax: 0xb10a, ebx: function.address.into(), edi: 0, ..Registers::default() })
    };
    known.functions.iter().take(MOST_CALLS).map(one).collect()
}

fn pci_devices(observed: &Observed<'_>, known: &Known) -> Finding {
    let all = known.functions.iter().zip(&observed.results.calls);
    let wrong: Vec<String> = all
        .clone()
        .filter(|(function, call)| call.registers.carry() || call.registers.ecx != function.id)
        .map(|(function, call)| {
            let [bus, rest] = function.address.to_be_bytes();
            format!("{bus:02x}:{:02x}.{:x} is {:08x}", rest >> 3, rest & 7, call.registers.ecx)
        })
        .collect();
    let (made, count) = (all.count(), known.functions.len().min(MOST_CALLS));
    let expected = format!("{count} as in /sys/bus/pci");
    if wrong.is_empty() {
        return Finding::compared(format!("{made} read"), expected, made == count);
    }
    Finding::compared(wrong.join(", "), expected, false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::block::Results;
    use crate::examination::{Named, Verdict};
    use crate::state::State;
    use abi::bios::why;
    use proptest::prelude::*;

    fn results(all: &[Registers]) -> Results {
        let returned = |&registers| Returned { registers, times: 1, why: why::DONE, place: 0, time: 200_000 };
        Results {
            why: why::DONE,
            done: all.len(),
            nmis: 0,
            ticks: 0,
            stamps: [0; 4],
            before: State::default(),
            between: State::default(),
            after: State::default(),
            calls: all.iter().map(returned).collect(),
        }
    }

    fn verdict(
        name: &str,
        results: &Results,
        buffer: &[u8],
        known: &Known,
        clock: Option<[u64; 2]>,
    ) -> Finding {
        let step = STEPS.iter().find(|step| step.name == name).unwrap();
        step.finding(&Observed { results, buffer, page_0: &[0; 4096], clock }, known)
    }

    fn known() -> Known {
        let range = |first, last| Named { first, last, kind: "System RAM".into() };
        let map = vec![range(0, 0x9_fbff), range(0x10_0000, 0x3ffd_ffff)];
        Known { memory_map: Some(map), tsc_khz: 1000, ..Known::default() }
    }

    fn eax(eax: u32) -> Registers {
        Registers { eax, ..Registers::default() }
    }

    #[test]
    fn memory_sizes_are_compared_with_the_kernels_map() {
        let judge = |name: &str, registers| verdict(name, &results(&[registers]), &[], &known(), None);
        assert_eq!(judge("base memory", eax(639)).verdict, Verdict::Same);
        let wrong = judge("base memory", eax(512));
        assert_eq!((wrong.seen.as_str(), wrong.expected.as_str()), ("512 KiB", "639 KiB"));
        assert_eq!(wrong.verdict, Verdict::Different);
        let pair = Registers { ebx: 0x3efe, ..eax(0x3c00) };
        assert_eq!(judge("memory size (E801h)", pair).verdict, Verdict::Same);
        let moved = Registers { ecx: 0x3c00, edx: 0x3efe, ..eax(0) };
        assert_eq!(judge("memory size (E801h)", moved).verdict, Verdict::Same);
        assert_eq!(judge("memory size (E801h)", eax(0x3c00)).verdict, Verdict::Different);
        assert_eq!(judge("memory size (88h)", eax(0xfc00)).verdict, Verdict::Same);
        assert_eq!(judge("memory size (88h)", eax(0)).verdict, Verdict::Different);
    }

    #[test]
    fn a_range_that_only_one_map_has_is_named() {
        let map = |second_length: u64| {
            let mut buffer = vec![0; 48];
            buffer[8..16].copy_from_slice(&0x9_fc00_u64.to_le_bytes());
            buffer[16] = 1;
            buffer[24..32].copy_from_slice(&0x10_0000_u64.to_le_bytes());
            buffer[32..40].copy_from_slice(&second_length.to_le_bytes());
            buffer[40] = 1;
            let mut results = results(&[eax(e820::SIGNATURE)]);
            results.calls[0].times = 2;
            verdict("memory map (E820h)", &results, &buffer, &known(), None)
        };
        assert_eq!(map(0x3fee_0000).verdict, Verdict::Same);
        let other = map(0x1000);
        assert_eq!(other.seen, "2 ranges; differs at 0x100000 to 0x100fff, System RAM");
        assert_eq!(other.verdict, Verdict::Different);
    }

    #[test]
    fn a_date_is_compared_with_the_kernels_clock() {
        let date = Registers { ecx: 0x2026, edx: 0x1127, ..eax(0) };
        let time = Registers { ecx: 0x1204, edx: 0x0500, ..eax(0) };
        let all = results(&[date, time, date]);
        let now = 1_795_781_045;
        let judge = |clock| verdict("date and time", &all, &[], &known(), clock);
        assert_eq!(judge(Some([now, now])).seen, "2026-11-27 12:04:05");
        assert_eq!(judge(Some([now, now])).verdict, Verdict::Same);
        assert_eq!(judge(Some([now + 1, now + 2])).verdict, Verdict::Different);
        assert_eq!(judge(None).verdict, Verdict::Seen);
        assert_eq!(seconds(&Registers { edx: 0x1a27, ..date }, &time), None);
        assert_eq!(seconds(&Registers { ecx: 0x1960, ..date }, &time), None);
    }

    #[test]
    fn a_wait_takes_its_time_and_lets_ticks_through() {
        let ticks = |first, last| {
            let ticks = |edx| Registers { edx, ..eax(0) };
            results(&[ticks(first), eax(0), ticks(last)])
        };
        let judge = |results: &Results, khz| {
            verdict("ticks and wait", results, &[], &Known { tsc_khz: khz, ..known() }, None)
        };
        assert_eq!(judge(&ticks(5, 9), 1000).seen, "200 ms, 4 ticks");
        assert_eq!(judge(&ticks(5, 9), 1000).verdict, Verdict::Same);
        assert_eq!(judge(&ticks(5, 5), 1000).verdict, Verdict::Different);
        assert_eq!(judge(&ticks(5, 9), 1100).verdict, Verdict::Different);
    }

    #[test]
    fn calls_that_do_not_return_have_a_verdict_of_their_own() {
        let ended = |code, place| {
            let mut results = results(&[eax(0)]);
            (results.why, results.calls[0].place) = (code, place);
            verdict("base memory", &results, &[], &known(), None)
        };
        let hang = ended(why::DEADLINE, 0xf000_b7b9);
        assert_eq!(hang.verdict, Verdict::Hang);
        assert!(hang.seen.ends_with("ended at f000:b7b9"), "{}", hang.seen);
        assert_eq!(ended(why::EXCEPTION | 6, 0).verdict, Verdict::Fault);
        assert_eq!(ended(why::VECTOR, 0).verdict, Verdict::Refused);
    }

    #[test]
    fn fixed_disks_are_those_that_the_bios_counts() {
        let disk = Registers { ecx: 1, edx: 2, ..eax(0x0300) };
        let step = STEPS.iter().find(|step| step.name == "disk types (15h)").unwrap();
        let judge = |count: u8, registers: &[Registers]| {
            let mut page_0 = vec![0; 4096];
            page_0[0x475] = count;
            let (results, buffer) = (results(registers), &[]);
            step.finding(&Observed { results: &results, buffer, page_0: &page_0, clock: None }, &known())
        };
        assert_eq!(judge(1, &[disk, eax(0)]).seen, "0x80: 65538 sectors");
        assert_eq!(judge(1, &[disk, eax(0)]).verdict, Verdict::Same);
        assert_eq!(judge(2, &[disk, eax(0)]).verdict, Verdict::Different);
        assert_eq!(judge(0, &[Registers { eflags: 1, ..disk }]).verdict, Verdict::Same);
    }

    #[test]
    fn the_cursor_is_where_the_bios_keeps_it() {
        let step = STEPS.iter().find(|step| step.name == "cursor").unwrap();
        let judge = |rom: bool, place| {
            let mut page_0 = vec![0; 4096];
            page_0[0x450..0x452].copy_from_slice(&[4, 3]);
            page_0[0x460..0x462].copy_from_slice(&[7, 6]);
            if rom {
                page_0[0x40..0x44].copy_from_slice(&0xc000_0010_u32.to_le_bytes());
            }
            let results = results(&[Registers { ecx: 0x0607, edx: place, ..eax(0) }]);
            step.finding(&Observed { results: &results, buffer: &[], page_0: &page_0, clock: None }, &known())
        };
        assert_eq!(judge(true, 0x0304).seen, "row 3, column 4, scan lines 6 to 7");
        assert_eq!(judge(true, 0x0304).verdict, Verdict::Same);
        assert_eq!(judge(true, 0x0305).verdict, Verdict::Different);
        assert_eq!(judge(false, 0).verdict, Verdict::Seen);
    }

    #[test]
    fn pci_devices_are_those_of_the_kernel() {
        let functions = vec![Function { address: 0x18, id: 0x1237_8086 }];
        let known = Known { functions, ..known() };
        assert_eq!(pci_reads(&known)[0].registers.ebx, 0x18);
        let judge = |ecx| verdict("PCI devices", &results(&[Registers { ecx, ..eax(0) }]), &[], &known, None);
        assert_eq!(judge(0x1237_8086).verdict, Verdict::Same);
        assert_eq!(judge(0xffff_ffff).seen, "00:03.0 is ffffffff");
        assert_eq!(judge(0xffff_ffff).verdict, Verdict::Different);
    }

    proptest! {
        #[test]
        fn any_answer_has_a_verdict(
            registers in proptest::collection::vec(any::<(u32, u32, u32, u32)>(), 0..30),
            bytes in proptest::collection::vec(any::<u8>(), 0..2000),
            clock in any::<Option<[u64; 2]>>(),
        ) {
            let all: Vec<Registers> = registers
                .iter()
                .map(|&(eax, ebx, ecx, edx)| Registers { eax, ebx, ecx, edx, ..Registers::default() })
                .collect();
            let known = Known { rom: Some(bytes.clone()), ..known() };
            let results = results(&all);
            for step in STEPS {
                let observed = Observed { results: &results, buffer: &bytes, page_0: &bytes, clock };
                let finding = step.finding(&observed, &known);
                prop_assert!(!finding.seen.is_empty());
            }
        }
    }

    /// Bytes of a block, in runs of eight: mostly the least and the greatest numbers.
    fn extremes() -> impl Strategy<Value = Vec<u8>> {
        let number = prop_oneof![
            4 => Just(0),
            4 => Just(u64::MAX),
            1 => Just(1),
            1 => Just(u64::MAX >> 1),
            1 => any::<u64>(),
        ];
        let block = proptest::collection::vec(number, abi::bios::ENTRY / 8);
        block.prop_map(|numbers| numbers.into_iter().flat_map(u64::to_le_bytes).collect())
    }

    proptest! {
        #[test]
        fn the_greatest_numbers_are_judged(
            mut block in extremes(),
            tsc_khz in prop_oneof![Just(0), Just(1), Just(u64::MAX)],
            last in prop_oneof![Just(0x9_fbff), Just(u64::MAX)],
            clock in proptest::option::of(prop_oneof![Just([0, u64::MAX]), Just([u64::MAX, 0])]),
        ) {
            // The calls came to their end.
            prop_assert!(abi::bios::WHY.write(&mut block, why::DONE));
            prop_assert!(abi::bios::DONE.write(&mut block, 16));
            let results = Results::read(&block).unwrap();
            let range = |first| Named { first, last, kind: "System RAM".into() };
            let known = Known {
                memory_map: Some(vec![range(0), range(0x10_0000)]),
                disks: vec![("sda".into(), last)],
                tsc_khz,
                ..Known::default()
            };
            for step in STEPS {
                let mut buffer = (step.buffer)();
                buffer.fill(0xff);
                let observed = Observed { results: &results, buffer: &buffer, page_0: &block, clock };
                prop_assert!(!step.finding(&observed, &known).seen.is_empty());
            }
        }
    }
}
