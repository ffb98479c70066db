//! From a boot loader's path to this machine's.

use super::grub::Place;
use super::mounts::{self, Mount};
use crate::root::Root;

/// The mounted file systems, in which files are looked for.
pub(super) struct Places<'a> {
    root: &'a Root,
    mounts: Vec<Mount>,
}

impl<'a> Places<'a> {
    pub(super) fn new(root: &'a Root) -> Self {
        let mounts = root.text("/proc/self/mountinfo").map(|text| mounts::parse(&text));
        Self { root, mounts: mounts.unwrap_or_default() }
    }

    /// The path of a file whose path in its file system is known. Where the file system is not, it
    /// is likely the one that holds `base`.
    pub(super) fn find(&self, path: &str, place: Option<&Place>, base: &str) -> Option<String> {
        // GRUB's `(DEVICE)/PATH`.
        let path = match path.split_once(')') {
            Some((_, inner)) if path.starts_with('(') => inner,
            _ => path,
        };
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        match place.map(|place| self.device(place)) {
            Some(Device::Known(name)) => self.on_device(&path, &name),
            Some(Device::Absent) => None,
            Some(Device::Unknown) | None => self.anywhere(&path, base),
        }
    }

    fn device(&self, place: &Place) -> Device {
        let (directory, name) = match place {
            Place::Uuid(uuid) => ("/dev/disk/by-uuid", uuid),
            Place::Label(label) => ("/dev/disk/by-label", label),
        };
        // Without udev, no file system has a name.
        if !self.root.has(directory) || self.mounts.is_empty() {
            return Device::Unknown;
        }
        if name.contains('/') {
            return Device::Absent;
        }
        self.root.link_name(&format!("{directory}/{name}")).map_or(Device::Absent, Device::Known)
    }

    fn on_device(&self, path: &str, name: &str) -> Option<String> {
        let number = self.root.text(&format!("/sys/class/block/{name}/dev")).ok();
        let number = number.as_deref().map(str::trim);
        let is_of_device = |mount: &&Mount| {
            number == Some(mount.device.as_str())
                || mount.source.strip_prefix("/dev/") == Some(name)
                || (mount.source.starts_with("/dev/")
                    && self.root.link_name(&mount.source).as_deref() == Some(name))
        };
        let places = self.mounts.iter().filter(is_of_device).filter_map(|mount| mount.place_of(path));
        places.into_iter().find(|place| self.root.has(place))
    }

    fn anywhere(&self, path: &str, base: &str) -> Option<String> {
        let mut places: Vec<String> =
            [base, "", "/boot", "/efi", "/boot/efi"].iter().map(|base| format!("{base}{path}")).collect();
        // A subvolume, by the names that distributions give theirs: `/@/boot/...`.
        if let Some((_, inner)) = path.strip_prefix("/@").and_then(|rest| rest.split_once('/')) {
            places.push(format!("/{inner}"));
        }
        places.into_iter().find(|place| self.root.has(place))
    }
}

enum Device {
    /// The kernel's name of it.
    Known(String),
    /// This machine has no such file system.
    Absent,
    /// There is nothing to tell by.
    Unknown,
}
