//! The description of an image.

use std::collections::BTreeMap;

use serde::Serialize;
use vmcore::codec::Codec;
use vmcore::{ImageFormat, MemoryImage, notes};

use super::kinds::Kinds;
use super::source;
use crate::dump::args::InfoArgs;
use crate::terminal::quantity::{self, page_bytes};
use crate::terminal::report::{self, Outcome};
use crate::terminal::table::{Column, Table};

/// Counts are of pages, the time is in seconds since 1970.
#[derive(Debug, Serialize)]
struct Info {
    format: String,
    flattened: bool,
    incomplete: bool,
    /// Whether it is a flattened stream that ends without its last record.
    stream_cut_off: bool,
    /// Pages that would be after the end of the file.
    cut_off_pages: u64,
    /// Whether it is the memory of the running machine.
    live: bool,
    machine: String,
    page_size: u64,
    release: Option<String>,
    crash_time: Option<u64>,
    cpus: u32,
    level: Option<u32>,
    part: Option<(u64, u64)>,
    memory_pages: u64,
    present_pages: u64,
    highest_address: u64,
    vmcoreinfo_keys: usize,
    /// The commands by which data was erased.
    erased: Vec<String>,
    /// Codecs, as the header names them.
    codecs: Vec<&'static str>,
    /// Statistics that the writer recorded.
    statistics: BTreeMap<String, u64>,
    /// Pages by kind, if requested.
    kinds: Vec<(&'static str, u64)>,
}

/// Prints the description of an image.
pub(super) fn run(args: &InfoArgs) -> anyhow::Result<Outcome> {
    let info = info(args)?;
    if args.json {
        report::print_json(&info)?;
    } else {
        report::print(&text(&info))?;
    }
    Ok(Outcome::Done)
}

fn info(args: &InfoArgs) -> anyhow::Result<Info> {
    let image = source::image_or_raw(&args.file, &args.raw)?;
    let image = if args.kinds || args.raw.raw { source::informed(image)? } else { image };
    let is_live = source::is_live(&args.file);
    let vmcoreinfo = image.vmcoreinfo().unwrap_or_default();
    let header = image.header();
    let time = vmcoreinfo.text("CRASHTIME").and_then(|time| time.parse().ok());
    Ok(Info {
        format: format(&image),
        flattened: image.is_flattened(),
        incomplete: image.is_incomplete(),
        stream_cut_off: image.is_stream_cut_off(),
        cut_off_pages: if is_live { 0 } else { image.cut_off() },
        live: is_live,
        machine: image.machine(),
        page_size: phys::PAGE_SIZE,
        release: vmcoreinfo.text("OSRELEASE").map(str::to_owned),
        crash_time: time.or(header.map(|header| header.seconds).filter(|seconds| *seconds > 0)),
        cpus: notes::cpus(image.notes()),
        level: header.map(|header| header.level),
        part: header.and_then(|header| header.part),
        memory_pages: image.ram().count(),
        present_pages: image.present().count(),
        highest_address: page_bytes(image.ram().end()),
        vmcoreinfo_keys: vmcoreinfo.iter().count(),
        erased: erased(&image),
        codecs: codecs(header.map_or(0, |header| header.status)),
        statistics: image.manifest().map(|manifest| manifest.statistics).unwrap_or_default(),
        kinds: if args.kinds { by_kind(&image) } else { Vec::new() },
    })
}

fn codecs(status: u32) -> Vec<&'static str> {
    let named = Codec::ALL.into_iter().filter(|codec| codec.flag() & status != 0);
    named.map(Codec::name).collect()
}

fn erased(image: &MemoryImage<'_>) -> Vec<String> {
    let printable = |line: &str| line.chars().filter(|letter| !letter.is_control()).collect();
    String::from_utf8_lossy(image.erased()).lines().map(printable).collect()
}

fn by_kind(image: &MemoryImage<'_>) -> Vec<(&'static str, u64)> {
    let kinds = Kinds::of(image, super::level::cpus()).0;
    kinds.into_iter().map(|(kind, set)| (kind.name(), set.count())).collect()
}

fn format(image: &MemoryImage<'_>) -> String {
    match (image.format(), image.header()) {
        (ImageFormat::Kdump, Some(header)) => format!("kdump-compressed, version {}", header.version),
        (ImageFormat::Raw, _) => "raw memory".to_owned(),
        _ => "ELF vmcore".to_owned(),
    }
}

fn text(info: &Info) -> String {
    let mut table = Table::new([Column::left("").at_least(22), Column::left("")]);
    let mut row = |name: &str, value: String| table.row([name.to_owned(), value]);
    let flattened = if info.flattened { ", flattened" } else { "" };
    let incomplete = if info.incomplete { ", INCOMPLETE" } else { "" };
    row("format", format!("{}{flattened}{incomplete}", info.format));
    if info.stream_cut_off {
        row("cut off", "the flattened stream ends too early".to_owned());
    }
    if info.cut_off_pages > 0 {
        let pages = quantity::count(info.cut_off_pages, "page");
        row("cut off", format!("the file ends before {pages}"));
    }
    if info.live {
        row("live", "yes: the machine is running".to_owned());
    }
    row("machine", format!("{}, pages of {} bytes", info.machine, info.page_size));
    row("kernel", info.release.clone().unwrap_or_else(|| "unknown: no VMCOREINFO".to_owned()));
    if let Some(time) = info.crash_time {
        row("time", quantity::date(time));
    }
    row("CPUs", info.cpus.to_string());
    if !info.codecs.is_empty() {
        row("codec", info.codecs.join(", "));
    }
    if let Some(level) = info.level {
        row("dump level", level.to_string());
    }
    if let Some((from, to)) = info.part {
        row("part", format!("pages {from:#x} to {to:#x}"));
    }
    row(
        "memory",
        format!("{}, below {:#x}", quantity::bytes(page_bytes(info.memory_pages)), info.highest_address),
    );
    row(
        "present",
        format!("{}, {} pages", quantity::bytes(page_bytes(info.present_pages)), info.present_pages),
    );
    for (name, pages) in &info.kinds {
        row(&format!("  {name}"), format!("{}, {pages} pages", quantity::bytes(page_bytes(*pages))));
    }
    for (index, command) in info.erased.iter().enumerate() {
        row(if index == 0 { "erased" } else { "" }, command.clone());
    }
    if !info.statistics.is_empty() {
        row("written by", "kjump, with checksums".to_owned());
    }
    for (name, pages) in &info.statistics {
        row(&format!("  {}", name.replace('_', " ")), pages.to_string());
    }
    table.to_string()
}
