//! The second machine model: Bochs, an interpreter that shares no code with QEMU.
//!
//! Bochs cannot load a kernel by itself. It boots a CD with GRUB, the kernel and the root file
//! system. Its serial ports write to files: the first is the kernel's log, the second the line of
//! the agent.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread;

use rustix::fs::OFlags;
use rustix::termios::{self, OptionalActions};

use crate::log::{self, RunDir};
use crate::qemu::{LOOK, kernel_arguments, killed_with_us};
use crate::vm::{ACCELERATOR, Vm};
use crate::{Error, Result};

/// A Haswell with VMX, AVX2, x2APIC and PCID. Linux does not boot on Bochs 2.7's `tigerlake`.
const CPU: &str = "corei7_haswell_4770";

/// Where Debian's packages bochsbios and vgabios have their ROMs.
const BIOS: &str = "/usr/share/bochs/BIOS-bochs-latest";
const VGA_BIOS: &str = "/usr/share/bochs/VGABIOS-lgpl-latest";

/// The GRUB that boots from a CD by a BIOS, of Debian's package grub-pc-bin.
const GRUB: &str = "/usr/lib/grub/i386-pc";

/// Debian's Bochs has a debugger, which waits for commands. This one continues.
const COMMANDS: &str = "c\n";

/// The command that starts the machine, after everything is written that it reads.
///
/// # Errors
/// The description has something that this machine does not have, or a file cannot be written.
pub(crate) fn command(vm: &Vm, dir: &RunDir) -> Result<Command> {
    if let Some((what, reason)) = lacks(vm) {
        return Err(Error::Lacks { what, reason });
    }
    let [configuration, commands] = ["bochsrc", "bochs.rc"].map(|name| dir.file(name));
    make_cd(vm, dir)?;
    write(&configuration, &description(vm, dir))?;
    write(&commands, COMMANDS)?;
    let mut bochs = killed_with_us("bochs");
    bochs.arg("-q").arg("-f").arg(configuration).arg("-rc").arg(commands);
    // Its text display needs a type of terminal, and opens a pseudo-terminal of its own.
    bochs.env("TERM", "linux");
    Ok(bochs)
}

/// Forwards the agent's bytes from the file to which Bochs writes them, until Bochs ends and closes
/// its standard output. Meanwhile reads what nobody needs.
pub(crate) fn follow(mut agent: File, messages: PathBuf, mut stdout: ChildStdout, to: Sender<Vec<u8>>) {
    let ended = Arc::new(AtomicBool::new(false));
    let end = Arc::clone(&ended);
    thread::spawn(move || {
        // An error is an end too.
        let _ = io::copy(&mut stdout, &mut io::sink());
        end.store(true, Ordering::Release);
    });
    let end = Arc::clone(&ended);
    thread::spawn(move || read_screen(&messages, &end));
    thread::spawn(move || {
        let mut buffer = vec![0; 1 << 16];
        loop {
            // What was written before the end is read after it.
            let last = ended.load(Ordering::Acquire);
            match agent.read(&mut buffer) {
                Ok(0) if last => break,
                Ok(0) => thread::sleep(LOOK),
                Ok(length) if to.send(buffer[..length].to_vec()).is_ok() => {}
                Ok(_) | Err(_) => break,
            }
        }
    });
}

/// Reads and drops what the text display writes to its pseudo-terminal, which it names among its
/// messages: Bochs would wait for ever as soon as 4 KiB are unread.
fn read_screen(messages: &Path, ended: &AtomicBool) {
    while !ended.load(Ordering::Acquire) {
        if let Some(path) = screen(&log::text(messages)) {
            // When Bochs ends, reading fails.
            let _ = open_raw(&path).and_then(|mut screen| io::copy(&mut screen, &mut io::sink()));
            return;
        }
        thread::sleep(LOOK);
    }
}

/// The pseudo-terminal of the text display.
fn screen(messages: &str) -> Option<PathBuf> {
    let (_, rest) = messages.split_once("Bochs connected to screen \"")?;
    rest.split_once('"').map(|(path, _)| path.into())
}

/// A terminal that returns every byte at once, echoes none, and does not become this process's own.
fn open_raw(path: &Path) -> io::Result<File> {
    let flags = i32::try_from(OFlags::NOCTTY.bits()).unwrap_or(0);
    let terminal = File::options().read(true).write(true).custom_flags(flags).open(path)?;
    let mut settings = termios::tcgetattr(&terminal)?;
    settings.make_raw();
    termios::tcsetattr(&terminal, OptionalActions::Now, &settings)?;
    Ok(terminal)
}

/// What the description has and Bochs does not, with the reason.
fn lacks(vm: &Vm) -> Option<(&'static str, &'static str)> {
    if vm.uefi {
        Some(("UEFI", "its firmware is a BIOS of its own"))
    } else if !vm.disks.is_empty() {
        Some(("virtio disks", "its disks are ATA disks, and the lab gives it a CD only"))
    } else if !vm.arguments.is_empty() {
        Some(("arguments for QEMU", "they are QEMU's"))
    } else if vm.accelerator != ACCELERATOR {
        Some(("accelerators", "it interprets every instruction"))
    } else {
        None
    }
}

/// The content of `bochsrc`. The guest's time is counted in instructions, 100 million in a second,
/// so that a run does not depend on the host's speed.
fn description(vm: &Vm, dir: &RunDir) -> String {
    let cpu = vm.cpu.as_deref().unwrap_or(CPU);
    let [iso, serial, agent, log] =
        [dir.iso(), dir.serial(), dir.agent(), dir.file("bochs.log")].map(|path| path.display().to_string());
    // With reset_on_triple_fault=0, a triple fault ends Bochs.
    format!(
        "config_interface: textconfig
display_library: term
cpu: model={cpu}, count={cpus}, ips=100000000, reset_on_triple_fault=0, quantum=32
megs: {megs}
romimage: file={BIOS}
vgaromimage: file={VGA_BIOS}
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=cdrom, path={iso}, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev={serial}
com2: enabled=1, mode=file, dev={agent}
log: {log}
panic: action=fatal
error: action=report
info: action=ignore
clock: sync=none, time0=local
",
        cpus = vm.cpus,
        megs = vm.mebibytes,
    )
}

/// GRUB's menu: one entry, booted at once.
fn menu(vm: &Vm) -> String {
    // A line on the console takes four million instructions, so the kernel prints warnings only.
    // The time stamp counter counts instructions, as all of the machine's clocks do. A restart is a
    // triple fault, so that a kernel that panics ends Bochs.
    let arguments = kernel_arguments(vm);
    format!(
        "set timeout=0
menuentry kernel {{
    linux /boot/vmlinuz loglevel=5 tsc=reliable reboot=triple {arguments}
    initrd /boot/initrd
}}
"
    )
}

/// Makes the CD with the kernel and the root file system, which is written.
fn make_cd(vm: &Vm, dir: &RunDir) -> Result<()> {
    let tree = dir.file("cd");
    let boot = tree.join("boot");
    let grub = boot.join("grub");
    fs::create_dir_all(&grub).map_err(Error::file("create", &grub))?;
    write(&grub.join("grub.cfg"), &menu(vm))?;
    let kernel = boot.join("vmlinuz");
    fs::copy(vm.kernel.image(), &kernel).map_err(Error::file("write", &kernel))?;
    let initrd = boot.join("initrd");
    fs::rename(dir.initramfs(), &initrd).map_err(Error::file("write", &initrd))?;
    let mut mkrescue = Command::new("grub-mkrescue");
    mkrescue.arg("--directory").arg(GRUB).args(["--locales=", "--themes=", "--fonts="]);
    mkrescue.arg("--output").arg(dir.iso()).arg(&tree).stdin(Stdio::null());
    let failed = |source| Error::Spawn { program: "grub-mkrescue".to_owned(), source };
    let output = mkrescue.output().map_err(failed)?;
    fs::remove_dir_all(&tree).map_err(Error::file("remove", &tree))?;
    if !output.status.success() {
        return Err(failed(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned())));
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(Error::file("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Kernel, Kit, Machine, Product};

    fn vm(test: &str) -> Vm {
        let dir = std::env::temp_dir().join(format!("{test}-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        Kernel::describe(&dir, "6.1", "6.1.0", "6.1.0-1").unwrap();
        let kernel = Kernel::open(&dir).unwrap();
        fs::remove_dir_all(&dir).unwrap();
        let kit = Kit { agent: "a".into(), busybox: "b".into(), uefi: "u".into(), runs: "r".into() };
        Vm::new(kernel, Product::default(), kit).machine(Machine::Bochs)
    }

    #[test]
    fn a_part_that_bochs_lacks_is_refused_by_name() {
        let refused = |vm: Vm| lacks(&vm).map(|(what, _)| what);
        let plain = vm("lacks");
        assert_eq!(refused(plain.clone().uefi()), Some("UEFI"));
        assert_eq!(refused(plain.clone().disk("d")), Some("virtio disks"));
        assert_eq!(refused(plain.clone().qemu("-vga")), Some("arguments for QEMU"));
        assert_eq!(refused(plain.clone().accel("kvm")), Some("accelerators"));
        assert_eq!(refused(plain), None);
    }

    #[test]
    fn the_screen_is_found_when_its_name_is_complete() {
        let messages = "ALSA lib\n\nBochs connected to screen \"/dev/pts/1\"\n";
        assert_eq!(screen(messages), Some("/dev/pts/1".into()));
        assert_eq!(screen(&messages[..45]), None);
    }

    #[test]
    fn a_kernel_that_panics_ends_bochs() {
        let menu = menu(&vm("menu").append("nokaslr"));
        assert!(menu.contains("panic=-1") && menu.contains("reboot=triple"), "{menu}");
        assert!(menu.contains(" nokaslr\n"), "{menu}");
    }
}
