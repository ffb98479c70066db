//! The kernel's configuration (`Documentation/kbuild/kconfig.rst`).

use flate2::read::GzDecoder;

use crate::root::{Root, read_all};
use crate::{Error, Fact};

/// How the kernel was configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    path: String,
    text: String,
}

/// The setting of an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting<'a> {
    /// Built in.
    Yes,
    /// A module.
    Module,
    /// A number or a text, as it is in the file.
    Value(&'a str),
    /// Left out, or unknown to this kernel.
    No,
}

impl Config {
    /// Takes the text of a configuration, and the path it was read from.
    #[must_use]
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// The path of the file.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The setting of an option, whose name includes `CONFIG_`.
    #[must_use]
    pub fn get(&self, option: &str) -> Setting<'_> {
        let mut values = self.text.lines().filter_map(|line| line.strip_prefix(option)?.strip_prefix('='));
        match values.next_back().map(str::trim_end) {
            Some("y") => Setting::Yes,
            Some("m") => Setting::Module,
            Some("n") | None => Setting::No,
            Some(value) => Setting::Value(value),
        }
    }
}

/// The configuration of the running kernel: from the kernel itself, else as the distributions
/// install it.
pub(crate) fn find(root: &Root, release: Option<&str>) -> Fact<Config> {
    const OWN: &str = "/proc/config.gz";
    if let Ok(packed) = root.bytes(OWN) {
        let text = read_all(OWN, GzDecoder::new(packed.as_slice()))?;
        return Ok(Config::new(OWN, &String::from_utf8_lossy(&text)));
    }
    let installed = release.into_iter().flat_map(|release| {
        [
            format!("/boot/config-{release}"),
            format!("/lib/modules/{release}/config"),
            format!("/lib/modules/{release}/build/.config"),
        ]
    });
    let mut first_error = Error::Absent { path: OWN.into() };
    for (path, attempt) in installed.zip(0..) {
        match root.text(&path) {
            Ok(text) => return Ok(Config::new(&path, &text)),
            Err(error) if attempt == 0 => first_error = error,
            Err(_) => {}
        }
    }
    Err(first_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_option_is_found_by_its_full_name() {
        let text = "CONFIG_KEXEC=y\nCONFIG_KEXEC_FILE=m\n# CONFIG_KEXEC_JUMP is not set\nCONFIG_HZ=250\n";
        let config = Config::new("/boot/config", text);
        assert_eq!(config.get("CONFIG_KEXEC"), Setting::Yes);
        assert_eq!(config.get("CONFIG_KEXEC_FILE"), Setting::Module);
        assert_eq!(config.get("CONFIG_KEXEC_JUMP"), Setting::No);
        assert_eq!(config.get("CONFIG_HZ"), Setting::Value("250"));
        assert_eq!(config.get("CONFIG_KEX"), Setting::No);
        assert_eq!(config.get("CONFIG_UNHEARD_OF"), Setting::No);
    }
}
