//! Measurements, and summaries of many of them.

/// Values of one kind.
#[derive(Clone, Debug, PartialEq)]
pub struct Metric {
    /// The measured quantity.
    pub name: &'static str,
    /// Its unit.
    pub unit: &'static str,
    /// The values, in no particular order.
    pub values: Vec<f64>,
}

/// The summary of a metric's values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Number of values.
    pub count: usize,
    /// Their mean.
    pub mean: f64,
    /// Half of them are at most this.
    pub median: f64,
    /// 99 of 100 are at most this.
    pub p99: f64,
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
}

impl Metric {
    /// The summary of the values; `None` when there are none.
    #[must_use]
    pub fn summary(&self) -> Option<Summary> {
        let mut sorted = self.values.clone();
        sorted.sort_by(f64::total_cmp);
        Some(Summary {
            count: sorted.len(),
            mean: sorted.iter().sum::<f64>() / sorted.len() as f64,
            median: quantile(&sorted, 0.5)?,
            p99: quantile(&sorted, 0.99)?,
            min: *sorted.first()?,
            max: *sorted.last()?,
        })
    }
}

/// The value of a sorted list that this share of it does not exceed.
#[must_use]
pub fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let rank = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// A line in a plot.
#[derive(Clone, Debug, PartialEq)]
pub struct Curve {
    /// What it shows.
    pub name: &'static str,
    /// The label of its horizontal axis.
    pub x: &'static str,
    /// The label of its vertical axis.
    pub y: &'static str,
    /// Places and values, by place.
    pub points: Vec<(f64, f64)>,
}

/// Places of a curve that is made from values.
const PLACES: usize = 120;

impl Curve {
    /// Which share of `total` values is at most each of some places.
    #[must_use]
    pub fn shares(name: &'static str, x: &'static str, values: &[f64], total: usize) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.last().copied().unwrap_or(0.0);
        let share = |place: f64| {
            let below = sorted.partition_point(|value| *value <= place);
            (place, below as f64 / total.max(1) as f64)
        };
        let points = (0..=PLACES).map(|i| share(last * (i as f64 / PLACES as f64))).collect();
        Self { name, x, y: "share of observers", points }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_of_the_list() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&values, 0.5), Some(50.0));
        assert_eq!(quantile(&values, 0.99), Some(99.0));
        assert_eq!(quantile(&values, 0.0), Some(1.0));
        assert_eq!(quantile(&[], 0.5), None);
        let metric = Metric { name: "x", unit: "s", values };
        let summary = metric.summary().unwrap();
        assert_eq!((summary.mean, summary.min, summary.max), (50.5, 1.0, 100.0));
    }

    #[test]
    fn a_curve_ends_at_the_share_that_has_a_value() {
        let curve = Curve::shares("known", "s", &[1.0, 2.0, 3.0], 4);
        assert_eq!(curve.points.last(), Some(&(3.0, 0.75)));
        assert_eq!(curve.points[0], (0.0, 0.0));
        // Of places that are no round numbers, too.
        for tenths in 1..1_000 {
            let last = f64::from(tenths) / 10.0;
            let curve = Curve::shares("known", "s", &[last], 1);
            assert_eq!(curve.points.last(), Some(&(last, 1.0)));
        }
    }
}
