//! `kjump status`: the loaded images.

use std::path::Path;

use abi::device::{ImageInfo, Info, feature};
use serde::Serialize;
use sys::{Device, ImageName};

use crate::device;
use crate::inspect::args::StatusArgs;
use crate::terminal::quantity;
use crate::terminal::report::{self, Outcome};
use crate::terminal::table::{Column, Table};

pub(crate) fn run(args: StatusArgs) -> anyhow::Result<Outcome> {
    let status = device::open_if_loaded()?.map(|device| Status::ask(&device)).transpose()?;
    match (&status, args.json) {
        (status, true) => {
            report::print_json(&StatusJson::of(status.as_ref()))?;
        }
        (Some(status), false) => report::print(&status.text())?,
        (None, false) => report::print("the module is not loaded, so no image is\n")?,
    }
    Ok(if status.is_some() { Outcome::Done } else { Outcome::No })
}

/// The status as `--json` prints it.
///
/// # Errors
/// The module is loaded, and its device cannot be opened or read.
pub(super) fn to_json() -> anyhow::Result<serde_json::Value> {
    let status = device::open_if_loaded()?.map(|device| Status::ask(&device)).transpose()?;
    Ok(serde_json::to_value(StatusJson::of(status.as_ref()))?)
}

/// The module's report.
#[derive(Debug, Serialize)]
struct Status {
    version: u64,
    paging_levels: u64,
    can_suspend: bool,
    can_claim: bool,
    tsc_khz: u64,
    calls: u64,
    frames: u64,
    images: Vec<ImageStatus>,
}

#[derive(Serialize)]
struct StatusJson<'a> {
    loaded: bool,
    #[serde(flatten)]
    status: Option<&'a Status>,
}

impl<'a> StatusJson<'a> {
    const fn of(status: Option<&'a Status>) -> Self {
        Self { loaded: status.is_some(), status }
    }
}

/// One image.
#[derive(Debug, Serialize)]
struct ImageStatus {
    id: u64,
    name: Option<String>,
    /// 64 or 32.
    mode: u64,
    entry: u64,
    ranges: u64,
    pages: u64,
    claimed: u64,
    /// Pages that are exchanged at each call.
    exchanged: u64,
    in_use: u64,
    support_frames: u64,
    calls: u64,
    faults: u64,
    run_ticks: u64,
    run_microseconds: Option<f64>,
    /// 0 for a kernel module.
    loader: u64,
    /// The name of that process, if it still runs.
    loader_name: Option<String>,
    age_nanoseconds: u64,
}

impl Status {
    fn ask(device: &Device) -> anyhow::Result<Self> {
        let info = device.info()?;
        let now = sys::clock::nanoseconds_since_boot();
        let images = device.images()?;
        Ok(Self::new(
            &info,
            images.iter().map(|image| ImageStatus::new(image, info.tsc_khz, now, name_of_process)),
        ))
    }

    fn new(info: &Info, images: impl Iterator<Item = ImageStatus>) -> Self {
        Self {
            version: info.version,
            paging_levels: info.paging_levels,
            can_suspend: info.features & feature::SUSPEND != 0,
            can_claim: info.features & feature::CLAIM != 0,
            tsc_khz: info.tsc_khz,
            calls: info.calls,
            frames: info.frames,
            images: images.collect(),
        }
    }

    fn text(&self) -> String {
        let mut text = format!(
            "module version {}: {} in {} of memory, {} made\n",
            self.version,
            quantity::count(self.images.len() as u64, "image"),
            quantity::bytes(quantity::page_bytes(self.frames)),
            quantity::count(self.calls, "call"),
        );
        if !self.images.is_empty() {
            text.push('\n');
            let mut table = Table::new(COLUMNS);
            self.images.iter().for_each(|image| table.row(image.cells()));
            text.push_str(&table.to_string());
        }
        text
    }
}

impl ImageStatus {
    fn new(image: &ImageInfo, tsc_khz: u64, now: u64, name_of: impl Fn(u64) -> Option<String>) -> Self {
        Self {
            id: image.id,
            name: ImageName::from_words(image.name).map(|name| name.to_string()),
            mode: image.mode,
            entry: image.entry,
            ranges: image.ranges,
            pages: image.pages,
            claimed: image.claimed,
            exchanged: image.pages.saturating_sub(image.claimed),
            in_use: image.in_use,
            support_frames: image.support_frames,
            calls: image.calls,
            faults: image.faults,
            run_ticks: image.ticks_run,
            run_microseconds: quantity::ticks_in_microseconds(image.ticks_run, tsc_khz),
            loader: image.loader,
            loader_name: name_of(image.loader),
            age_nanoseconds: now.saturating_sub(image.loaded_at),
        }
    }

    /// The cells of its row, under the headings of [`COLUMNS`].
    fn cells(&self) -> [String; 11] {
        let loader = match (self.loader, &self.loader_name) {
            (0, _) => "a kernel module".into(),
            (process, Some(name)) => format!("{process} ({name})"),
            (process, None) => format!("{process}, gone"),
        };
        let run =
            self.run_microseconds.map_or_else(|| format!("{} ticks", self.run_ticks), quantity::microseconds);
        [
            self.id.to_string(),
            self.name.clone().unwrap_or_else(|| "-".into()),
            self.mode.to_string(),
            format!("{:#x}", self.entry),
            quantity::bytes(quantity::page_bytes(self.pages)),
            self.claimed.to_string(),
            self.exchanged.to_string(),
            self.calls.to_string(),
            self.faults.to_string(),
            run,
            format!("{loader}, {}", quantity::ago(self.age_nanoseconds)),
        ]
    }
}

const COLUMNS: [Column; 11] = [
    Column::right("id"),
    Column::left("name"),
    Column::right("mode"),
    Column::right("entry"),
    Column::right("size"),
    Column::right("claimed"),
    Column::right("exchanged"),
    Column::right("calls"),
    Column::right("faults"),
    Column::right("time in it"),
    Column::left("loaded by"),
];

/// The name of a process.
fn name_of_process(process: u64) -> Option<String> {
    let name = machine::process::name(Path::new("/"), process).ok()?;
    // The process chose the name, which must not command the terminal.
    Some(name.replace(|c: char| c.is_control(), "?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        let info =
            Info { version: 1, images: 3, frames: 500, calls: 1003, tsc_khz: 2_400_000, ..Info::default() };
        let counter = ImageInfo {
            id: 1,
            name: "counter".parse::<ImageName>().unwrap().words(),
            loader: 421,
            mode: 64,
            entry: 0x20_0000,
            pages: 2,
            claimed: 2,
            calls: 1000,
            ticks_run: 29_520_000,
            loaded_at: 5_000_000_000,
            ..ImageInfo::default()
        };
        let large = ImageInfo {
            id: 12,
            mode: 32,
            entry: 0x10_0000,
            pages: 102_400,
            claimed: 99,
            in_use: 3,
            loader: 77,
            calls: 3,
            faults: 1,
            ..ImageInfo::default()
        };
        let of_module = ImageInfo { id: 13, mode: 64, entry: 0x1000, pages: 1, ..ImageInfo::default() };
        let name_of = |process| (process == 421).then(|| "kjump".to_owned());
        let images = [counter, large, of_module];
        Status::new(
            &info,
            images.iter().map(|image| ImageStatus::new(image, info.tsc_khz, 200_000_000_000, name_of)),
        )
    }

    #[test]
    fn images_are_rows_of_a_table() {
        insta::assert_snapshot!(status().text());
    }

    #[test]
    fn without_images_there_is_no_table() {
        let text = Status { images: Vec::new(), frames: 0, calls: 1, ..status() }.text();
        assert_eq!(text, "module version 1: 0 images in 0 B of memory, 1 call made\n");
    }

    #[test]
    fn json_has_every_number() {
        let all = status();
        let json = StatusJson { loaded: true, status: Some(&all) };
        insta::assert_snapshot!(serde_json::to_string_pretty(&json).unwrap());
        assert_eq!(
            serde_json::to_string(&StatusJson { loaded: false, status: None }).unwrap(),
            "{\"loaded\":false}"
        );
    }
}
