//! EFI variables of the firmware and of boot loaders.

use crate::root::Root;

const LOADER: &str = "4a67b082-0a4c-41cf-b6c7-440b29bb8c4f";
const FIRMWARE: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";

/// The value of a variable, without its attributes.
fn value(root: &Root, name: &str, vendor: &str) -> Option<Vec<u8>> {
    let bytes = root.bytes(&format!("/sys/firmware/efi/efivars/{name}-{vendor}")).ok()?;
    bytes.get(4..).map(<[u8]>::to_vec)
}

/// The text of a variable of the boot loader, if it is not empty.
pub(super) fn text(root: &Root, name: &str) -> Option<String> {
    let bytes = value(root, name, LOADER)?;
    let letters = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    let letters: Vec<u16> = letters.take_while(|&letter| letter != 0).collect();
    Some(String::from_utf16_lossy(&letters)).filter(|text| !text.is_empty())
}

/// The boot loader's name and version.
pub(super) fn loader(root: &Root) -> Option<String> {
    text(root, "LoaderInfo")
}

/// Whether the next boot is for the firmware: its menu (bit 0), or a capsule from a file (bit 2).
pub(super) fn asks_for_firmware(root: &Root) -> bool {
    let indications = value(root, "OsIndications", FIRMWARE);
    indications.and_then(|bytes| bytes.first().copied()).is_some_and(|low| low & 0b101 != 0)
}
