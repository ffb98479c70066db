//! A plan as text, for people and for tests to compare.

use std::fmt;

use crate::{Amount, LoadPlan, MemoryRange, Part, Segment};

impl fmt::Display for LoadPlan<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "by {}: {} segments, {}", self.interface(), self.segments().len(), Amount(self.bytes()))?;
        writeln!(f, "; entered at {}", self.entry())?;
        writeln!(f, "kernel entry: {}", self.kernel_entry())?;
        section(f, "segments", self.segments(), segment)?;
        section(f, "contents", self.parts(), part)?;
        if !self.memory().is_empty() {
            section(f, "memory map", self.memory(), memory)?;
        }
        writeln!(f, "command line:\n  {}", String::from_utf8_lossy(self.command_line()))?;
        for range in self.vouched() {
            writeln!(f, "unused, as guaranteed by the caller:\n  {range}")?;
        }
        Ok(())
    }
}

fn section<T>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    items: &[T],
    line: fn(&mut fmt::Formatter<'_>, &T) -> fmt::Result,
) -> fmt::Result {
    writeln!(f, "{title}:")?;
    items.iter().try_for_each(|item| line(f, item))
}

fn segment(f: &mut fmt::Formatter<'_>, segment: &Segment<'_>) -> fmt::Result {
    let range = segment.range;
    write_range(f, range.start().get(), range.end() - 1, range.bytes())?;
    match segment.bytes.len() as u64 {
        0 => writeln!(f, "  {}", segment.name),
        bytes => writeln!(f, "  {}, {} loaded", segment.name, Amount(bytes)),
    }
}

fn part(f: &mut fmt::Formatter<'_>, part: &Part) -> fmt::Result {
    write_range(f, part.address, part.address + part.size.saturating_sub(1), part.size)?;
    writeln!(f, "  {}", part.name)
}

fn memory(f: &mut fmt::Formatter<'_>, range: &MemoryRange) -> fmt::Result {
    write_range(f, range.first(), range.last(), range.size())?;
    writeln!(f, "  {}", range.kind())
}

fn write_range(f: &mut fmt::Formatter<'_>, first: u64, last: u64, size: u64) -> fmt::Result {
    write!(f, "  {first:#012x}-{last:#012x}  {:>10}", Amount(size).to_string())
}
