//! Kernels that are resident in memory: `kjump switch`, `peers` and `drop`.

use abi::device::{ImageInfo, Range};
use anyhow::{Context, bail};
use serde::Serialize;
use sys::{Device, ImageName};

use super::record::PeerRecord;
use crate::call::kept;
use crate::device;
use crate::peer::args::{DropArgs, PeersArgs, SwitchArgs};
use crate::peer::visit::Visit;
use crate::terminal::quantity;
use crate::terminal::report::{self, Outcome};
use crate::terminal::table::{Column, Table};

pub(crate) fn switch(args: &SwitchArgs) -> anyhow::Result<Outcome> {
    visit(&args.name, args.value, args.deadline)?.report(args.json)
}

/// Enters a resident kernel with a value, for at most `deadline` milliseconds.
pub(crate) fn visit(name: &ImageName, value: u64, deadline: Option<u64>) -> anyhow::Result<Visit> {
    let (device, record) = resident(name)?;
    record.refuse_dead(name)?;
    if deadline.is_some() && !record.guarded {
        bail!("{name} is not guarded and cannot be given a deadline; boot it with --deadline");
    }
    device.attach(name).with_context(|| name.to_string())?;
    Visit::make(&device, name, [value, 0, 0, 0, 0, 0], deadline.unwrap_or(0))
}

pub(crate) fn drop_kernel(args: &DropArgs) -> anyhow::Result<Outcome> {
    let (device, _) = resident(&args.name)?;
    PeerRecord::forget(&device, &args.name);
    kept::forget(&device, &args.name)?;
    Ok(Outcome::Done)
}

/// The device, and the record of the kernel of this name.
fn resident(name: &ImageName) -> anyhow::Result<(Device, PeerRecord)> {
    let Some(device) = device::open_if_loaded()? else {
        bail!("{name}: the module is not loaded, so no kernel is resident");
    };
    match device.image_named(name)?.as_ref().map(PeerRecord::of) {
        Some(Some(record)) => Ok((device, record)),
        Some(None) => {
            bail!("{name} is an image that `kjump boot` did not load; use `kjump call --name`")
        }
        None => bail!(
            "{name}: no kernel of this name is resident, or it was dropped; `kjump peers` lists the resident \
             kernels"
        ),
    }
}

pub(crate) fn list(args: PeersArgs) -> anyhow::Result<Outcome> {
    let peers = match device::open_if_loaded()? {
        Some(device) => peers(&device)?,
        None => Vec::new(),
    };
    if args.json {
        report::print_json(&peers)?;
    } else {
        report::print(&table(&peers))?;
    }
    Ok(Outcome::Done)
}

/// A resident kernel.
#[derive(Debug, Serialize)]
struct Peer {
    name: String,
    kernel: String,
    window_start: u64,
    window_end: u64,
    state: &'static str,
    death: Option<String>,
    guarded: bool,
    switches: u64,
    seconds: Option<f64>,
}

fn peers(device: &Device) -> anyhow::Result<Vec<Peer>> {
    let khz = device.info()?.tsc_khz;
    let mut peers = Vec::new();
    for image in device.images()? {
        let name = ImageName::from_words(image.name);
        if let (Some(name), Some(record)) = (name, PeerRecord::of(&image)) {
            peers.push(Peer::new(&name, &image, record, &device.ranges(image.id)?, khz));
        }
    }
    Ok(peers)
}

impl Peer {
    fn new(name: &ImageName, image: &ImageInfo, record: PeerRecord, ranges: &[Range], khz: u64) -> Self {
        let window = || ranges.iter().filter(|range| range.start >= 0x10_0000);
        Self {
            name: name.to_string(),
            kernel: record.kernel,
            window_start: window().map(|range| range.start).min().unwrap_or(0),
            window_end: window().map(|range| range.end).max().unwrap_or(0),
            state: if record.death.is_some() { "dead" } else { "resident" },
            death: record.death,
            guarded: record.guarded,
            switches: image.calls,
            seconds: quantity::ticks_in_microseconds(image.ticks_run, khz).map(|time| time / 1e6),
        }
    }
}

fn table(peers: &[Peer]) -> String {
    if peers.is_empty() {
        return "no other kernel is resident\n".into();
    }
    let mut table = Table::new([
        Column::left("NAME"),
        Column::left("KERNEL"),
        Column::left("WINDOW").at_least(23),
        Column::left("STATE").at_least(8),
        Column::right("SWITCHES"),
        Column::right("TIME THERE"),
    ]);
    for peer in peers {
        table.row([
            peer.name.clone(),
            peer.kernel.clone(),
            format!("{:#x}-{:#x}", peer.window_start, peer.window_end.saturating_sub(1)),
            peer.state.into(),
            peer.switches.to_string(),
            peer.seconds.map_or("unknown".into(), |time| format!("{time:.1} s")),
        ]);
    }
    table.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_rows_of_a_table() {
        let record = PeerRecord::new(1, "6.12.95".into(), false);
        let image = ImageInfo { calls: 3, ticks_run: 5_000_000_000, ..ImageInfo::default() };
        let range = |start, end| Range { start, end };
        let ranges =
            [range(0x1000, 0x9_f000), range(0x2000_0000, 0x2800_0000), range(0x2800_0000, 0x3000_0000)];
        let name: ImageName = "b".parse().expect("a name");
        let peer = Peer::new(&name, &image, record, &ranges, 1_000_000);
        assert_eq!(
            table(&[peer]),
            "NAME  KERNEL   WINDOW                   STATE     SWITCHES  TIME THERE\n\
             b     6.12.95  0x20000000-0x2fffffff    resident         3       5.0 s\n"
        );
        assert_eq!(table(&[]), "no other kernel is resident\n");
    }
}
