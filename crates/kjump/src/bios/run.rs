//! `kjump bios run`: the program on a disk image, in real mode, until it ends.

pub(super) mod args;
mod place;
mod text;

use std::fs::{self, File};
use std::path::Path;

use abi::bios::disk::BASE_MEMORY;
use abi::bios::{ENTRY, MEMORY};
use abi::device::{load_flag, mode};
use anyhow::{Context, anyhow, bail};
use firmware::block::explain;
use firmware::disk::Disk;
use firmware::e820::Range;
use firmware::need::{self, Level};
use firmware::program::{self, End, Ended, MIB, Memory, Program};
use machine::{Machine, bios as facts};
use sys::Device;
use sys::device::{Destination, LoadRequest};
use sys::mapping::FileBytes;

use self::args::RunArgs;
use self::place::Places;
use self::text::Report;
use super::session;
use crate::device;
use crate::terminal::output_file;
use crate::terminal::quantity;
use crate::terminal::report::{self, Outcome};

pub(super) fn run(args: &RunArgs) -> anyhow::Result<Outcome> {
    let (bytes, disk) = open(args).with_context(|| args.image.display().to_string())?;
    let machine = Machine::probe(Path::new("/"));
    let facts = facts::facts(Path::new("/"), &machine);
    need::check(&facts, &[], Level::Suspend, false)?;
    let places = places(&machine, args, bytes.len() as u64)?;
    let memory = Memory::new(&firmware_map(&machine)?, places.memory_end)?;
    let device = device::open()?;
    let tsc_khz = device.info()?.tsc_khz;
    // Interrupts of the 8259s are wired to the first CPU.
    sys::system::run_on_first_cpu().context("the BIOS must run on CPU 0")?;

    let contents = places.kept + BASE_MEMORY as u64;
    load(&device, &machine, &facts, &places, &bytes)?;
    drop(bytes);
    let deadline = args.deadline.unwrap_or(0);
    let program = Program { disk: &disk, memory: &memory, kept: places.kept, contents, deadline };
    device.write(places.image, &program::render(&facts, &program))?;
    session::enter(&device, Level::Suspend)?;
    let mut block = vec![0; ENTRY];
    device.read(places.image, &mut block)?;
    let ended = Ended::read(&block).context("the image left no results; this is a bug in kjump")?;
    let Some(end) = ended.end() else {
        bail!(
            "{}",
            explain(ended.results.why, ended.place).unwrap_or_else(|| "the program did not run".into())
        )
    };
    let written_to = written_to(args, &ended);
    if let Some(path) = written_to {
        let mut bytes = vec![0; usize::try_from(disk.sectors * firmware::disk::SECTOR)?];
        device.read(contents, &mut bytes)?;
        output_file::write_bytes(path, &bytes)?;
    }
    let seconds = seconds(&ended, tsc_khz);
    let report = Report { disk: &disk, ended: &ended, end, seconds, written_to };
    if args.json {
        report::print_json(&report.to_json())?;
    } else {
        report::print(&report.text())?;
    }
    Ok(match end {
        End::Int19 | End::Keys | End::Restart => Outcome::Done,
        End::Int18 => Outcome::No,
        End::Deadline => Outcome::Deadline,
        End::Exception => Outcome::Fault,
    })
}

/// The image, which must be a file: the kernel's file systems are not to be read past their cache.
fn open(args: &RunArgs) -> anyhow::Result<(FileBytes, Disk)> {
    if !fs::metadata(&args.image)?.is_file() {
        bail!("it is not a regular file; copy the disk into one with dd");
    }
    let mut file = File::open(&args.image)?;
    let size = file.metadata()?.len();
    let kind = args.kind.map(Into::into);
    let bytes = FileBytes::of(&mut file)?;
    let first = bytes.get(..bytes.len().min(512)).unwrap_or_default();
    let disk = Disk::of(first, size, kind)?;
    if bytes.len() as u64 != size {
        bail!("it changes while it is read");
    }
    Ok((bytes, disk))
}

/// Where everything goes, if there is memory for it.
fn places(machine: &Machine, args: &RunArgs, disk: u64) -> anyhow::Result<Places> {
    let memory = machine.memory.as_ref().map_err(|error| anyhow!("{error}"))?;
    if memory.is_hidden() {
        bail!("the kernel shows no addresses in /proc/iomem; run as root, with CAP_SYS_ADMIN");
    }
    let kept = BASE_MEMORY as u64 + disk.next_multiple_of(0x1000);
    let places = place::choose(memory.resources(), args.memory, MEMORY as u64, kept)?;
    let needed = kept + (places.memory_end - MIB) + MEMORY as u64;
    if let Ok(amounts) = &machine.amounts
        && needed > amounts.available
    {
        bail!(
            "it takes {} of memory, and {} are available; free some, or use a smaller disk or less --memory",
            quantity::bytes(needed),
            quantity::bytes(amounts.available)
        );
    }
    Ok(places)
}

/// The firmware's memory map, with the numbers of its types.
fn firmware_map(machine: &Machine) -> anyhow::Result<Vec<Range>> {
    let map = machine.firmware_map.as_ref().map_err(|error| anyhow!("{error}"))?;
    let range = |range: &machine::firmware_map::FirmwareRange| Range {
        start: range.first,
        length: (range.last - range.first).saturating_add(1),
        kind: Range::kind_of(&range.kind),
    };
    Ok(map.iter().map(range).collect())
}

fn load(
    device: &Device,
    machine: &Machine,
    facts: &need::Facts,
    places: &Places,
    disk: &[u8],
) -> anyhow::Result<()> {
    let part = |bytes, address, size| Destination { bytes, address, size };
    let contents = places.kept + BASE_MEMORY as u64;
    let mut segments = vec![
        part(::bios::IMAGE, places.image, MEMORY as u64),
        part(&[], places.kept, BASE_MEMORY as u64),
        part(disk, contents, (disk.len() as u64).next_multiple_of(0x1000)),
    ];
    if places.memory_end > MIB {
        segments.push(part(&[], MIB, places.memory_end - MIB));
    }
    let names = ["the image that runs the program", "base memory", "the disk", "the program's memory"];
    let request = LoadRequest {
        segments: &segments,
        vouched: &session::registers(machine, facts),
        entry: places.image + ENTRY as u64,
        mode: mode::LONG,
        flags: load_flag::CLAIM,
    };
    let names = names.map(String::from);
    device.load(&request).map_err(|refusal| device::refused(refusal, &names))?;
    Ok(())
}

/// Where the disk is written to: never to the image unless that is requested, and the disk changed.
fn written_to<'a>(args: &'a RunArgs, ended: &Ended) -> Option<&'a Path> {
    let back = (args.write_back && ended.written > 0).then_some(&args.image);
    args.disk_out.as_ref().or(back).map(AsRef::as_ref)
}

#[expect(clippy::cast_precision_loss, reason = "a time for people")]
fn seconds(ended: &Ended, tsc_khz: u64) -> Option<f64> {
    let [_, start, end, _] = ended.results.stamps;
    (tsc_khz > 0).then(|| end.wrapping_sub(start) as f64 / tsc_khz as f64 / 1e3)
}
