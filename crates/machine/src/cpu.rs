//! `/proc/cpuinfo`: the features and the number of CPUs.

use std::collections::BTreeSet;

use crate::Garbled;

/// The CPUs of the machine that are online.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Their number.
    pub count: usize,
    /// The vendor of the first one; empty if it is not known.
    pub vendor: String,
    features: BTreeSet<String>,
}

impl Cpu {
    /// Whether the first CPU has a feature, by the kernel's name for it.
    #[must_use]
    pub fn has(&self, feature: &str) -> bool {
        self.features.contains(feature)
    }
}

/// Parses `/proc/cpuinfo` of an x86 kernel.
///
/// # Errors
/// [`Garbled`] if no CPU has flags.
pub fn parse(text: &str) -> Result<Cpu, Garbled> {
    let values = |key| {
        text.lines().filter_map(move |line| {
            let (name, value) = line.split_once(':')?;
            (name.trim_end() == key).then_some(value)
        })
    };
    let flags =
        values("flags").next().ok_or(Garbled { line: text.lines().count(), wanted: "flags of a CPU" })?;
    let features = flags.split_whitespace().map(str::to_owned).collect();
    let vendor = values("vendor_id").next().unwrap_or_default().trim().to_owned();
    Ok(Cpu { count: values("processor").count(), vendor, features })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_feature_is_a_whole_flag() {
        let cpu = parse("processor\t: 0\nflags\t\t: fpu sev_es\n\nprocessor\t: 1\nflags\t\t: fpu sev_es\n")
            .unwrap();
        assert_eq!(cpu.count, 2);
        assert!(cpu.has("fpu") && cpu.has("sev_es") && !cpu.has("sev"));
    }

    #[test]
    fn a_text_without_flags_is_garbled() {
        parse("processor\t: 0\nFeatures\t: fp asimd\n").unwrap_err();
    }
}
