//! Memory images to test and measure with: made by the lab once, and kept below `target/material/`.
//!
//! A guest reads files into its page cache, holds memory of all kinds in many tasks, and then QEMU writes its memory down.

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

/// Memory of the guest. With firmware's hole below 4 GiB, nothing of it lies above that.
const MEBIBYTES: u32 = 2560;

/// What the guest does: page cache of a disk, files in memory, anonymous memory of text, programs and noise, huge pages,
/// tasks. It says READY and goes on for as long as it takes to be written down.
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

/// The ELF vmcore of a guest with this kernel, made first if it is not there yet.
///
/// # Errors
/// The guest fails, or QEMU cannot write its memory down.
pub(crate) fn vmcore(kernel: &str) -> Result<PathBuf> {
    let is_complete = |dir: &Path| dir.join("vmcore").exists();
    let dir = tree::made_once(&format!("material/{kernel}"), is_complete, |dir| {
        make(kernel, dir).with_context(|| format!("making a memory image of {kernel}"))
    })?;
    Ok(dir.join("vmcore"))
}

fn make(kernel: &str, dir: &Path) -> Result<()> {
    eprintln!("making a memory image of {kernel}: some minutes");
    let disk = disk(kernel, dir)?;
    let (monitor, image) = (dir.join("monitor"), dir.join("vmcore"));
    let vm = product::vm(kernel)?.mem(MEBIBYTES).smp(2).disk(&disk).without_module();
    let vm = vm.driver("qemu_fw_cfg").qemu("-device").qemu("vmcoreinfo").timeout(Duration::from_secs(1800));
    let vm = vm.qemu("-qmp").qemu(format!("unix:{},server=on,wait=off", monitor.display()));
    let mut writer = Writer { monitor, image: image.clone(), heard: Vec::new(), written: false };
    let status = vm.stream(&Job::shell(ACTIVITY), &mut writer)?.into_outcome().status;
    ensure!(writer.written, "the guest was never ready (exit status {status}): {}", writer.said());
    fs::remove_file(disk)?;
    move_program_headers(&image)
}

/// Makes the file like a kernel's own /proc/vmcore. QEMU 7.2 puts a section header behind the file's own; makedumpfile
/// looks for program headers there, so these go there, and the file has no sections any more. The last load is
/// firmware below 4 GiB, which no kernel takes for its memory: it goes.
fn move_program_headers(image: &Path) -> Result<()> {
    const HEADER: usize = 64;
    fs::set_permissions(image, fs::Permissions::from_mode(0o600))?;
    let file = OpenOptions::new().read(true).write(true).open(image)?;
    let mut start = vec![0; 4096];
    file.read_exact_at(&mut start, 0)?;
    let word = |at: usize| usize::from(u16::from_le_bytes([start[at], start[at + 1]]));
    let (from, size, count) = (word(32), word(54) * word(56), word(56));
    ensure!(count == 3, "{count} program headers: notes, memory and firmware are expected");
    // Notes follow them at once.
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

/// A file system with what there is plenty of: kernel modules, headers, a compiler.
fn disk(kernel: &str, dir: &Path) -> Result<PathBuf> {
    let (disk, files) = (dir.join("disk"), dir.join("files"));
    fs::create_dir_all(&files)?;
    let _built = compiler::get()?;
    for folder in [kernels::get(kernel)?.dir().to_owned(), tree::target().join("compiler")] {
        program::quiet(Command::new("cp").arg("-aH").arg(folder).arg(&files))?;
    }
    let mke2fs = program::find("mke2fs").context("there is no mke2fs; Debian's package e2fsprogs has it")?;
    program::quiet(
        Command::new(mke2fs).args(["-q", "-t", "ext4", "-d"]).arg(&files).arg(&disk).arg("1200M"),
    )?;
    fs::remove_dir_all(files)?;
    Ok(disk)
}

/// Waits for the guest's word, and then has its memory written down.
struct Writer {
    monitor: PathBuf,
    image: PathBuf,
    heard: Vec<u8>,
    written: bool,
}

impl Listener for Writer {
    fn out(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.heard.extend(bytes);
        if !self.written && self.said().contains("READY\n") {
            write_down(&self.monitor, &self.image)?;
            self.written = true;
        }
        Ok(())
    }

    fn err(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.heard.extend(bytes);
        Ok(())
    }

    fn note(&mut self, _: &str) {}
}

impl Writer {
    fn said(&self) -> String {
        String::from_utf8_lossy(&self.heard).into_owned()
    }
}

/// QEMU's dump-guest-memory, by its machine protocol.
fn write_down(monitor: &Path, image: &Path) -> io::Result<()> {
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
