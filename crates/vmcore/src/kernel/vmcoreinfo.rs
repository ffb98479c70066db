//! VMCOREINFO: facts that a kernel exports for readers of its memory, as lines of `KEY=value`.
//!
//! Numbers of `SYMBOL(...)` and `KERNELOFFSET` are hexadecimal, those of `OFFSET`, `SIZE`, `LENGTH`
//! and `NUMBER` decimal (Linux, include/linux/vmcore_info.h).

use std::collections::BTreeMap;

use crate::{Error, Result};

/// The parsed lines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vmcoreinfo(BTreeMap<String, String>);

impl Vmcoreinfo {
    /// Parses every line that has a `=`; of two with the same key the last counts.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        let text = String::from_utf8_lossy(text);
        let lines = text.trim_end_matches('\0').lines().filter_map(|line| line.split_once('='));
        Self(lines.map(|(key, value)| (key.to_owned(), value.trim().to_owned())).collect())
    }

    /// The value of a key as text, as for `OSRELEASE`.
    #[must_use]
    pub fn text(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// The virtual address of a symbol.
    ///
    /// # Errors
    /// [`Error::NoKey`], [`Error::BadKey`].
    pub fn symbol(&self, name: &str) -> Result<u64> {
        self.need(format!("SYMBOL({name})"), |value| u64::from_str_radix(value, 16).ok())
    }

    /// The size of a structure in bytes: never 0.
    ///
    /// # Errors
    /// [`Error::NoKey`], [`Error::BadKey`].
    pub fn size(&self, name: &str) -> Result<usize> {
        self.need(format!("SIZE({name})"), |value| {
            value.parse().ok().filter(|size| (1..=MOST).contains(size))
        })
    }

    /// The offset of a member in bytes.
    ///
    /// # Errors
    /// [`Error::NoKey`], [`Error::BadKey`].
    pub fn offset(&self, name: &str) -> Result<usize> {
        self.need(format!("OFFSET({name})"), |value| value.parse().ok().filter(|offset| *offset <= MOST))
    }

    /// The offset of a member, if the kernel has one of that name.
    ///
    /// # Errors
    /// [`Error::BadKey`].
    pub fn offset_if_any(&self, name: &str) -> Result<Option<usize>> {
        if_any(self.offset(name))
    }

    /// The number of elements of an array.
    ///
    /// # Errors
    /// [`Error::NoKey`], [`Error::BadKey`].
    pub fn length(&self, name: &str) -> Result<u64> {
        self.need(format!("LENGTH({name})"), |value| value.parse().ok())
    }

    /// A number; it may be negative.
    ///
    /// # Errors
    /// [`Error::NoKey`], [`Error::BadKey`].
    pub fn number(&self, name: &str) -> Result<i64> {
        let parse =
            |value: &str| value.parse().ok().or_else(|| value.parse::<u64>().ok().map(u64::cast_signed));
        self.need(format!("NUMBER({name})"), parse)
    }

    /// A number, if the kernel has it.
    ///
    /// # Errors
    /// [`Error::BadKey`].
    pub fn number_if_any(&self, name: &str) -> Result<Option<i64>> {
        if_any(self.number(name))
    }

    /// All keys and values.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// As lines.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.iter().map(|(key, value)| format!("{key}={value}\n")).collect()
    }

    /// Turns the facts of a kernel's file into those of the running kernel that reported `booted`:
    /// symbols are moved by that kernel's offset, and keys that no file has are taken from it. If
    /// `self` has an offset of its own, nothing is changed.
    #[must_use]
    pub fn as_booted(mut self, booted: &Self) -> Self {
        if self.0.contains_key(PUT) {
            return self;
        }
        let offset = booted.offset_of_kernel();
        for value in self.0.iter_mut().filter(|(key, _)| key.starts_with("SYMBOL(")).map(|(_, value)| value) {
            if let Ok(address) = u64::from_str_radix(value, 16) {
                *value = format!("{:x}", address.wrapping_add(offset));
            }
        }
        for (key, value) in booted.iter() {
            if SINCE_BOOTED.contains(&key) || !self.0.contains_key(key) {
                self.0.insert(key.to_owned(), value.to_owned());
            }
        }
        self
    }

    /// The distance between the address that the kernel is linked to and its own; 0 if unknown.
    pub(crate) fn offset_of_kernel(&self) -> u64 {
        self.text(PUT).and_then(|offset| u64::from_str_radix(offset, 16).ok()).unwrap_or(0)
    }

    /// Adds a key unless it exists; returns whether it was added.
    pub(crate) fn add(&mut self, key: &str, value: String) -> bool {
        let is_new = !self.0.contains_key(key);
        if is_new {
            self.0.insert(key.to_owned(), value);
        }
        is_new
    }

    fn need<T>(&self, key: String, parse: impl FnOnce(&str) -> Option<T>) -> Result<T> {
        let Some(value) = self.0.get(&key) else { return Err(Error::NoKey { key }) };
        parse(value).ok_or_else(|| Error::BadKey { key, value: value.clone() })
    }
}

/// The distance between the address that the kernel is linked to and its own.
const PUT: &str = "KERNELOFFSET";
/// Keys that depend on how the kernel was booted, which its file does not have.
const SINCE_BOOTED: [&str; 5] =
    [PUT, "NUMBER(phys_base)", "NUMBER(pgtable_l5_enabled)", "NUMBER(sme_mask)", "NUMBER(KERNEL_IMAGE_SIZE)"];

/// The most bytes of a structure that is of interest here.
const MOST: usize = 1 << 24;

fn if_any<T>(found: Result<T>) -> Result<Option<T>> {
    match found {
        Ok(value) => Ok(Some(value)),
        Err(Error::NoKey { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] =
        b"OSRELEASE=6.1.0\nSYMBOL(prb)=ffffffffb2a622c0\nSIZE(page)=64\nNUMBER(A)=-129\nSIZE(x)=0\n\0\0";

    #[test]
    fn symbols_are_hexadecimal_and_all_else_is_decimal() {
        let info = Vmcoreinfo::parse(TEXT);
        assert_eq!(info.text("OSRELEASE"), Some("6.1.0"));
        assert_eq!(info.symbol("prb").unwrap(), 0xffff_ffff_b2a6_22c0);
        assert_eq!(info.size("page").unwrap(), 64);
        assert_eq!(info.number("A").unwrap(), -129);
    }

    #[test]
    fn symbols_of_a_file_are_moved_by_the_kernels_offset() {
        let file = Vmcoreinfo::parse(b"SYMBOL(prb)=ffffffff82a622c0\nNUMBER(sme_mask)=7\n");
        let booted =
            Vmcoreinfo::parse(b"KERNELOFFSET=1000000\nSYMBOL(prb)=1\nNUMBER(sme_mask)=0\nSIZE(page)=64\n");
        let whole = b"KERNELOFFSET=0\nSYMBOL(prb)=ffffffff81000000\n";
        assert_eq!(
            file.as_booted(&booted).to_text(),
            "KERNELOFFSET=1000000\nNUMBER(sme_mask)=0\nSIZE(page)=64\nSYMBOL(prb)=ffffffff83a622c0\n"
        );
        assert_eq!(Vmcoreinfo::parse(whole).as_booted(&booted), Vmcoreinfo::parse(whole));
    }

    #[test]
    fn missing_and_invalid_keys_are_different_errors() {
        let info = Vmcoreinfo::parse(TEXT);
        assert_eq!(info.number_if_any("B").unwrap(), None);
        assert!(matches!(info.size("x"), Err(Error::BadKey { .. })));
        assert_eq!(info.size("y").unwrap_err().to_string(), "VMCOREINFO has no SIZE(y)");
    }
}
