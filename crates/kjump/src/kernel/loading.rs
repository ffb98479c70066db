//! A plan in the form that the load calls take.

use plan::LoadPlan;
use sys::device::Destination;

/// The plan's segments, each with its bytes and its destination.
pub(crate) fn destinations<'a>(plan: &'a LoadPlan<'_>) -> Vec<Destination<'a>> {
    let destination = |segment: &'a plan::Segment<'_>| Destination {
        bytes: &segment.bytes,
        address: segment.range.start().get(),
        size: segment.range.bytes(),
    };
    plan.segments().iter().map(destination).collect()
}
