//! What `ownership` says and draws: how much of the circle each backend owns.

use std::fmt;

use hashring::{Share, Shares};
use serde::Serialize;

use super::backends::BackendRing;
use super::layout::points_per_weight_unit;
use super::placed::Placed;
use crate::output::{checksum, columns, printable};
use crate::percent::{deviation, grouped, percent};

/// The figures and the picture of a ring with members.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    pub(super) placement: &'static str,
    pub(super) scheme: String,
    circle_bits: u32,
    pub(super) points_per_weight_unit: Option<u32>,
    pub(super) points: usize,
    ring_checksum: String,
    /// The largest ratio of actual to expected share.
    pub(super) peak_to_average: f64,
    /// The standard deviation of those ratios.
    pub(super) deviation: f64,
    /// Sorted by id.
    pub(super) backends: Vec<Owned>,
    /// Backends that are not healthy.
    pub(super) left_out: Vec<String>,
}

/// What one backend owns.
#[derive(Debug, Serialize)]
pub(super) struct Owned {
    pub(super) id: String,
    pub(super) zone: Option<String>,
    pub(super) weight: u32,
    points: u32,
    /// The part of the circle, 0 to 1.
    pub(super) share: f64,
    /// The same in places, as text: programs that hold numbers in floating point would round it.
    places: String,
    /// The part that the weight asks for.
    pub(super) expected: f64,
    /// Actual over expected share, which is the peak to the average of the busiest; nothing for
    /// weight 0.
    pub(super) ratio: Option<f64>,
}

impl Report {
    pub(super) fn new(ring: &BackendRing, left_out: Vec<String>) -> Self {
        let shares: Shares<'_, _> = ring.shares();
        Self {
            placement: "ring",
            scheme: ring.scheme().name().to_owned(),
            circle_bits: ring.scheme().circle_bits(),
            points_per_weight_unit: points_per_weight_unit(ring),
            points: ring.points().len(),
            ring_checksum: checksum(ring.checksum()),
            peak_to_average: shares.peak_to_average().expect("a ring with points has a weight"),
            deviation: shares.deviation().expect("a ring with points has a weight"),
            backends: shares.iter().map(Owned::from).collect(),
            left_out,
        }
    }

    /// The same of a placement that is not the ring itself. Its points, or entries of a table, or
    /// numbers, are those that it has.
    pub(super) fn placed(placed: &dyn Placed, ring: &BackendRing, left_out: Vec<String>) -> Self {
        let shares = placed.shares();
        Self {
            placement: placed.name(),
            points_per_weight_unit: None,
            points: shares.iter().map(|share| share.points as usize).sum(),
            ring_checksum: checksum(placed.checksum()),
            peak_to_average: shares.peak_to_average().expect("somebody has a weight"),
            deviation: shares.deviation().expect("somebody has a weight"),
            backends: shares.iter().map(Owned::from).collect(),
            ..Self::new(ring, left_out)
        }
    }

    /// Whether the shares differ in what they should be.
    pub(super) fn has_weights(&self) -> bool {
        self.backends.iter().any(|owned| owned.weight != self.backends[0].weight)
    }
}

impl From<&Share<'_, Option<String>>> for Owned {
    fn from(share: &Share<'_, Option<String>>) -> Self {
        Self {
            id: share.node.id().to_owned(),
            zone: share.node.data().clone(),
            weight: share.node.weight(),
            points: share.points,
            share: share.fraction,
            places: share.places.to_string(),
            expected: share.expected,
            ratio: (share.expected > 0.0).then(|| share.fraction / share.expected),
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = [
            "BACKEND",
            "ZONE",
            "WEIGHT",
            "  POINTS",
            "   SHARE",
            "EXPECTED",
            "DEVIATION",
            "PEAK/AVG",
        ];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.backends.iter().map(Owned::row));
        writeln!(f, "{}", columns(&rows))?;
        write!(
            f,
            "{}, {} points, peak to average {:.3}, standard deviation {}",
            self.layout(),
            grouped(self.points as u64),
            self.peak_to_average,
            percent(self.deviation).trim_start()
        )?;
        if !self.left_out.is_empty() {
            let ids: Vec<_> = self.left_out.iter().map(|id| printable(id)).collect();
            write!(f, "\nnot healthy and left out: {}", ids.join(", "))?;
        }
        Ok(())
    }
}

impl Report {
    /// The scheme of a ring, or the name of another placement.
    pub(super) fn layout(&self) -> String {
        match self.placement {
            "ring" => format!("scheme {}", self.scheme),
            other => format!("placement {other}"),
        }
    }
}

impl Owned {
    fn row(&self) -> [String; 8] {
        let ratio = |text: fn(f64) -> String| self.ratio.map_or_else(|| "-".to_owned(), text);
        [
            printable(&self.id),
            self.zone.as_deref().map_or_else(|| "-".to_owned(), printable),
            format!("{:>6}", self.weight),
            format!("{:>8}", grouped(u64::from(self.points))),
            percent(self.share),
            percent(self.expected),
            format!("{:>9}", ratio(deviation)),
            format!("{:>8}", ratio(|ratio| format!("{ratio:.3}"))),
        ]
    }
}
