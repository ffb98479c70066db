//! The results of benches.

use serde::{Deserialize, Serialize};

/// One measured value.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
}
