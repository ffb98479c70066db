//! Other kernels in memory next to the running one: booting one, switching to it, returning from
//! it.

pub(crate) mod args;
pub(crate) mod boot;
pub(crate) mod forecast;
pub(crate) mod guard;
pub(crate) mod jump_back;
pub(crate) mod last_words;
pub(crate) mod load;
pub(crate) mod parameters;
pub(crate) mod record;
pub(crate) mod resident;
mod view;
pub(crate) mod visit;
