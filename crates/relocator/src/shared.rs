//! Offsets and numbers that the assembly and the structures share.

/// Offset of a field of the control table in the control page.
macro_rules! in_control_page {
    ($field:ident) => {
        abi::control::TABLE_OFFSET + core::mem::offset_of!(abi::control::ControlTable, $field)
    };
    (deadline.$field:ident) => {
        $crate::shared::in_control_page!(deadline) + core::mem::offset_of!(abi::control::Deadline, $field)
    };
    (crossing.$field:ident) => {
        $crate::shared::in_control_page!(crossing) + core::mem::offset_of!(abi::control::Crossing, $field)
    };
    (fault.$field:ident) => {
        $crate::shared::in_control_page!(fault) + core::mem::offset_of!(abi::control::Fault, $field)
    };
}

/// Offset of a field of the guard's table in the guard's pages.
macro_rules! in_guard_pages {
    ($field:ident) => {
        abi::guard::TABLE_OFFSET + core::mem::offset_of!(abi::guard::GuardTable, $field)
    };
}

pub(crate) use {in_control_page, in_guard_pages};

/// The vector of a non-maskable interrupt.
pub(crate) const NMI: usize = 2;

#[allow(clippy::cast_possible_truncation, reason = "the low half is wanted")]
pub(crate) const fn low_half(value: u64) -> u32 {
    value as u32
}
