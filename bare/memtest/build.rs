//! Compiles this library and `image/` for a machine without an operating system.

use abi::memtest::{ENTRY, VARIABLES};
use compile::Program;

fn main() {
    Program { name: "memtest", code: ENTRY, variables: VARIABLES }.compile();
}
