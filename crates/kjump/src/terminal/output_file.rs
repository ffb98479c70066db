//! Files that are written as a whole or not at all.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use sys::Device;

use crate::terminal::number::FileFrom;

/// Bytes copied at a time.
const CHUNK: usize = 1 << 20;

/// Copies from the image of the open file of the device into a file.
pub(crate) fn write(device: &Device, output: &FileFrom) -> anyhow::Result<()> {
    write_from(output, |address, chunk| Ok(device.read(address, chunk)?))
        .with_context(|| output.path.display().to_string())
}

/// Writes bytes into a file.
pub(crate) fn write_bytes(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    fill(path, |file| Ok(file.write_all(bytes)?)).with_context(|| path.display().to_string())
}

/// Copies from `read`, which reads from an address into a buffer.
fn write_from(
    output: &FileFrom,
    read: impl FnMut(u64, &mut [u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    fill(&output.path, |file| copy(output, file, read))
}

fn fill(path: &Path, write: impl FnOnce(&mut File) -> anyhow::Result<()>) -> anyhow::Result<()> {
    match std::fs::metadata(path) {
        // A pipe or a device must not be replaced.
        Ok(present) if !present.is_file() && !present.is_dir() => {
            write(&mut OpenOptions::new().write(true).open(path)?)
        }
        _ => fill_new(path, write),
    }
}

/// Writes a new file in the same directory, then renames it. It may contain secrets: only its owner
/// may read it.
fn fill_new(path: &Path, write: impl FnOnce(&mut File) -> anyhow::Result<()>) -> anyhow::Result<()> {
    let new = new_name(path)?;
    let options = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new);
    let mut file = options.with_context(|| new.display().to_string())?;
    let written = write(&mut file).and_then(|()| {
        file.sync_all()?;
        Ok(std::fs::rename(&new, path)?)
    });
    if written.is_err() {
        // The error to report is the first one.
        let _ = std::fs::remove_file(&new);
    }
    written
}

/// A name in the same directory that no other process uses.
pub(crate) fn new_name(path: &Path) -> anyhow::Result<PathBuf> {
    let Some(name) = path.file_name() else { bail!("this is not the name of a file") };
    let mut new = std::ffi::OsString::from(".");
    new.push(name);
    new.push(format!(".kjump-{}", std::process::id()));
    Ok(path.with_file_name(new))
}

fn copy(
    output: &FileFrom,
    file: &mut File,
    mut read: impl FnMut(u64, &mut [u8]) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut chunk = vec![0; CHUNK];
    let (mut address, mut left) = (output.address, output.length);
    while left > 0 {
        let size = usize::try_from(left).unwrap_or(CHUNK).min(CHUNK);
        let (part, _) = chunk.split_at_mut(size);
        read(address, part)?;
        file.write_all(part)?;
        address = address.wrapping_add(size as u64);
        left -= size as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A directory for one test.
    fn directory(name: &str) -> PathBuf {
        let directory = std::env::temp_dir().join(format!("kjump-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        directory
    }

    fn pattern(address: u64, chunk: &mut [u8]) -> anyhow::Result<()> {
        for (place, number) in chunk.iter_mut().zip(address..) {
            *place = number.to_le_bytes()[0] ^ number.to_le_bytes()[2];
        }
        Ok(())
    }

    #[test]
    fn a_file_has_the_bytes_in_order_and_only_its_owner_can_read_it() {
        let directory = directory("order");
        let path = directory.join("memory");
        std::fs::write(&path, "old").unwrap();
        let output = FileFrom { path: path.clone(), address: 0x1003, length: (CHUNK + 77) as u64 };
        write_from(&output, pattern).unwrap();
        let mut expected = vec![0; CHUNK + 77];
        pattern(0x1003, &mut expected).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), expected);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn an_error_in_the_middle_leaves_the_old_file_alone() {
        let directory = directory("error");
        let path = directory.join("memory");
        std::fs::write(&path, "old").unwrap();
        let output = FileFrom { path: path.clone(), address: 0, length: (CHUNK * 2) as u64 };
        let error = write_from(&output, |address, _| if address > 0 { bail!("no more") } else { Ok(()) });
        assert_eq!(error.unwrap_err().to_string(), "no more");
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(std::fs::read_dir(&directory).unwrap().count(), 1);
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_device_is_written_to_and_not_replaced() {
        let output = FileFrom { path: "/dev/null".into(), address: 0, length: 10 };
        write_from(&output, pattern).unwrap();
        assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
    }

    #[test]
    fn a_directory_is_not_a_file() {
        let output = FileFrom { path: "/".into(), address: 0, length: 10 };
        assert_eq!(write_from(&output, pattern).unwrap_err().to_string(), "this is not the name of a file");
    }
}
