use phys::PhysRange;

use crate::purgatory::{Extras, Purgatory};
use crate::view::ViewPlace;
use crate::{Entry, Error, Interface, LoadPlan, Machine, MemoryRange, Part, Segment};

/// A load under construction: everything but purgatory, nothing checked yet.
pub(crate) struct Draft<'a> {
    pub(crate) interface: Interface,
    /// How the kernel is entered.
    pub(crate) kernel_entry: Entry,
    /// The segments whose digest purgatory verifies.
    pub(crate) segments: Vec<Segment<'a>>,
    /// Other segments.
    pub(crate) unverified: Vec<Segment<'a>>,
    pub(crate) parts: Vec<Part>,
    /// Additional work of purgatory.
    pub(crate) extras: Extras,
    pub(crate) memory: Vec<MemoryRange>,
    pub(crate) command_line: Vec<u8>,
    pub(crate) boot_params: Option<u64>,
    pub(crate) vouched: Vec<PhysRange>,
    pub(crate) view: Option<ViewPlace>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(interface: Interface, kernel_entry: Entry) -> Self {
        Self {
            interface,
            kernel_entry,
            segments: Vec::new(),
            unverified: Vec::new(),
            parts: Vec::new(),
            extras: Extras::default(),
            memory: Vec::new(),
            command_line: Vec::new(),
            boot_params: None,
            vouched: Vec::new(),
            view: None,
        }
    }

    /// Adds purgatory at its place, and checks the result.
    pub(crate) fn finish(
        mut self,
        purgatory: &Purgatory<'a>,
        place: PhysRange,
        machine: &Machine,
    ) -> Result<LoadPlan<'a>, Error> {
        let (segment, entry) =
            purgatory.segment_and_entry(place, &self.kernel_entry, &self.extras, &self.segments)?;
        self.segments.push(segment);
        self.segments.append(&mut self.unverified);
        LoadPlan::new(self, entry, machine)
    }
}
