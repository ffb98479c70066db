//! The CPU's model-specific registers that the kernel's msr driver can read.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;

use anyhow::{Context as _, Result, ensure};

/// The registers that are compared. Intel SDM volume 4.
const NUMBERS: [std::ops::Range<u32>; 5] =
    [0x11..0x6d0, 0xd90..0xdb0, 0xc000_0080..0xc000_0110, 0xc001_0000..0xc001_0120, 0xc001_1000..0xc001_1030];

/// Their values on one CPU.
#[derive(Debug)]
pub(crate) struct Registers(BTreeMap<u32, u64>);

impl Registers {
    /// Reads them twice, and leaves out registers that change on their own.
    pub(crate) fn read(cpu: usize) -> Result<Self> {
        let path = format!("/dev/cpu/{cpu}/msr");
        let file = File::open(&path).with_context(|| format!("{path}: modprobe msr"))?;
        let (first, second) = (values(&file), values(&file));
        let steady = first.into_iter().filter(|(number, value)| second.get(number) == Some(value));
        Ok(Self(steady.collect()))
    }

    /// Compares them with their current values.
    pub(crate) fn check(&self, cpu: usize) -> Result<()> {
        let Self(now) = Self::read(cpu)?;
        for (number, value) in &self.0 {
            let found = now.get(number).copied();
            ensure!(found == Some(*value), "MSR {number:#x} was {value:#x} and is {found:x?}");
        }
        Ok(())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

fn values(file: &File) -> BTreeMap<u32, u64> {
    let value = |number: u32| {
        let mut bytes = [0; 8];
        file.read_exact_at(&mut bytes, number.into()).ok()?;
        Some((number, u64::from_le_bytes(bytes)))
    };
    NUMBERS.into_iter().flatten().filter_map(value).collect()
}
