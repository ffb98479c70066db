//! `/sys/class/net`: the network interfaces.

use std::path::Path;

use crate::Fact;
use crate::root::Root;

/// The names of all network interfaces, sorted.
///
/// # Errors
/// The directory is missing, as where `/sys` is not mounted, or cannot be read.
pub fn interfaces(root: &Path) -> Fact<Vec<String>> {
    Root::new(root).names("/sys/class/net")
}
