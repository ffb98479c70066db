//! What another kernel must find to be healthy: what this one has.

use std::collections::BTreeMap;
use std::path::Path;

use machine::drivers::{self, Bound};
use plan::linux::parameters;

/// The expectations.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Expectations {
    /// Drivers and what they serve, with the number of devices.
    drivers: BTreeMap<Bound, usize>,
    /// Hardware addresses of network cards with a link.
    links: Vec<String>,
    /// The root file system, as `findfs` takes it.
    root: Option<String>,
}

impl Expectations {
    pub(super) fn of_this_machine(root: Option<&str>, line: &[u8]) -> anyhow::Result<Self> {
        let here = Path::new("/");
        let mut drivers = BTreeMap::new();
        for bound in drivers::bound(here)? {
            *drivers.entry(bound).or_insert(0) += 1;
        }
        let root = root.map(str::to_owned).or_else(|| root_of(line));
        Ok(Self { drivers, links: drivers::links(here)?, root })
    }

    /// The lines for the init of the trial: fields that contain no white space.
    pub(super) fn lines(&self) -> String {
        let drivers = self.drivers.iter().map(|(bound, count)| {
            format!("driver {} {} {} {count}\n", bound.bus, bound.driver, bound.device)
        });
        let links = self.links.iter().map(|address| format!("link {address}\n"));
        let root = self.root.iter().map(|name| format!("root {name}\n"));
        let is_whole = |line: &String| line.split(' ').all(|field| !field.trim().is_empty());
        drivers.chain(links).chain(root).filter(is_whole).collect()
    }

    /// A summary of what was found, if everything was.
    pub(super) fn summary(&self) -> String {
        let devices: usize = self.drivers.values().sum();
        let root = match &self.root {
            Some(name) => format!("root file system {name}"),
            None => "root file system not checked".to_owned(),
        };
        format!("devices with drivers: {devices}; network links: {}; {root}", self.links.len())
    }
}

/// The root file system in a command line, if it can be looked for.
fn root_of(line: &[u8]) -> Option<String> {
    let root = parameters::of_kernel(line).filter(|parameter| parameter.is_named(b"root")).last()?;
    let name = std::str::from_utf8(root.value()?).ok()?;
    let known = ["UUID=", "LABEL=", "/dev/"];
    known.iter().any(|start| name.starts_with(start)).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_expectation_is_a_line_of_fields() {
        let bound = |driver: &str, device: &str| Bound {
            bus: "pci",
            driver: driver.to_owned(),
            device: device.to_owned(),
        };
        let expectations = Expectations {
            drivers: [(bound("ahci", "pci:v1"), 2), (bound("has a blank", ""), 1)].into(),
            links: vec!["52:54:00:12:34:56".into()],
            root: root_of(b"ro root=UUID=12-34 quiet"),
        };
        assert_eq!(
            expectations.lines(),
            "driver pci ahci pci:v1 2\nlink 52:54:00:12:34:56\nroot UUID=12-34\n"
        );
        assert_eq!(root_of(b"root=PARTUUID=1"), None);
        assert_eq!(root_of(b"-- root=/dev/vda"), None);
    }
}
