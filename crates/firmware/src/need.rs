//! What a call needs of the machine, and why it is refused.

use std::collections::BTreeMap;

use abi::bios::flag;

use crate::{Call, Kind};

/// How much of the system stands still: as in [`abi::device::quiesce`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Interrupts of one CPU.
    #[default]
    None,
    /// All CPUs.
    Stop,
    /// Tasks, devices and all CPUs but one.
    Suspend,
}

/// The facts about the machine that decide.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Whether it was booted by UEFI.
    pub uefi: bool,
    /// The name of an active encryption of all memory.
    pub encryption: Option<String>,
    /// Address of the HPET, 0 for none.
    pub hpet: u64,
    /// Address of the first I/O APIC, 0 for none.
    pub io_apic: u64,
    /// First vector of the 8259s in the running kernel.
    pub vectors: u8,
    /// Whether the 8254 is a clock of the running kernel.
    pub uses_8254: bool,
    /// The functions on the PCI bus that a disk can be behind.
    pub controllers: Vec<Controller>,
    /// Those of the disks that calls drive, by the disks' BIOS numbers: see [`Facts::with_disks`].
    pub disks: BTreeMap<u8, Controller>,
}

/// A function on the PCI bus that a disk can be behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Controller {
    /// Its address, as in `0000:00:1f.2`.
    pub address: String,
    /// Class, subclass and programming interface.
    pub class: u32,
    /// The driver that holds it.
    pub driver: Option<String>,
}

impl Controller {
    /// Whether the BIOS can have a disk behind a function of this class (PCI Code and ID Assignment
    /// Specification): a storage controller, a network controller, an SD host controller, or the
    /// controller of a serial bus (USB, Fibre Channel, ...) other than SMBus.
    #[must_use]
    pub const fn is_class(class: u32) -> bool {
        matches!(class >> 16, 0x01 | 0x02)
            || class >> 16 == 0x0c && class >> 8 != 0x0c05
            || class >> 8 == 0x0805
    }

    /// Whether it works through the ports of 1984, which drivers leave as the BIOS uses them: an
    /// IDE controller. Drivers give all others queues and lists of their own.
    #[must_use]
    pub const fn is_ide(&self) -> bool {
        self.class >> 8 == 0x0101
    }
}

/// What the image is passed about the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Setup {
    /// Bits of [`flag`].
    pub flags: u32,
    /// Address of the HPET, 0 for none.
    pub hpet: u64,
    /// Address of the I/O APIC.
    pub io_apic: u64,
    /// First vector of the 8259s in the running kernel.
    pub vectors: u8,
    /// What the 8259s mask.
    pub mask: u16,
}

/// Why calls are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// UEFI.
    #[error(
        "this machine was booted by UEFI and has no BIOS to call; its memory map is in \
         /sys/firmware/memmap, monitors' EDID in /sys/class/drm/*/edid, SMBIOS in /sys/firmware/dmi, \
         variables in /sys/firmware/efi/efivars"
    )]
    Uefi,
    /// Encrypted memory.
    #[error("memory is encrypted ({0}), and real mode would read ciphertext; boot with encryption off")]
    Encrypted(String),
    /// A clock.
    #[error(
        "the kernel takes its ticks from the 8254, which the BIOS reprograms; use --quiesce suspend, or boot \
         with an APIC timer or an HPET"
    )]
    Clock,
    /// Disk input and output through a controller that a driver holds.
    #[error(
        "INT {number:#04x} with AH={function:#04x} drives a disk, and {address} is held by the driver \
         {driver}: the BIOS would start it on the driver's lists; only IDE controllers, or those without a \
         driver since boot, can be used"
    )]
    Held {
        /// The interrupt.
        number: u8,
        /// The function.
        function: u8,
        /// The controller.
        address: String,
        /// Its driver.
        driver: String,
    },
    /// Disk input and output through a controller that is not known.
    #[error(
        "INT {number:#04x} with AH={function:#04x} drives disk {disk:#04x}, and the BIOS does not name its \
         controller, which a driver may hold; only disks behind IDE controllers, or behind those without a \
         driver since boot, can be used"
    )]
    Unnamed {
        /// The interrupt.
        number: u8,
        /// The function.
        function: u8,
        /// The disk.
        disk: u8,
    },
    /// A write to a disk.
    #[error(
        "INT {number:#04x} with AH={function:#04x} writes to a disk under the kernel's file systems; \
         --allow-disk-writes permits it"
    )]
    Write {
        /// The interrupt.
        number: u8,
        /// The function.
        function: u8,
    },
    /// Power management that the kernel has.
    #[error("INT 0x15 with AX={0:#06x} takes power management away from the kernel; only 0x5300 is allowed")]
    Power(u16),
    /// The level is too low.
    #[error("INT {number:#04x} with AH={function:#04x} needs at least --quiesce {needed}")]
    Level {
        /// The interrupt.
        number: u8,
        /// The function.
        function: u8,
        /// The level.
        needed: &'static str,
    },
}

/// What a function of the BIOS does, as far as it matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Nature {
    /// Looks into tables, or computes.
    Tables,
    /// Uses ports in pairs, an index and data (the real-time clock, PCI configuration): no other
    /// CPU may come between.
    Pairs,
    /// Waits for the clock or a key.
    Waits,
    /// Reads a disk.
    Reads,
    /// Writes to a disk.
    Writes,
    /// Connects to power management.
    Power,
    /// Anything else.
    Other,
}

/// By the interrupt list (IBM's "Personal System/2 and Personal Computer BIOS Interface Technical
/// Reference"; for INT 10h 4Fxxh VESA's "VBE Core Functions", for 13h 41h to 48h the "BIOS Enhanced
/// Disk Drive Specification").
const fn nature(number: u8, ax: u16) -> Nature {
    let [al, ah] = ax.to_le_bytes();
    match (number, ah) {
        (0x11 | 0x12, _) => Nature::Tables,
        (0x10, 0x03 | 0x0f | 0x1a | 0x1b) => Nature::Tables,
        (0x10, 0x11) if al == 0x30 => Nature::Tables,
        (0x10, 0x4f) if matches!(al, 0x00 | 0x01 | 0x03 | 0x15) => Nature::Tables,
        (0x13 | 0x40, 0x01 | 0x08 | 0x15 | 0x41 | 0x48) => Nature::Tables,
        (0x13 | 0x40, 0x02 | 0x04 | 0x42 | 0x44 | 0x47 | 0x00 | 0x0c | 0x0d | 0x10 | 0x11) => Nature::Reads,
        (0x13 | 0x40, _) => Nature::Writes,
        (0x15, 0x53) => match al {
            0x00 => Nature::Tables,
            _ => Nature::Power,
        },
        (0x15, 0x24 | 0x88 | 0xc0 | 0xc1 | 0xe8) => Nature::Tables,
        (0x15, 0x83 | 0x86) => Nature::Waits,
        (0x16, 0x00 | 0x10) => Nature::Waits,
        (0x16, 0x01 | 0x02 | 0x05 | 0x09 | 0x11 | 0x12) => Nature::Tables,
        (0x1a, 0x00) => Nature::Tables,
        (0x1a, 0xb1) if al == 0x01 => Nature::Tables,
        (0x1a, 0x02 | 0x04 | 0xb1) => Nature::Pairs,
        _ => Nature::Other,
    }
}

fn nature_of(call: &Call) -> Nature {
    call.kind.number().map_or(Nature::Other, |number| nature(number, call.registers.ax()))
}

/// The level that a call needs if the caller names none.
#[must_use]
pub fn level(call: &Call) -> Level {
    match nature_of(call) {
        Nature::Tables => Level::None,
        Nature::Pairs | Nature::Waits => Level::Stop,
        Nature::Reads | Nature::Writes | Nature::Power | Nature::Other => Level::Suspend,
    }
}

/// What the image is passed for these calls.
#[must_use]
pub fn setup(facts: &Facts, calls: &[Call]) -> Setup {
    let Facts { hpet, io_apic, vectors, .. } = *facts;
    // A call that only looks into tables has nothing to be ended in the middle of.
    let looks = calls.iter().all(|call| nature_of(call) == Nature::Tables);
    let flags = if looks { 0 } else { flag::KEEP_UPPER | flag::KEEP_CLOCK };
    Setup { flags, hpet, io_apic, vectors, mask: mask(calls) }
}

impl Setup {
    /// The same at a level. While other CPUs run, the I/O APIC belongs to the kernel.
    #[must_use]
    pub const fn at(self, level: Level) -> Self {
        let masks = !matches!(level, Level::None) && self.io_apic != 0;
        let flags = if masks { self.flags | flag::MASK_IO_APIC } else { self.flags & !flag::MASK_IO_APIC };
        Self { flags, ..self }
    }
}

/// IRQ 0 is the deadline's; 2 leads to the second 8259; 8 is the clock's, for waits; disks have 14
/// and 15, the keyboard 1.
fn mask(calls: &[Call]) -> u16 {
    let mut open: u16 = 1 << 0 | 1 << 2;
    for call in calls {
        open |= match nature_of(call) {
            Nature::Tables | Nature::Pairs => 0,
            Nature::Waits => 1 << 1 | 1 << 8,
            _ => 1 << 1 | 1 << 6 | 1 << 8 | 1 << 12 | 1 << 14 | 1 << 15 | 1 << 9 | 1 << 10 | 1 << 11,
        };
    }
    !open
}

/// The disk that a call of INT 13h is for: DL.
const fn disk_of(call: &Call) -> u8 {
    call.registers.edx.to_le_bytes()[0]
}

/// The disks, by their BIOS numbers, that calls drive: the controller of each decides.
#[must_use]
pub fn disks(calls: &[Call]) -> Vec<u8> {
    let drives = |call: &&Call| matches!(nature_of(call), Nature::Reads | Nature::Writes);
    let mut numbers: Vec<u8> = calls.iter().filter(drives).map(disk_of).collect();
    numbers.sort_unstable();
    numbers.dedup();
    numbers
}

impl Facts {
    /// The same with the controllers of disks: the BIOS names the bus, device and function of each
    /// by INT 13h 48h. A place where there is no controller is not one.
    #[must_use]
    pub fn with_disks(&self, paths: &[(u8, Option<[u8; 3]>)]) -> Self {
        let one = |&(disk, path): &(u8, Option<[u8; 3]>)| {
            let [bus, device, function] = path?;
            let address = format!("0000:{bus:02x}:{device:02x}.{function:x}");
            let controller = self.controllers.iter().find(|controller| controller.address == address)?;
            Some((disk, controller.clone()))
        };
        Self { disks: paths.iter().filter_map(one).collect(), ..self.clone() }
    }
}

/// Checks whether calls may be made at this level.
///
/// # Errors
/// The first [`Refusal`].
pub fn check(facts: &Facts, calls: &[Call], level: Level, allow_writes: bool) -> Result<(), Refusal> {
    if facts.uefi {
        return Err(Refusal::Uefi);
    }
    if let Some(name) = &facts.encryption {
        return Err(Refusal::Encrypted(name.clone()));
    }
    if facts.uses_8254 && level < Level::Suspend {
        return Err(Refusal::Clock);
    }
    calls.iter().try_for_each(|call| check_call(facts, call, level, allow_writes))
}

fn check_call(facts: &Facts, call: &Call, level: Level, allow_writes: bool) -> Result<(), Refusal> {
    let (Some(number), function) = (call.kind.number(), call.registers.ah()) else { return Ok(()) };
    let nature = nature_of(call);
    if nature == Nature::Power {
        return Err(Refusal::Power(call.registers.ax()));
    }
    if matches!(nature, Nature::Reads | Nature::Writes) {
        check_disk(facts, number, function, disk_of(call))?;
        if level < Level::Suspend {
            return Err(Refusal::Level { number, function, needed: "suspend" });
        }
    }
    if nature == Nature::Writes && !allow_writes {
        return Err(Refusal::Write { number, function });
    }
    Ok(())
}

/// Checks that no driver has made the disk's controller its own.
fn check_disk(facts: &Facts, number: u8, function: u8, disk: u8) -> Result<(), Refusal> {
    match facts.disks.get(&disk) {
        None => Err(Refusal::Unnamed { number, function, disk }),
        Some(controller) if controller.is_ide() => Ok(()),
        Some(Controller { driver: None, .. }) => Ok(()),
        Some(Controller { address, driver: Some(driver), .. }) => {
            let (address, driver) = (address.clone(), driver.clone());
            Err(Refusal::Held { number, function, address, driver })
        }
    }
}

/// A loop over INT 15h E820h.
#[must_use]
pub fn memory_map() -> Call {
    use crate::e820::{ENTRY, MOST, SIGNATURE};
    let registers = crate::Registers { eax: 0xe820, ecx: ENTRY.into(), edx: SIGNATURE, ..Default::default() };
    Call { kind: Kind::Loop { number: 0x15, most: MOST, step: ENTRY }, ..Call::interrupt(0x15, registers) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Registers;

    fn call(number: u8, eax: u32) -> Call {
        Call::interrupt(number, Registers { eax, ..Registers::default() })
    }

    fn controller(class: u32, driver: Option<&str>) -> Controller {
        Controller { address: "0000:00:04.0".into(), class, driver: driver.map(Into::into) }
    }

    #[test]
    fn a_function_that_only_looks_needs_nothing_stopped() {
        for (number, eax) in [(0x12, 0), (0x15, 0xe820), (0x10, 0x4f15), (0x13, 0x4800), (0x1a, 0xb101)] {
            assert_eq!(level(&call(number, eax)), Level::None, "{number:x} {eax:x}");
        }
        assert_eq!(level(&call(0x15, 0x8600)), Level::Stop);
        assert_eq!(level(&call(0x16, 0)), Level::Stop);
        // The kernel's own access to the clock or to PCI takes two steps.
        for eax in [0x0200, 0x0400, 0xb10a, 0xb10d] {
            assert_eq!(level(&call(0x1a, eax)), Level::Stop, "{eax:x}");
        }
        for (number, eax) in [(0x13, 0x4200), (0x10, 0x0003), (0x15, 0xec00), (0x77, 0)] {
            assert_eq!(level(&call(number, eax)), Level::Suspend, "{number:x} {eax:x}");
        }
        let far = Call { kind: Kind::Far { segment: 0x2000, offset: 0 }, ..call(0, 0) };
        assert_eq!(level(&far), Level::Suspend);
    }

    #[test]
    fn interrupts_that_no_call_needs_are_masked() {
        let facts = Facts { io_apic: 0xfec0_0000, ..Facts::default() };
        assert_eq!(setup(&facts, &[call(0x15, 0xe820)]).mask, 0xfffa);
        let waits = setup(&facts, &[call(0x15, 0xe820), call(0x15, 0x8600)]);
        assert_eq!(waits.mask & 0x0103, 0);
        let kept = flag::KEEP_UPPER | flag::KEEP_CLOCK;
        assert_eq!(waits.at(Level::None).flags, kept);
        assert_eq!(waits.at(Level::Stop).flags, flag::MASK_IO_APIC | kept);
        assert_eq!(setup(&facts, &[call(0x15, 0xe820)]).flags, 0);
    }

    #[test]
    fn a_machine_without_bios_or_with_encrypted_memory_is_refused() {
        let one = [call(0x12, 0)];
        let check = |facts: &Facts, level| check(facts, &one, level, false);
        assert_eq!(check(&Facts { uefi: true, ..Facts::default() }, Level::None), Err(Refusal::Uefi));
        let encrypted = Facts { encryption: Some("SME".into()), ..Facts::default() };
        assert_eq!(check(&encrypted, Level::None), Err(Refusal::Encrypted("SME".into())));
        let clock = Facts { uses_8254: true, ..Facts::default() };
        assert_eq!(check(&clock, Level::Stop), Err(Refusal::Clock));
        assert_eq!(check(&clock, Level::Suspend), Ok(()));
    }

    #[test]
    fn a_disk_is_read_only_where_the_bios_still_has_its_controller() {
        let facts = |controller: Controller| Facts { controllers: vec![controller], ..Facts::default() };
        let allowed = |controller: Controller| {
            let facts = facts(controller).with_disks(&[(0, Some([0, 4, 0]))]);
            check(&facts, &[call(0x13, 0x4200)], Level::Suspend, false)
        };
        assert_eq!(allowed(controller(0x0001_0180, Some("ata_piix"))), Ok(()));
        assert_eq!(allowed(controller(0x0001_0601, None)), Ok(()));
        assert_eq!(allowed(controller(0x000c_0330, None)), Ok(()));
        for (class, driver) in [(0x0001_0601, "ahci"), (0x000c_0330, "xhci_hcd"), (0x0008_0501, "sdhci-pci")]
        {
            let refused = allowed(controller(class, Some(driver))).unwrap_err().to_string();
            let held = format!("0000:00:04.0 is held by the driver {driver}");
            assert!(refused.contains(&held), "{refused}");
        }
        // Asking about a disk touches none.
        let held = facts(controller(0x0001_0601, Some("ahci")));
        assert_eq!(check(&held, &[call(0x13, 0x4800)], Level::None, false), Ok(()));
    }

    #[test]
    fn a_disk_whose_controller_is_not_known_is_refused() {
        let ide = Controller { address: "0000:00:01.1".into(), ..controller(0x0001_0180, Some("ata_piix")) };
        let ahci = controller(0x0001_0601, None);
        let facts = Facts { controllers: vec![ide.clone(), ahci], ..Facts::default() };
        let read = |facts: &Facts, number: u8, disk: u8| {
            let registers = Registers { eax: 0x0201, edx: disk.into(), ..Registers::default() };
            check(facts, &[Call::interrupt(number, registers)], Level::Suspend, false)
        };
        let unnamed = |number, disk| Err(Refusal::Unnamed { number, function: 2, disk });
        // No path, or one to where there is no controller: USB disks in SeaBIOS have none.
        for path in [None, Some([0, 0, 0]), Some([0, 4, 1]), Some([1, 1, 1]), Some([0xff, 0xff, 0xff])] {
            let facts = facts.with_disks(&[(0x80, Some([0, 1, 1])), (0x81, path)]);
            assert_eq!(read(&facts, 0x13, 0x80), Ok(()));
            assert_eq!(read(&facts, 0x13, 0x81), unnamed(0x13, 0x81), "{path:?}");
            assert_eq!(read(&facts, 0x40, 0x81), unnamed(0x40, 0x81), "{path:?}");
        }
        assert_eq!(read(&facts, 0x13, 0x80), unnamed(0x13, 0x80));
    }

    #[test]
    fn disks_are_behind_controllers_of_storage_networks_and_serial_buses() {
        for class in [0x0001_0180, 0x0001_0802, 0x0002_0000, 0x0008_0501, 0x000c_0320, 0x000c_0400] {
            assert!(Controller::is_class(class), "{class:#x}");
        }
        for class in [0x0003_0000, 0x0006_0000, 0x0008_0000, 0x000c_0500] {
            assert!(!Controller::is_class(class), "{class:#x}");
        }
    }

    #[test]
    fn the_disks_that_calls_drive_are_asked_for_once() {
        let one = |ax, edx| Call::interrupt(0x13, Registers { eax: ax, edx, ..Registers::default() });
        assert_eq!(
            disks(&[one(0x4200, 0x81), one(0x4800, 0x82), one(0x0201, 0x80), one(0x4200, 0x81)]),
            [0x80, 0x81]
        );
    }

    #[test]
    fn writes_and_power_management_need_to_be_allowed() {
        let controllers = vec![controller(0x0001_0180, Some("ata_piix"))];
        let facts = Facts { controllers, ..Facts::default() }.with_disks(&[(0, Some([0, 4, 0]))]);
        let check = |one: Call, level, allow| check(&facts, &[one], level, allow);
        let write = call(0x13, 0x4300);
        assert!(matches!(check(write, Level::Suspend, false), Err(Refusal::Write { .. })));
        assert_eq!(check(write, Level::Suspend, true), Ok(()));
        assert!(matches!(check(write, Level::None, true), Err(Refusal::Level { .. })));
        assert_eq!(check(call(0x15, 0x5300), Level::None, false), Ok(()));
        assert_eq!(check(call(0x15, 0x5303), Level::Suspend, false), Err(Refusal::Power(0x5303)));
    }
}
