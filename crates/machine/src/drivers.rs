//! `/sys/bus` and `/sys/class/net`: which drivers serve which devices, and which network cards have
//! a link.

use std::path::Path;

use crate::Fact;
use crate::root::Root;

/// The buses whose devices other kernels find as well.
const BUSES: [&str; 3] = ["pci", "virtio", "usb"];

/// A device that a driver serves.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bound {
    /// The bus that it is on.
    pub bus: &'static str,
    /// The driver.
    pub driver: String,
    /// What the device is: its modalias.
    pub device: String,
}

/// The devices that drivers serve, sorted. Several devices may be alike.
///
/// # Errors
/// `/sys` cannot be read.
pub fn bound(root: &Path) -> Fact<Vec<Bound>> {
    let root = Root::new(root);
    let mut bound = Vec::new();
    root.names("/sys/bus")?;
    for bus in BUSES {
        // A kernel without the bus has no such directory.
        for driver in root.names(&format!("/sys/bus/{bus}/drivers")).unwrap_or_default() {
            let directory = format!("/sys/bus/{bus}/drivers/{driver}");
            for name in root.names(&directory).unwrap_or_default() {
                // Devices are the entries that have a modalias, unlike `bind` and `module`.
                let Ok(alias) = root.text(&format!("{directory}/{name}/modalias")) else { continue };
                bound.push(Bound { bus, driver: driver.clone(), device: alias.trim().to_owned() });
            }
        }
    }
    bound.sort();
    Ok(bound)
}

/// The hardware addresses of the network cards that have a link, sorted.
///
/// # Errors
/// `/sys` cannot be read.
pub fn links(root: &Path) -> Fact<Vec<String>> {
    let root = Root::new(root);
    let mut links = Vec::new();
    for name in root.names("/sys/class/net")? {
        let directory = format!("/sys/class/net/{name}");
        // Only hardware has a device; the carrier of an interface that is down cannot be read.
        let is_card = root.has(&format!("{directory}/device"));
        let has_link = root.text(&format!("{directory}/carrier")).is_ok_and(|text| text.trim() == "1");
        if is_card && has_link {
            links.push(root.text(&format!("{directory}/address"))?.trim().to_owned());
        }
    }
    links.sort();
    Ok(links)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn devices_are_found_below_their_drivers() {
        let root = std::env::temp_dir().join(format!("kjump-drivers-{}", std::process::id()));
        let write = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("sys/bus/virtio/drivers/virtio_net/virtio0/modalias", "virtio:d00000001v00001AF4\n");
        write("sys/bus/virtio/drivers/virtio_net/bind", "");
        write("sys/bus/pci/drivers/e1000e/0000:00:02.0/modalias", "pci:v00008086\n");
        write("sys/class/net/eth0/address", "52:54:00:12:34:56\n");
        write("sys/class/net/eth0/carrier", "1\n");
        write("sys/class/net/eth0/device/x", "");
        write("sys/class/net/lo/carrier", "1\n");
        let found = bound(&root).unwrap();
        let links = links(&root).unwrap();
        fs::remove_dir_all(&root).unwrap();
        let found: Vec<_> = found.iter().map(|it| (it.bus, it.driver.as_str(), it.device.as_str())).collect();
        assert_eq!(
            found,
            [("pci", "e1000e", "pci:v00008086"), ("virtio", "virtio_net", "virtio:d00000001v00001AF4")]
        );
        assert_eq!(links, ["52:54:00:12:34:56"]);
        assert!(bound(Path::new("/nowhere")).is_err());
    }
}
