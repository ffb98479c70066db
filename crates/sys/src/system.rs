//! What the kernel does for everybody: disks written out, random bytes, files in memory.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Seek, Write};

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::rand::{GetRandomFlags, getrandom};
use rustix::thread::{CpuSet, sched_setaffinity};

/// Writes the caches to the disks.
pub fn sync() {
    rustix::fs::sync();
}

/// Lets this thread run on CPU 0 only.
///
/// # Errors
/// sched_setaffinity(2) fails: the CPU is offline, or not for this process.
pub fn run_on_first_cpu() -> io::Result<()> {
    let mut first = CpuSet::new();
    first.set(0);
    Ok(sched_setaffinity(None, &first)?)
}

/// Random bytes, or `None` if the kernel has not gathered enough randomness yet, or none at all.
#[must_use]
pub fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    match getrandom(&mut bytes, GetRandomFlags::NONBLOCK) {
        Ok(length) if length == N => Some(bytes),
        _ => None,
    }
}

/// A file in memory with these bytes, one part after the other, to be read from its start.
///
/// # Errors
/// There is no memory for it.
pub fn file_of<'a>(name: &CStr, parts: impl IntoIterator<Item = &'a [u8]>) -> io::Result<File> {
    let mut file = File::from(memfd_create(name, MemfdFlags::CLOEXEC)?);
    for part in parts {
        file.write_all(part)?;
    }
    file.rewind()?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn a_file_in_memory_has_all_its_parts() {
        let mut file = file_of(c"it", [b"ab".as_slice(), b"", b"c"]).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "abc");
    }

    #[test]
    fn random_bytes_differ() {
        assert_ne!(random::<32>().unwrap(), random::<32>().unwrap());
    }
}
