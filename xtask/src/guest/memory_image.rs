//! Memory images to test and measure with: made once by the lab, and kept below `target/material/`.
//!
//! A guest reads files into its page cache and allocates memory of all kinds in many tasks. Then
//! QEMU writes its memory to a file.

use std::fs::{self, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lab::{Job, Listener};
use serde_json::{Value, json};

use crate::build::product;
use crate::debian::{compiler, kernels};
use crate::{program, tree};

/// Memory of the guest: little enough that none of it lies above the hole below 4 GiB.
const MEBIBYTES: u32 = 2560;

/// What the guest runs: page cache of a disk, files in memory, anonymous memory with text, programs
/// and noise, huge pages, tasks. It prints READY and continues until QEMU has written its memory.
const ACTIVITY: &str = r#"
mkdir -p /disk /huge /shm
mount -t ext4 -o ro /dev/vda /disk
mount -t tmpfs -o size=200m none /shm
find /disk -type f -exec cat {} + > /dev/null
find /disk -name '*.rlib' | head -n 3 | xargs -I FILE cp FILE /shm
echo 24 > /proc/sys/vm/nr_hugepages
mount -t hugetlbfs none /huge && fallocate -l 48M /huge/file
(find /disk -name '*.so*' -type f -exec cat {} + | tail -c 220000000 | sleep 99999) &
(head -c 90000000 /dev/urandom | tail -c 90000000 | sleep 99999) &
(find /disk -name '*.h' -exec cat {} + | head -c 24000000 | sort | sleep 99999) &
for number in $(seq 120); do sleep 99999 & done
sleep 25
echo READY
sleep 5
"#;

/// The ELF vmcore of a guest with this kernel, made first if necessary.
///
/// # Errors
/// The guest fails, or QEMU cannot write its memory.
pub(crate) fn vmcore(kernel: &str) -> Result<PathBuf> {
    let is_complete = |dir: &Path| dir.join("vmcore").exists();
    let dir = tree::made_once(&format!("material/{kernel}"), is_complete, |dir| {
        make(kernel, dir).with_context(|| format!("making a memory image of {kernel}"))
    })?;
    Ok(dir.join("vmcore"))
}

fn make(kernel: &str, dir: &Path) -> Result<()> {
    eprintln!("making a memory image of {kernel}; this takes minutes");
    let disk = disk(kernel, dir)?;
    let (monitor, image) = (dir.join("monitor"), dir.join("vmcore"));
    let vm = product::vm(kernel)?.mem(MEBIBYTES).smp(2).disk(&disk).without_module();
    let vm = vm.driver("qemu_fw_cfg").qemu("-device").qemu("vmcoreinfo").timeout(Duration::from_secs(1800));
    let vm = vm.qemu("-qmp").qemu(format!("unix:{},server=on,wait=off", monitor.display()));
    let mut writer = Writer { monitor, image: image.clone(), output: Vec::new(), written: false };
    let status = vm.stream(&Job::shell(ACTIVITY), &mut writer)?.into_outcome().status;
    ensure!(writer.written, "the guest was never ready (exit status {status}): {}", writer.text());
    fs::remove_file(disk)?;
    move_program_headers(&image)
}

/// Makes the file like a kernel's own /proc/vmcore. QEMU 7.2 puts a section header right after the
/// file header, where makedumpfile expects the program headers: these move there, and the section
/// goes. The last load header also goes: it is firmware below 4 GiB, which no kernel uses as
/// memory.
fn move_program_headers(image: &Path) -> Result<()> {
    const HEADER: usize = 64;
    fs::set_permissions(image, fs::Permissions::from_mode(0o600))?;
    let file = OpenOptions::new().read(true).write(true).open(image)?;
    let mut start = vec![0; 4096];
    file.read_exact_at(&mut start, 0)?;
    let word = |at: usize| usize::from(u16::from_le_bytes([start[at], start[at + 1]]));
    let (from, size, count) = (word(32), word(54) * word(56), word(56));
    ensure!(count == 3, "{count} program headers; expected 3: notes, memory and firmware");
    // Notes follow immediately.
    ensure!(HEADER <= from && from + size <= start.len(), "program headers at {from:#x}");
    start.copy_within(from..from + size, HEADER);
    start[HEADER + size..(from + size).max(HEADER + size)].fill(0);
    start[32..34].copy_from_slice(&[64, 0]);
    start[40..48].fill(0);
    start[52..54].copy_from_slice(&[64, 0]);
    start[56] = 2;
    start[58..64].fill(0);
    Ok(file.write_all_at(&start[..from + size], 0)?)
}

/// A file system with large amounts of files: kernel modules, headers, a compiler.
fn disk(kernel: &str, dir: &Path) -> Result<PathBuf> {
    let (disk, files) = (dir.join("disk"), dir.join("files"));
    fs::create_dir_all(&files)?;
    let _built = compiler::get()?;
    for dir in [kernels::get(kernel)?.dir().to_owned(), tree::target().join("compiler")] {
        program::quiet(Command::new("cp").arg("-aH").arg(dir).arg(&files))?;
    }
    let mke2fs = program::find("mke2fs").context("mke2fs not found; it is in Debian's package e2fsprogs")?;
    program::quiet(
        Command::new(mke2fs).args(["-q", "-t", "ext4", "-d"]).arg(&files).arg(&disk).arg("1200M"),
    )?;
    fs::remove_dir_all(files)?;
    Ok(disk)
}

/// Waits for READY from the guest, and then makes QEMU write its memory.
struct Writer {
    monitor: PathBuf,
    image: PathBuf,
    output: Vec<u8>,
    written: bool,
}

impl Listener for Writer {
    fn out(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.extend(bytes);
        if !self.written && self.text().contains("READY\n") {
            dump_memory(&self.monitor, &self.image)?;
            self.written = true;
        }
        Ok(())
    }

    fn err(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.output.extend(bytes);
        Ok(())
    }

    fn note(&mut self, _: &str) {}
}

impl Writer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }
}

/// `dump-guest-memory` of QEMU's machine protocol (QMP).
fn dump_memory(monitor: &Path, image: &Path) -> io::Result<()> {
    let mut socket = UnixStream::connect(monitor)?;
    let mut lines = BufReader::new(socket.try_clone()?).lines();
    let dump = json!({ "paging": false, "protocol": format!("file:{}", image.display()) });
    for command in [
        json!({ "execute": "qmp_capabilities" }),
        json!({ "execute": "dump-guest-memory", "arguments": dump }),
    ] {
        writeln!(socket, "{command}")?;
        loop {
            let line = lines.next().ok_or(io::ErrorKind::UnexpectedEof)??;
            let answer: Value = serde_json::from_str(&line)?;
            if let Some(error) = answer.get("error") {
                return Err(io::Error::other(error.to_string()));
            }
            if answer.get("return").is_some() {
                break;
            }
        }
    }
    Ok(())
}
