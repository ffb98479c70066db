/// Measurements of a figure, in ascending order.
pub(crate) struct Spread(Vec<f64>);

impl Spread {
    pub(crate) fn of(measurements: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = measurements.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        Self(sorted)
    }

    pub(crate) fn median(&self) -> f64 {
        self.quantile(1, 2)
    }

    pub(crate) fn least(&self) -> f64 {
        self.quantile(0, 1)
    }

    pub(crate) fn greatest(&self) -> f64 {
        self.quantile(1, 1)
    }

    /// The measurement that the fraction `part / whole` of all does not exceed; NaN without
    /// measurements.
    pub(crate) fn quantile(&self, part: usize, whole: usize) -> f64 {
        let last = self.0.len().saturating_sub(1);
        self.0.get(last * part / whole).copied().unwrap_or(f64::NAN)
    }
}
