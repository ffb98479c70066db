//! The tasks, each with its arguments.

pub(crate) mod bench;
pub(crate) mod build;
pub(crate) mod demo;
pub(crate) mod docs;
pub(crate) mod fetch;
pub(crate) mod fuzz;
pub(crate) mod lab;
pub(crate) mod material;
pub(crate) mod package;
pub(crate) mod test;
pub(crate) mod vmcore;
