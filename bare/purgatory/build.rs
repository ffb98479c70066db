//! Compiles this library and `image/` for a machine without an operating system.

use abi::purgatory::{ENTRY, VARIABLES};
use compile::Program;

fn main() {
    Program { name: "purgatory", code: ENTRY, variables: VARIABLES }.compile();
}
