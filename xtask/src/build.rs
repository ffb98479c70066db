//! Building the product: the program, the module, the payloads; and fuzz targets.

pub(crate) mod fuzz;
pub(crate) mod module;
pub(crate) mod payloads;
pub(crate) mod product;
