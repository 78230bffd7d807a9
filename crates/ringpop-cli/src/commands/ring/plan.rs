//! `ringpop ring plan`: how many points it takes.

use std::fmt;

use hashring::limits::{POINTS_MAX, POINTS_MAX_DEFAULT};
use hashring::plan::{expected_peak, points_for_peak};
use hashring::{Node, Ring};
use serde::Serialize;

use super::args::PlanArgs;
use super::limits::{POINT_BYTES_MAX, SAMPLE_POINTS_MAX};
use super::percent::grouped;
use crate::failure::Failure;
use crate::output::{Output, columns};

pub(super) fn run(args: &PlanArgs) -> Result<(), Failure> {
    let plan = Plan::new(args)?;
    Output::new(args.json).emit(&plan);
    Ok(())
}

#[derive(Debug, Serialize)]
struct Plan {
    target_peak: f64,
    backends: u32,
    total_weight: u64,
    points_per_weight_unit: u32,
    /// Of the whole ring.
    points: u64,
    /// What the busiest backend is expected to own at most, in multiples of its fair share.
    expected_peak: f64,
    /// What it owns in one ring of made-up ids, unless the ring is too large to be laid out for
    /// that.
    sample_peak: Option<f64>,
    memory_bytes_max: u64,
    /// Whether the ring library builds the ring without being told to allow more points.
    within_default_max_points: bool,
}

impl Plan {
    /// The backend that deviates most has the fewest points, so the lightest weight decides. With
    /// unequal weights the others deviate less, and the peak stays below the expected one.
    fn new(args: &PlanArgs) -> Result<Self, Failure> {
        let weights = || args.weights.iter().copied().cycle().take(args.backends as usize);
        let on_the_ring = weights().filter(|weight| *weight > 0);
        let Some(lightest) = on_the_ring.clone().min() else {
            return Err(Failure::Usage("all weights are 0: nobody would own anything".to_owned()));
        };
        let nodes = on_the_ring.count();
        let unreachable = || {
            Failure::Failed(format!(
                "a peak of {} takes more than the {} points that a ring can have: accept a higher one",
                args.target_peak,
                grouped(u64::from(POINTS_MAX))
            ))
        };
        let of_lightest = points_for_peak(nodes, args.target_peak).ok_or_else(unreachable)?;
        let points_per_weight_unit = of_lightest.div_ceil(lightest);
        let total_weight: u64 = weights().map(u64::from).sum();
        // Both factors are below 2^32 times 2^24, so only the product can be too large.
        let points = total_weight.checked_mul(u64::from(points_per_weight_unit));
        let points =
            points.filter(|points| *points <= u64::from(POINTS_MAX)).ok_or_else(unreachable)?;
        Ok(Self {
            target_peak: args.target_peak,
            backends: args.backends,
            total_weight,
            points_per_weight_unit,
            points,
            expected_peak: expected_peak(nodes, points_per_weight_unit.saturating_mul(lightest)),
            sample_peak: (points <= SAMPLE_POINTS_MAX)
                .then(|| sample_peak(weights(), points_per_weight_unit))
                .flatten(),
            memory_bytes_max: points * POINT_BYTES_MAX,
            within_default_max_points: points <= u64::from(POINTS_MAX_DEFAULT),
        })
    }
}

/// The peak of one ring of the default scheme.
fn sample_peak(weights: impl Iterator<Item = u32>, points_per_weight_unit: u32) -> Option<f64> {
    let nodes = (1_u32..).zip(weights);
    let ring = Ring::builder()
        .points_per_weight_unit(points_per_weight_unit)
        .nodes(nodes.map(|(i, weight)| Node::new(format!("backend-{i}")).with_weight(weight)))
        .build()
        .expect("the ids differ and the points are below the limit");
    ring.shares().peak_to_average()
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |name: &str, value: String| [name.to_owned(), value];
        let mut rows = vec![
            row("points per weight unit", grouped(u64::from(self.points_per_weight_unit))),
            row("points of the ring", grouped(self.points)),
            row("expected peak", format!("{:.3} times the fair share", self.expected_peak)),
        ];
        if let Some(peak) = self.sample_peak {
            rows.push(row("peak of a sample ring", format!("{peak:.3}")));
        }
        rows.push(row("memory at most", megabytes(self.memory_bytes_max)));
        f.write_str(columns(&rows).trim_end())?;
        if !self.within_default_max_points {
            write!(
                f,
                "\n\nA ring has at most {} points unless its builder allows more (max_points).",
                grouped(u64::from(POINTS_MAX_DEFAULT))
            )?;
        }
        Ok(())
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}
