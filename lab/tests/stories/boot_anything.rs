//! Programs that are not Linux are started by kexec, as `docs/boot-anything.md` describes.

use std::time::Duration;

use lab::stage::{LOADERS, loaders, vm};
use lab::story::{EVERY, Story};
use lab::{Error, Machine, Result, Vm, stories};

pub(crate) const STORIES: &[Story] = stories! {
    EVERY, first => memdisk_starts_a_boot_sector_with_clock_and_keyboard,
    EVERY, last => grub_prompts,
    EVERY, first => ipxe_gets_an_address,
    EVERY, last => memtest86_tests_memory,
    &["6.1"], long => memtest86_completes_a_pass,
};

/// Loads with these arguments in the directory of the loaders, starts what is loaded, and cuts the
/// power when the first serial port has shown the text. Returns all that it has shown.
#[track_caller]
fn shows(vm: Vm, load: &str, text: &str) -> String {
    let job = format!("cd {LOADERS} && {load} || exit 9; kexec -e; exit 8");
    match vm.file(loaders(), LOADERS).power_cut_after(text).run(&job) {
        Err(Error::GuestEnded { log, .. }) if log.contains(text) => log,
        other => panic!("{text:?} was not shown: {other:?}"),
    }
}

/// The BIOS also writes what it shows to the first serial port.
fn with_serial_bios(vm: Vm) -> Vm {
    vm.qemu("-machine").qemu("graphics=off")
}

fn memdisk_starts_a_boot_sector_with_clock_and_keyboard(on: &str) -> Result<()> {
    let load = "cp /lib/kjump/payloads/bootsector /tmp/floppy && truncate -s 1440K /tmp/floppy &&
        kexec -l --real-mode memdisk --initrd=/tmp/floppy";
    for machine in [Machine::Pc, Machine::Q35] {
        let log = shows(vm(on).smp(2).machine(machine), load, "boot sector: a key was read");
        for text in ["entered", "the second sector was read", "the clock ticks"] {
            assert!(log.contains(&format!("boot sector: {text}")), "{text:?} was not printed\n{log}");
        }
    }
    Ok(())
}

/// GRUB lists the BIOS's memory map and waits for commands.
fn grub_prompts(on: &str) -> Result<()> {
    let log = shows(vm(on).smp(2), "kexec -l --real-mode grub", "grub>");
    let base = "base_addr = 0x0, length = 0x9fc00, available RAM";
    assert!(log.contains(base), "{base:?} was not printed\n{log}");
    Ok(())
}

/// By its own driver of the network card that the kernel used before.
fn ipxe_gets_an_address(on: &str) -> Result<()> {
    let load = "ip link set eth0 up; kexec -l --real-mode ipxe";
    shows(with_serial_bios(vm(on).smp(2)), load, "10.0.2.15/255.255.255.0");
    Ok(())
}

/// It runs at one address only, where `kexec_file_load` does not load it.
fn memtest86_tests_memory(on: &str) -> Result<()> {
    let load = "kexec -l --command-line='console=ttyS0,115200 nosmp nobench' memtest";
    shows(vm(on).mem(256), load, "Memtest86+ v6");
    Ok(())
}

/// All patterns over all memory once. It takes minutes for each 64 MiB in an emulator.
fn memtest86_completes_a_pass(on: &str) -> Result<()> {
    let load = "kexec -l --command-line='console=ttyS0,115200 nosmp nobench' memtest";
    let vm = vm(on).mem(128).timeout(Duration::from_secs(3000));
    shows(vm, load, "Pass:  1        Errors: 0");
    Ok(())
}
