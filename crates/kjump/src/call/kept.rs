//! `kjump load` and `kjump unload`: images that outlive the program that loaded them.

use abi::device::{ImageInfo, Load, reason};
use anyhow::{Context, bail};
use sys::{Device, ImageName, Refusal};

use crate::call::args::{LoadArgs, UnloadArgs};
use crate::call::holder;
use crate::call::image_file::ImageFile;
use crate::device;
use crate::terminal::quantity;
use crate::terminal::report::{self, Outcome};

pub(crate) fn load(args: LoadArgs) -> anyhow::Result<Outcome> {
    let file = ImageFile::read(&args.file, args.placing.into())?;
    let program = file.program()?;
    let device = device::open()?;
    let loaded = file.load(&program, &device)?;
    device.keep(&args.name).with_context(|| format!("keeping it as {}", args.name))?;
    let holder = if loaded.in_use == 0 { None } else { holder::find(&device, loaded.first_in_use)? };
    report::print(&format!("{}: {}\n", args.name, describe(&loaded, holder.as_ref())))?;
    Ok(Outcome::Done)
}

pub(crate) fn unload(args: &UnloadArgs) -> anyhow::Result<Outcome> {
    let device =
        device::open_if_loaded()?.with_context(|| format!("{}: the module is not loaded", args.name))?;
    if !forget(&device, &args.name)? {
        bail!("{}: no image is kept under this name; `kjump status` lists the images", args.name);
    }
    Ok(Outcome::Done)
}

/// Unloads the image that is kept under a name. Returns whether there was one.
pub(crate) fn forget(device: &Device, name: &ImageName) -> anyhow::Result<bool> {
    match device.attach(name) {
        Ok(()) => {
            device.unload().with_context(|| format!("unloading {name}"))?;
            Ok(true)
        }
        Err(refusal) if is_missing(&refusal) => Ok(false),
        Err(refusal) => Err(refusal).with_context(|| name.to_string()),
    }
}

/// Whether the module refused because it keeps no image of that name.
pub(crate) fn is_missing(refusal: &Refusal) -> bool {
    refusal.diagnosis.reason == reason::NO_SUCH_IMAGE
}

/// `holder` is the other image that has the first page in use, if one has it.
fn describe(loaded: &Load, holder: Option<&ImageInfo>) -> String {
    let shared = match (loaded.in_use, loaded.pages - loaded.claimed.min(loaded.pages)) {
        (0, 0) => "all allocated by the image: calls work without suspending the system".into(),
        (0, exchanged) => {
            format!(
                "{exchanged} exchanged at each call, none in use by the kernel: calls work without \
                 suspending the system"
            )
        }
        (in_use, _) => {
            let first = loaded.first_in_use;
            match holder.map(holder::describe) {
                Some((image, advice)) => {
                    format!(
                        "{in_use} in use, the first at {first:#x} by {image}: calls suspend the system; \
                         {advice}"
                    )
                }
                None => format!(
                    "{in_use} in use by the kernel, the first at {first:#x}: calls suspend the system"
                ),
            }
        }
    };
    let size = quantity::bytes(quantity::page_bytes(loaded.pages));
    format!("{} ({size}), {shared}", quantity::count(loaded.pages, "page"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_image_at_the_same_address_is_named() {
        let other = ImageInfo { name: "a".parse::<ImageName>().unwrap().words(), ..ImageInfo::default() };
        let loaded = Load { pages: 1, in_use: 1, first_in_use: 0x20_0000, ..Load::default() };
        assert_eq!(
            describe(&loaded, Some(&other)),
            "1 page (4 KiB), 1 in use, the first at 0x200000 by image a: calls suspend the system; \
             unload it (`kjump unload a`), or call it by its name"
        );
    }

    #[test]
    fn the_report_of_a_load_states_what_calls_need() {
        let load = |pages, claimed, in_use| {
            describe(&Load { pages, claimed, in_use, first_in_use: 0x10_0000, ..Load::default() }, None)
        };
        assert_eq!(
            load(2, 2, 0),
            "2 pages (8 KiB), all allocated by the image: calls work without suspending the system"
        );
        assert_eq!(
            load(2, 1, 0),
            "2 pages (8 KiB), 1 exchanged at each call, none in use by the kernel: calls work without \
             suspending the system"
        );
        assert_eq!(
            load(1, 0, 1),
            "1 page (4 KiB), 1 in use by the kernel, the first at 0x100000: calls suspend the system"
        );
    }
}
