//! The modules of a kernel that a guest needs, in loading order.
//!
//! Debian's packages contain no `modules.dep`, which is made at installation. The modules contain
//! the same facts.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};

use object::{Object as _, ObjectSection as _};

use crate::{Error, Kernel, Result};

/// A kernel module, ready to load.
#[derive(Debug)]
pub(crate) struct Driver {
    /// Its name as the kernel spells it.
    pub(crate) name: String,
    /// Its file below `/lib/modules/RELEASE`, not compressed.
    pub(crate) file: String,
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// The names of the modules it needs.
    pub(crate) needs: Vec<String>,
}

/// All modules of a kernel, by name.
pub(crate) struct Drivers<'a> {
    kernel: &'a Kernel,
    files: BTreeMap<String, PathBuf>,
    builtin: Vec<String>,
}

impl<'a> Drivers<'a> {
    pub(crate) fn of(kernel: &'a Kernel) -> Result<Self> {
        let mut files = BTreeMap::new();
        find(&kernel.modules().join("kernel"), &mut files)?;
        let list = kernel.modules().join("modules.builtin");
        let list = fs::read_to_string(&list).map_err(Error::file("read", &list))?;
        Ok(Self {
            kernel,
            files,
            builtin: list.lines().filter_map(|line| name_of(Path::new(line))).collect(),
        })
    }

    /// These drivers and their dependencies, each after its own dependencies. Built-in drivers are
    /// left out.
    ///
    /// # Errors
    /// The kernel has no such driver, or a module cannot be read.
    pub(crate) fn with_dependencies(&self, names: &[String]) -> Result<Vec<Driver>> {
        let mut found = Vec::new();
        for name in names {
            self.add(name, &mut found)?;
        }
        Ok(found)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.files.contains_key(&spelled(name)) || self.is_builtin(name)
    }

    fn is_builtin(&self, name: &str) -> bool {
        self.builtin.contains(&spelled(name))
    }

    fn add(&self, name: &str, found: &mut Vec<Driver>) -> Result<()> {
        let name = spelled(name);
        if self.is_builtin(&name) || found.iter().any(|driver| driver.name == name) {
            return Ok(());
        }
        let driver = self.read(name)?;
        for need in &driver.needs {
            self.add(need, found)?;
        }
        found.push(driver);
        Ok(())
    }

    fn read(&self, name: String) -> Result<Driver> {
        let Some(path) = self.files.get(&name) else {
            return Err(Error::NoDriver { release: self.kernel.release.clone(), name });
        };
        let bytes = uncompressed(path)?;
        let needs = needs(&bytes).map_err(|reason| Error::Module { path: path.clone(), reason })?;
        let file = path.strip_prefix(self.kernel.modules()).unwrap_or(path).to_string_lossy();
        Ok(Driver { name, file: file.trim_end_matches(".xz").to_owned(), bytes, needs })
    }
}

/// The lines of `modules.dep` for these drivers, as depmod writes them: a module, then all its
/// dependencies.
pub(crate) fn dependency_file(drivers: &[Driver]) -> String {
    let by_name: BTreeMap<_, _> = drivers.iter().map(|driver| (driver.name.as_str(), driver)).collect();
    drivers.iter().fold(String::new(), |mut text, driver| {
        let mut below = Vec::new();
        collect_needs(driver, &by_name, &mut below);
        text += &format!("{}:", driver.file);
        for file in below {
            text += &format!(" {file}");
        }
        text + "\n"
    })
}

/// Dependencies come in reverse loading order: modprobe loads from the end of the line.
fn collect_needs<'a>(driver: &Driver, by_name: &BTreeMap<&str, &'a Driver>, below: &mut Vec<&'a str>) {
    for need in driver.needs.iter().filter_map(|need| by_name.get(need.as_str())) {
        below.retain(|file| *file != need.file);
        below.push(&need.file);
        collect_needs(need, by_name, below);
    }
}

fn find(dir: &Path, files: &mut BTreeMap<String, PathBuf>) -> Result<()> {
    for entry in fs::read_dir(dir).map_err(Error::file("read", dir))? {
        let path = entry.map_err(Error::file("read", dir))?.path();
        if path.is_dir() {
            find(&path, files)?;
        } else if let Some(name) = name_of(&path) {
            files.insert(name, path);
        }
    }
    Ok(())
}

/// The name of `kernel/drivers/char/virtio-rng.ko.xz` is `virtio_rng`.
fn name_of(path: &Path) -> Option<String> {
    let file = path.file_name()?.to_str()?;
    Some(spelled(file.strip_suffix(".ko").or_else(|| file.strip_suffix(".ko.xz"))?))
}

fn spelled(name: &str) -> String {
    name.replace('-', "_")
}

fn uncompressed(path: &Path) -> Result<Vec<u8>> {
    let bytes = fs::read(path).map_err(Error::file("read", path))?;
    if path.extension().is_none_or(|extension| extension != "xz") {
        return Ok(bytes);
    }
    let mut plain = Vec::new();
    match lzma_rs::xz_decompress(&mut Cursor::new(bytes), &mut plain) {
        Ok(()) => Ok(plain),
        Err(error) => Err(Error::Module { path: path.to_owned(), reason: error.to_string() }),
    }
}

/// The `depends=` entry of a module's `.modinfo` section.
fn needs(module: &[u8]) -> std::result::Result<Vec<String>, String> {
    let file = object::File::parse(module).map_err(|error| error.to_string())?;
    let section = file.section_by_name(".modinfo").ok_or("no section .modinfo")?;
    let info = section.data().map_err(|error| error.to_string())?;
    let entry = info.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(b"depends="));
    let names = String::from_utf8_lossy(entry.unwrap_or_default()).into_owned();
    Ok(names.split(',').filter(|name| !name.is_empty()).map(spelled).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn driver(name: &str, needs: &[&str]) -> Driver {
        let needs = needs.iter().map(|need| (*need).to_owned()).collect();
        Driver { name: name.to_owned(), file: format!("kernel/{name}.ko"), bytes: Vec::new(), needs }
    }

    #[test]
    fn a_dash_in_a_file_name_is_an_underscore_in_a_module_name() {
        assert_eq!(name_of(Path::new("kernel/a/virtio-rng.ko.xz")).unwrap(), "virtio_rng");
        assert_eq!(name_of(Path::new("kernel/a/modules.order")), None);
    }

    #[test]
    fn the_dependency_file_names_indirect_needs_last() {
        let drivers = [
            driver("ring", &[]),
            driver("virtio", &["ring"]),
            driver("legacy", &[]),
            driver("pci", &["ring", "virtio", "legacy"]),
        ];
        let text = dependency_file(&drivers);
        assert!(text.starts_with("kernel/ring.ko:\nkernel/virtio.ko: kernel/ring.ko\n"), "{text}");
        assert!(
            text.ends_with("kernel/pci.ko: kernel/virtio.ko kernel/ring.ko kernel/legacy.ko\n"),
            "{text}"
        );
    }

    #[test]
    fn a_file_that_is_not_a_module_is_refused() {
        assert!(needs(b"#!/bin/sh").is_err());
    }
}
