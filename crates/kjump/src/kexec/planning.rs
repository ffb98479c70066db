//! From files and words to a plan. Nothing is read here but the machine, which was read before.

use anyhow::{anyhow, bail};
use kernel_file::BzImage;
use machine::Machine;
use plan::LoadPlan;
use plan::linux::{self, Home, Initrd};

use super::files::Files;
use super::kernel::Loader;
use super::words::Load;
use super::{purgatory, slot};

/// Plans a load by `kexec_load`.
pub(super) fn plan<'a>(
    files: &'a Files,
    load: &Load,
    loader: Loader,
    machine: &Machine,
) -> anyhow::Result<LoadPlan<'a>> {
    let machine = machine.for_plan().map_err(|unknown| anyhow!("{unknown}"))?;
    match loader {
        Loader::BzImage => linux(files, load, &machine),
        other => Err(anyhow!("{other} is not loaded so far")),
    }
}

fn linux<'a>(files: &'a Files, load: &Load, machine: &plan::Machine) -> anyhow::Result<LoadPlan<'a>> {
    if let Some(module) = files.modules.first() {
        let (size, words) = (module.bytes.len(), String::from_utf8_lossy(&module.words));
        bail!("--module {words} ({size} bytes): a bzImage has no modules, only a multiboot kernel has");
    }
    if let Some(dtb) = &files.dtb {
        bail!("--dtb ({} bytes) is not done so far", dtb.len());
    }
    let kernel = BzImage::parse(files.kernel.kernel())?;
    let initrds = files.all_initrds().into_iter().map(|(name, bytes)| Initrd { name, bytes }).collect();
    let home = match load.crash {
        true => Home::Crash { update_size: load.hotplug.then(slot::elfcorehdr_size).transpose()? },
        false => {
            Home::Replace { lowest: load.lowest.unwrap_or(0), highest: load.highest.unwrap_or(u64::MAX) }
        }
    };
    let request = linux::Request {
        kernel,
        initrds,
        command_line: files.command_line.clone(),
        home,
        purgatory: Some(purgatory::of(load)),
    };
    Ok(linux::plan(&request, machine)?)
}
