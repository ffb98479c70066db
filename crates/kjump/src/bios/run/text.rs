//! How a program ended, as text and as JSON.

use std::fmt::Write;
use std::path::Path;

use firmware::block;
use firmware::disk::{Disk, Kind};
use firmware::program::{End, Ended};
use serde_json::{Value, json};

use super::super::text;
use crate::terminal::quantity;

/// Everything about a run.
pub(super) struct Report<'a> {
    pub(super) disk: &'a Disk,
    pub(super) ended: &'a Ended,
    pub(super) end: End,
    /// In real mode and in the services.
    pub(super) seconds: Option<f64>,
    /// Where the disk was written to.
    pub(super) written_to: Option<&'a Path>,
}

impl Report<'_> {
    pub(super) fn text(&self) -> String {
        let Disk { kind, sectors, cylinders, heads, track, .. } = *self.disk;
        let Ended { requests, failed, read, written, .. } = *self.ended;
        let mut text = format!("ended by {}\n", self.why());
        if let Some(seconds) = self.seconds {
            let _ = writeln!(text, "time     {seconds:.3} s, {} of the clock", self.ticks());
        }
        let size = quantity::bytes(sectors.saturating_mul(firmware::disk::SECTOR));
        let kind = name(kind);
        let _ = writeln!(
            text,
            "disk     {kind}, {size}: {cylinders} cylinders, {heads} heads, {track} sectors\n\
             INT 13h  {}, {failed} failed; {}, {written} written",
            quantity::count(requests.into(), "call"),
            quantity::count(read, "sector") + " read"
        );
        match self.written_to {
            Some(path) => {
                let _ = writeln!(text, "written  to {}", path.display());
            }
            None if written > 0 => {
                text.push_str("written  nowhere; --disk-out FILE and --write-back keep what is written\n");
            }
            None => {}
        }
        text + &text::changes(&self.ended.results)
    }

    fn ticks(&self) -> String {
        quantity::count(self.ended.results.ticks.into(), "tick")
    }

    /// With the place, where it tells something.
    fn why(&self) -> String {
        let place = self.ended.place;
        let at = format!("at {:04x}:{:04x}", place >> 16, place & 0xffff);
        match self.end {
            End::Int19 | End::Int18 => format!("{} {at}", self.end.name()),
            End::Keys | End::Restart => self.end.name().into(),
            End::Deadline => format!("its deadline {at}"),
            End::Exception => block::explain(self.ended.results.why, place).unwrap_or_default(),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let Disk { kind, sectors, cylinders, heads, track, .. } = *self.disk;
        let Ended { requests, failed, read, written, place, .. } = *self.ended;
        json!({
            "end": self.end.name(),
            "explanation": self.why(),
            "place": place,
            "seconds": self.seconds,
            "ticks": self.ended.results.ticks,
            "nmis": self.ended.results.nmis,
            "disk": {
                "kind": name(kind), "sectors": sectors,
                "cylinders": cylinders, "heads": heads, "track": track,
            },
            "requests": requests,
            "failed": failed,
            "sectors_read": read,
            "sectors_written": written,
            "written_to": self.written_to,
            "changed": text::changes_as_json(&self.ended.results),
        })
    }
}

const fn name(kind: Kind) -> &'static str {
    match kind {
        Kind::Floppy => "floppy disk",
        Kind::HardDisk => "hard disk",
    }
}
