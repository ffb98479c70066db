//! Whether the kernel runs under Xen (`Documentation/ABI/stable/sysfs-hypervisor-xen`).

use crate::root::Root;
use crate::{Error, Fact, Garbled};

/// Whether and how the kernel runs under Xen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Xen {
    /// It does not run under Xen.
    No,
    /// As a paravirtualised guest, which has no page tables of its own.
    Paravirtual,
    /// As the guest that starts the others, paravirtualised too.
    ControlDomain,
    /// On a virtual machine with hardware page tables (HVM or PVH).
    Virtual,
}

pub(crate) fn find(root: &Root) -> Fact<Xen> {
    const GUEST_TYPE: &str = "/sys/hypervisor/guest_type";
    match root.text("/sys/hypervisor/type") {
        Ok(name) if name.trim() == "xen" => {}
        Ok(_) => return Ok(Xen::No),
        Err(Error::Absent { .. }) => {
            return Ok(if root.has("/proc/xen") { Xen::Paravirtual } else { Xen::No });
        }
        Err(error) => return Err(error),
    }
    match root.parse(GUEST_TYPE, parse_guest_type)? {
        Xen::Paravirtual if is_control_domain(root) => Ok(Xen::ControlDomain),
        other => Ok(other),
    }
}

fn is_control_domain(root: &Root) -> bool {
    root.text("/proc/xen/capabilities")
        .is_ok_and(|text| text.split_whitespace().any(|word| word == "control_d"))
}

/// Parses the type of a guest.
///
/// # Errors
/// [`Garbled`] if it is not known.
pub fn parse_guest_type(text: &str) -> Result<Xen, Garbled> {
    match text.trim() {
        "PV" => Ok(Xen::Paravirtual),
        "HVM" | "PVH" => Ok(Xen::Virtual),
        _ => Err(Garbled { line: 1, wanted: "PV, HVM or PVH" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_paravirtual_or_has_hardware_page_tables() {
        assert_eq!(parse_guest_type("PV\n"), Ok(Xen::Paravirtual));
        assert_eq!(parse_guest_type("PVH\n"), Ok(Xen::Virtual));
        assert_eq!(parse_guest_type("HVM\n"), Ok(Xen::Virtual));
        parse_guest_type("PVX\n").unwrap_err();
    }
}
