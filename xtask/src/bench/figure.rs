//! What benches measure.

use serde::{Deserialize, Serialize};

/// One thing that was measured.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) name: String,
    pub(crate) value: f64,
    pub(crate) unit: String,
}
