//! Compiles this library and `image/` for a machine without an operating system.

use abi::bios::{ENTRY, VARIABLES};
use compile::Program;

fn main() {
    Program { name: "bios", code: ENTRY, variables: VARIABLES }.compile();
}
