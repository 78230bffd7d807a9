//! Quantiles.

/// The `q`th quantile; reorders `values`.
pub(crate) fn quantile(values: &mut [f64], q: f64) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * q).round() as usize]
}

/// One ratio for each set of processes, as its middle and the quartiles around it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Spread {
    pub(crate) low: f64,
    pub(crate) median: f64,
    pub(crate) high: f64,
}

impl Spread {
    pub(crate) fn of(mut ratios: Vec<f64>) -> Self {
        Self {
            low: quantile(&mut ratios, 0.25),
            median: quantile(&mut ratios, 0.5),
            high: quantile(&mut ratios, 0.75),
        }
    }
}
