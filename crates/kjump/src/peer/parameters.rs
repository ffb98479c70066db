//! The command line of a kernel that works on the memory of the running one.

use plan::linux::parameters;

/// Parameters of the running kernel that are about the machine, and that another kernel on it
/// needs as well. A name that ends in `=` has a value.
const OF_THE_MACHINE: &[&str] = &[
    "acpi=",
    "amd_iommu=",
    "clocksource=",
    "console=",
    "earlyprintk=",
    "hpet=",
    "intel_iommu=",
    "iommu=",
    "libata.force=",
    "no5lvl",
    "no_timer_check",
    "noapic",
    "nolapic",
    "nox2apic",
    "pci=",
    "pcie_aspm=",
    "tsc=",
];

/// The command line, made of the running kernel's and of more parameters, which follow.
pub(crate) fn command_line(running: &[u8], more: &str) -> Vec<u8> {
    // A panic returns to the kernel at rest at once.
    let mut line = b"quiet panic=0".to_vec();
    let text = String::from_utf8_lossy(running);
    for word in text.split_whitespace().take_while(|word| *word != "--") {
        let wanted = |name: &&str| if name.ends_with('=') { word.starts_with(*name) } else { word == *name };
        if OF_THE_MACHINE.iter().any(wanted) {
            parameters::add(&mut line, word.as_bytes());
        }
    }
    if !more.is_empty() {
        parameters::add(&mut line, more.as_bytes());
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_about_the_machine_is_passed_on_and_the_rest_is_not() {
        let line =
            command_line(b"root=/dev/vda1 console=ttyS0,115200 no5lvl init=/x -- console=tty1\n", "a=b");
        assert_eq!(line, b"quiet panic=0 console=ttyS0,115200 no5lvl a=b");
    }
}
