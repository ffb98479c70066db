//! What is built: the product, the module, the payloads.

pub(crate) mod fuzz;
pub(crate) mod module;
pub(crate) mod payloads;
pub(crate) mod product;
