//! Calls by name: each knows its registers, and decodes what came back.

use std::fmt::Write;
use std::path::Path;

use anyhow::{bail, ensure};
use firmware::e820::{self, Range};
use firmware::{Call, Registers, edd, edid, need, rom, vbe};
use machine::{Machine, bios as facts};
use serde::Serialize;
use serde_json::{Value, json};

use super::args::BiosArgs;
use super::session::Session;
use super::text;
use crate::terminal::quantity;
use crate::terminal::report::{self, Outcome};
use crate::terminal::table::{Column, Table};

/// A set of calls with a name.
pub(super) struct Named {
    name: &'static str,
    about: &'static str,
    run: fn(&Session, &BiosArgs) -> anyhow::Result<Decoded>,
}

/// The result, for people and for programs.
struct Decoded {
    text: String,
    json: Value,
    /// Whether it agrees with what the kernel knows.
    agrees: bool,
}

const NAMED: &[Named] = &[
    Named {
        name: "e820",
        about: "the memory map (INT 15h E820h), compared with the kernel's",
        run: memory_map,
    },
    Named { name: "vbe", about: "the video BIOS and its modes (INT 10h 4F00h, 4F01h)", run: video_modes },
    Named { name: "edid", about: "the monitor (INT 10h 4F15h), compared with the kernel's", run: monitor },
    Named { name: "edd", about: "the disks as the BIOS sees them (INT 13h 48h)", run: disks },
    Named { name: "pci", about: "the PCI BIOS (INT 1Ah B101h)", run: pci },
    Named { name: "smbios", about: "anchors of tables and option ROMs in the BIOS's memory", run: tables },
];

pub(super) fn find(name: &str) -> Option<&'static Named> {
    NAMED.iter().find(|named| named.name == name)
}

/// All names, a line each.
pub(super) fn list() -> String {
    NAMED.iter().map(|named| format!("{:<8}{}\n", named.name, named.about)).collect()
}

pub(super) fn run(named: &Named, args: &BiosArgs) -> anyhow::Result<Outcome> {
    let session = Session::open(args.allow_disk_writes)?;
    let decoded = (named.run)(&session, args)?;
    if args.json {
        report::print_json(&decoded.json)?;
    } else {
        report::print(&decoded.text)?;
    }
    Ok(if decoded.agrees { Outcome::Done } else { Outcome::No })
}

fn with_deadline(call: Call, args: &BiosArgs) -> Call {
    Call { deadline: args.deadline, ..call }
}

fn memory_map(session: &Session, args: &BiosArgs) -> anyhow::Result<Decoded> {
    const BUFFER: usize = 255 * 24;
    let calls = [with_deadline(need::memory_map(), args)];
    let answer = session.call(&calls, &[0; BUFFER], args.quiesce)?.finished()?;
    let Some(call) = answer.results.calls.first() else { bail!("no call was made") };
    ensure!(
        call.registers.eax == e820::SIGNATURE,
        "EAX is {:#x}, not \"SMAP\": this BIOS has no memory map",
        call.registers.eax
    );
    let ranges = e820::ranges(&answer.buffer, call.times);
    let mut table = Table::new([Column::left("FIRST"), Column::left("LAST"), Column::left("TYPE")]);
    for range in &ranges {
        table.row([format!("{:#014x}", range.start), format!("{:#014x}", range.last()), range.name().into()]);
    }
    let equal = is_the_kernels(&ranges, &session.machine);
    let verdict = match equal {
        None => "the kernel does not show its own in /sys/firmware/memmap",
        Some(true) => "equal to /sys/firmware/memmap",
        Some(false) => "NOT equal to /sys/firmware/memmap",
    };
    let json =
        ranges.iter().map(|range| json!({ "first": range.start, "last": range.last(), "type": range.kind }));
    Ok(Decoded {
        text: format!("{table}{verdict}\n{}", text::changes(&answer.results)),
        json: json!({ "ranges": json.collect::<Vec<_>>(), "equal_to_kernels": equal }),
        agrees: equal != Some(false),
    })
}

/// Whether the kernel got the same map; `None` if it does not show it.
fn is_the_kernels(ranges: &[Range], machine: &Machine) -> Option<bool> {
    let kernels = machine.firmware_map.as_ref().ok()?;
    let mut ours: Vec<(u64, u64, &str)> =
        ranges.iter().map(|range| (range.start, range.last(), range.name())).collect();
    ours.sort_unstable();
    let kernels: Vec<(u64, u64, &str)> =
        kernels.iter().map(|range| (range.first, range.last, range.kind.as_str())).collect();
    Some(ours == kernels)
}

fn video_modes(session: &Session, args: &BiosArgs) -> anyhow::Result<Decoded> {
    let call = with_deadline(Call::interrupt(0x10, Registers { eax: 0x4f00, ..Registers::default() }), args);
    let mut buffer = vec![0; vbe::CONTROLLER_SIZE];
    buffer[..4].copy_from_slice(&vbe::WANTED);
    let answer = session.call(&[call], &buffer, args.quiesce)?.finished()?;
    let implemented =
        answer.results.calls.first().is_some_and(|call| call.registers.ax() == vbe::IMPLEMENTED);
    let controller = vbe::controller(&answer.buffer).filter(|_| implemented);
    let Some(controller) = controller else {
        bail!("this machine's video BIOS has no VBE, or there is none")
    };
    let list = listed(&controller, &answer.buffer);
    let modes = modes(session, args, &list)?;
    let (major, minor) = controller.version;
    let mut table = Table::new([
        Column::left("MODE"),
        Column::right("WIDTH"),
        Column::right("HEIGHT"),
        Column::right("BITS"),
        Column::left("FRAMEBUFFER"),
    ]);
    for mode in modes.iter().filter(|mode| mode.supported && mode.graphics) {
        let framebuffer =
            if mode.framebuffer == 0 { String::new() } else { format!("{:#x}", mode.framebuffer) };
        let numbers = [mode.width.to_string(), mode.height.to_string(), mode.bits.to_string()];
        let [width, height, bits] = numbers;
        table.row([format!("{:#x}", mode.number), width, height, bits, framebuffer]);
    }
    let memory = quantity::bytes(controller.memory);
    let json: Vec<Value> = modes
        .iter()
        .map(|mode| {
            json!({
                "mode": mode.number, "supported": mode.supported, "graphics": mode.graphics,
                "width": mode.width, "height": mode.height, "bits": mode.bits, "pitch": mode.pitch,
                "framebuffer": mode.framebuffer,
            })
        })
        .collect();
    Ok(Decoded {
        text: format!("VBE {major}.{minor}, {memory} of video memory, {} modes\n{table}", list.len()),
        json: json!({ "version": [major, minor], "memory": controller.memory, "modes": json }),
        agrees: true,
    })
}

/// The numbers in the list of modes, which lies in the buffer or in ROM.
fn listed(controller: &vbe::Controller, buffer: &[u8]) -> Vec<u16> {
    let start = u32::from(Registers::BUFFER) * 16;
    let in_buffer = controller.modes.checked_sub(start).and_then(|offset| usize::try_from(offset).ok());
    if let Some(list) = in_buffer.and_then(|offset| buffer.get(offset..)) {
        return vbe::modes(list);
    }
    let rom = facts::rom(Path::new("/")).unwrap_or_default();
    let in_rom = u64::from(controller.modes).checked_sub(rom::START);
    let list = in_rom.and_then(|offset| usize::try_from(offset).ok()).and_then(|offset| rom.get(offset..));
    list.map(vbe::modes).unwrap_or_default()
}

fn modes(session: &Session, args: &BiosArgs, numbers: &[u16]) -> anyhow::Result<Vec<vbe::Mode>> {
    let mut modes = Vec::new();
    for numbers in numbers.chunks(firmware::block::MOST_CALLS) {
        let calls: Vec<Call> = (0_u32..)
            .step_by(vbe::MODE_SIZE)
            .zip(numbers)
            .map(|(edi, &number)| {
                let registers = Registers { eax: 0x4f01, ecx: number.into(), edi, ..Registers::default() };
                with_deadline(Call::interrupt(0x10, registers), args)
            })
            .collect();
        let buffer = vec![0; calls.len() * vbe::MODE_SIZE];
        let answer = session.call(&calls, &buffer, args.quiesce)?.finished()?;
        let described = answer.buffer.chunks(vbe::MODE_SIZE).zip(numbers).zip(&answer.results.calls);
        modes.extend(described.filter_map(|((bytes, &number), call)| {
            vbe::mode(number, bytes).filter(|_| call.registers.ax() == vbe::IMPLEMENTED)
        }));
    }
    Ok(modes)
}

fn monitor(session: &Session, args: &BiosArgs) -> anyhow::Result<Decoded> {
    let registers = Registers { eax: 0x4f15, ebx: 1, ..Registers::default() };
    let call = with_deadline(Call::interrupt(0x10, registers), args);
    let answer = session.call(&[call], &[0; edid::SIZE], args.quiesce)?.finished()?;
    let ax = answer.results.calls.first().map_or(0, |call| call.registers.ax());
    ensure!(
        ax == vbe::IMPLEMENTED,
        "the video BIOS does not pass on EDID (AX is {ax:#06x}), or there is none"
    );
    let monitor = edid::monitor(&answer.buffer)?;
    let mut text = monitor.to_string();
    let kernels = facts::monitors(Path::new("/"));
    let same = kernels.iter().find(|(_, bytes)| bytes.starts_with(&answer.buffer)).map(|(name, _)| name);
    let _ = match (same, kernels.is_empty()) {
        (Some(name), _) => writeln!(text, "kernel        the same, for {name}"),
        (None, true) => writeln!(text, "kernel        no monitor"),
        (None, false) => writeln!(text, "kernel        another one"),
    };
    text.push_str(&text::changes(&answer.results));
    let bytes: String = answer.buffer.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(Decoded {
        text,
        json: json!({
            "manufacturer": monitor.manufacturer, "product": monitor.product, "name": monitor.name,
            "version": monitor.version, "centimetres": monitor.centimetres, "preferred": monitor.preferred,
            "extensions": monitor.extensions, "output": same, "bytes": bytes,
        }),
        agrees: same.is_some() || kernels.is_empty(),
    })
}

fn disks(session: &Session, args: &BiosArgs) -> anyhow::Result<Decoded> {
    /// The first disk, and how many are asked for.
    const FIRST: u32 = 0x80;
    const MOST: u32 = 8;
    const STEP: usize = 128;
    let numbers = FIRST..FIRST + MOST;
    let calls: Vec<Call> = (0_u32..)
        .step_by(STEP)
        .zip(numbers.clone())
        .map(|(esi, edx)| {
            let registers = Registers { eax: 0x4800, edx, esi, ..Registers::default() };
            with_deadline(Call::interrupt(0x13, registers), args)
        })
        .collect();
    let mut buffer = vec![0; calls.len() * STEP];
    for place in buffer.chunks_mut(STEP) {
        place[..2].copy_from_slice(&edd::SIZE.to_le_bytes());
    }
    let answer = session.call(&calls, &buffer, args.quiesce)?.finished()?;
    let kernels = facts::disks(Path::new("/"));
    let mut table = Table::new([
        Column::left("DISK"),
        Column::right("SECTORS"),
        Column::right("BYTES"),
        Column::left("BUS"),
        Column::left("INTERFACE"),
        Column::left("PCI"),
        Column::left("SAME SIZE"),
    ]);
    let mut json = Vec::new();
    let described = numbers.zip(answer.buffer.chunks(STEP)).zip(&answer.results.calls);
    for ((number, bytes), call) in described {
        let Some(drive) = edd::drive(bytes).filter(|_| !call.registers.carry()) else { continue };
        let units = drive.sectors.saturating_mul(u64::from(drive.sector_size) / 512);
        let same: Vec<&str> =
            kernels.iter().filter(|(_, sectors)| *sectors == units).map(|(name, _)| name.as_str()).collect();
        let pci = drive.pci.map(|[bus, device, function]| format!("{bus:02x}:{device:02x}.{function}"));
        table.row([
            format!("{number:#x}"),
            drive.sectors.to_string(),
            drive.sector_size.to_string(),
            drive.host_bus.clone(),
            drive.interface.clone(),
            pci.clone().unwrap_or_default(),
            same.join(" "),
        ]);
        json.push(json!({
            "disk": number, "sectors": drive.sectors, "sector_size": drive.sector_size, "bus": drive.host_bus,
            "interface": drive.interface, "pci": pci, "same_size": same,
        }));
    }
    if json.is_empty() {
        return Ok(Decoded { text: "the BIOS has no disk\n".into(), json: json!([]), agrees: true });
    }
    Ok(Decoded { text: table.to_string() + &text::changes(&answer.results), json: json!(json), agrees: true })
}

fn pci(session: &Session, args: &BiosArgs) -> anyhow::Result<Decoded> {
    let registers = Registers { eax: 0xb101, ..Registers::default() };
    let call = with_deadline(Call::interrupt(0x1a, registers), args);
    let answer = session.call(&[call], &[], args.quiesce)?.finished()?;
    let Some(registers) = answer.results.calls.first().map(|call| call.registers) else {
        bail!("no call was made")
    };
    ensure!(registers.edx == u32::from_le_bytes(*b"PCI "), "this BIOS has no PCI functions");
    let [minor, major] = registers.ebx.to_le_bytes().first_chunk().copied().unwrap_or_default();
    let (last, hardware) = (registers.ecx.to_le_bytes()[0], registers.eax.to_le_bytes()[0]);
    let text = format!(
        "PCI BIOS {major:x}.{minor:02x}, last bus {last}, configuration mechanisms {hardware:#x}, 32-bit \
         entry {:#x}\n",
        registers.edi
    );
    let json = json!({
        "version": [major, minor], "last_bus": last, "mechanisms": hardware, "entry": registers.edi
    });
    Ok(Decoded { text, json, agrees: true })
}

fn tables(_: &Session, _: &BiosArgs) -> anyhow::Result<Decoded> {
    #[derive(Serialize)]
    struct Row {
        what: String,
        address: u64,
        intact: bool,
        content: String,
    }
    let bytes = facts::rom(Path::new("/"))?;
    let roms = rom::option_roms(&bytes).into_iter().map(|rom| Row {
        what: "option ROM".into(),
        address: rom.address,
        intact: !rom.is_wrong(),
        content: match (quantity::bytes(rom.size as u64), rom.has_code) {
            (size, true) => size,
            (size, false) => format!("{size} without code, which the BIOS keeps for its data"),
        },
    });
    let anchors = rom::anchors(&bytes).into_iter().map(|anchor| Row {
        what: anchor.name.into(),
        address: anchor.address,
        intact: anchor.sum == 0,
        content: anchor.content,
    });
    let rows: Vec<Row> = roms.chain(anchors).collect();
    let mut table =
        Table::new([Column::left("WHAT"), Column::left("AT"), Column::left("SUM"), Column::left("CONTENT")]);
    for row in &rows {
        let sum = if row.intact { "right" } else { "WRONG" };
        table.row([row.what.clone(), format!("{:#x}", row.address), sum.into(), row.content.clone()]);
    }
    Ok(Decoded { text: table.to_string(), json: serde_json::to_value(&rows)?, agrees: true })
}
