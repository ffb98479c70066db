use std::io::{self, Write as _};

use anyhow::Result;
use serde::Serialize;

/// A measured figure.
#[derive(Clone, Serialize)]
pub(crate) struct Figure {
    name: String,
    value: f64,
    unit: &'static str,
}

impl Figure {
    pub(crate) fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { name: name.into(), value, unit }
    }
}

pub(crate) fn print(figures: &[Figure]) -> Result<()> {
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, figures)?;
    Ok(writeln!(out)?)
}
