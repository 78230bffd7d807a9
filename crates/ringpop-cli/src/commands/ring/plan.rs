//! `ringpop ring plan`: how many points it takes, or what a placement has in their stead.

mod sample;

use std::fmt;

use hashring::limits::{
    MAGLEV_TABLE_SIZE, MAGLEV_TABLE_SIZE_MAX, NODES_MAX, POINTS_MAX, POINTS_MAX_DEFAULT,
    SPREAD_POINTS_MAX, SPREAD_POINTS_MIN,
};
use hashring::plan::{
    expected_peak, expected_peak_of_local_rendezvous, points_for_peak,
    points_for_peak_of_local_rendezvous,
};
use serde::Serialize;

use super::limits::{
    NODE_BYTES_MAX, NUMBER_BYTES_MAX, POINT_BYTES_MAX, SAMPLE_POINTS_MAX, SPREAD_POINT_BYTES_MAX,
};
use crate::args::{PlacementName, PlanArgs};
use crate::failure::Failure;
use crate::output::{Output, columns};
use crate::percent::grouped;

pub(super) fn run(args: &PlanArgs) -> Result<(), Failure> {
    let backends = Backends::new(args)?;
    let plan = |name: &PlacementName| Plan::new(*name, args, &backends);
    let mut plans = args.placement.iter().map(plan).collect::<Result<Vec<_>, _>>()?;
    let output = Output::new(args.json);
    match plans.pop() {
        Some(only) if plans.is_empty() => output.emit(&only),
        last => output.emit(&Comparison(plans.into_iter().chain(last).collect())),
    };
    Ok(())
}

/// The backends that there will be.
struct Backends {
    /// Those that have a weight.
    owning: usize,
    lightest: u32,
    total_weight: u64,
}

impl Backends {
    fn new(args: &PlanArgs) -> Result<Self, Failure> {
        let weights = || weights(args);
        let owning = weights().filter(|weight| *weight > 0);
        let Some(lightest) = owning.clone().min() else {
            return Err(Failure::Usage("all weights are 0: nobody would own anything".to_owned()));
        };
        let total_weight = weights().map(u64::from).sum();
        Ok(Self { owning: owning.count(), lightest, total_weight })
    }
}

/// The weight of each backend.
fn weights(args: &PlanArgs) -> impl Iterator<Item = u32> + Clone + '_ {
    args.weights.iter().copied().cycle().take(args.backends as usize)
}

/// What can be chosen of a placement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Parameter {
    Nothing,
    PointsPerWeightUnit(u32),
    PointsPerNumber(u32),
    TableSize(u32),
}

impl Parameter {
    /// The least with which the busiest backend is expected to stay at the peak.
    ///
    /// The backend that deviates most has the fewest points, so the lightest weight decides. With
    /// unequal weights the others deviate less, and the peak stays below the expected one.
    fn new(name: PlacementName, peak: f64, backends: &Backends) -> Result<Self, Failure> {
        let too_close = |most: &str| {
            Failure::Failed(format!("a peak of {peak} takes more than {most}: accept a higher one"))
        };
        let points = |of_lightest: Option<u32>| -> Result<Self, Failure> {
            let most = grouped(u64::from(POINTS_MAX));
            let too_many = || too_close(&format!("the {most} points that a ring can have"));
            let points = of_lightest.ok_or_else(too_many)?.div_ceil(backends.lightest);
            // Both factors are below 2^32 times 2^24, so only the product can be too large.
            let all = backends.total_weight.checked_mul(u64::from(points));
            all.filter(|all| *all <= u64::from(POINTS_MAX)).ok_or_else(too_many)?;
            Ok(Self::PointsPerWeightUnit(points))
        };
        // A share is rounded to whole points of a number, or entries of a table.
        let parts = (1.0 / (peak - 1.0)).ceil();
        match name {
            PlacementName::Jump if backends.total_weight > NODES_MAX as u64 => {
                Err(Failure::Failed(format!(
                    "the weights ask for {} numbers, more than the {} that jump has: divide them all \
                     by their largest common factor",
                    grouped(backends.total_weight),
                    grouped(NODES_MAX as u64)
                )))
            }
            PlacementName::Rendezvous | PlacementName::Jump => Ok(Self::Nothing),
            PlacementName::Ring => points(points_for_peak(backends.owning, peak)),
            PlacementName::LocalRendezvous => {
                points(points_for_peak_of_local_rendezvous(backends.owning, peak))
            }
            PlacementName::SpreadMinimizing => {
                let points = (parts as u32).max(SPREAD_POINTS_MIN);
                let all = backends.total_weight.checked_mul(u64::from(points));
                let fits = all.is_some_and(|all| all <= u64::from(POINTS_MAX_DEFAULT));
                if points > SPREAD_POINTS_MAX || !fits {
                    return Err(too_close(&format!(
                        "the {SPREAD_POINTS_MAX} points of a number and {} of all that \
                         spread-minimizing placement can have",
                        grouped(u64::from(POINTS_MAX_DEFAULT))
                    )));
                }
                Ok(Self::PointsPerNumber(points))
            }
            PlacementName::Maglev => {
                let entries = parts * backends.total_weight as f64 / f64::from(backends.lightest);
                // The conversion saturates.
                let entries = (entries.ceil() as u32).max(MAGLEV_TABLE_SIZE);
                let size = (entries..=MAGLEV_TABLE_SIZE_MAX).find(|size| is_prime(*size));
                let most = grouped(u64::from(MAGLEV_TABLE_SIZE_MAX));
                let too_many = || too_close(&format!("the {most} entries that a table can have"));
                Ok(Self::TableSize(size.ok_or_else(too_many)?))
            }
        }
    }

    fn expected_peak(self, name: PlacementName, backends: &Backends) -> f64 {
        match self {
            Self::Nothing => 1.0,
            Self::PointsPerWeightUnit(points) => {
                let points = points.saturating_mul(backends.lightest);
                match name {
                    PlacementName::LocalRendezvous => {
                        expected_peak_of_local_rendezvous(backends.owning, points)
                    }
                    _ => expected_peak(backends.owning, points),
                }
            }
            Self::PointsPerNumber(points) => 1.0 + 1.0 / f64::from(points),
            Self::TableSize(size) => {
                let part = f64::from(backends.lightest) / backends.total_weight as f64;
                1.0 + 1.0 / (f64::from(size) * part)
            }
        }
    }

    /// Points of all backends, or entries of the table.
    fn points(self, backends: &Backends) -> u64 {
        match self {
            Self::Nothing => 0,
            Self::PointsPerWeightUnit(points) | Self::PointsPerNumber(points) => {
                backends.total_weight * u64::from(points)
            }
            Self::TableSize(size) => u64::from(size),
        }
    }

    fn memory_bytes_max(self, name: PlacementName, backends: &Backends) -> u64 {
        let points = self.points(backends);
        match self {
            Self::Nothing if name == PlacementName::Jump => {
                backends.total_weight * NUMBER_BYTES_MAX
            }
            Self::Nothing => backends.owning as u64 * NODE_BYTES_MAX,
            Self::PointsPerWeightUnit(_) => points * POINT_BYTES_MAX,
            Self::PointsPerNumber(_) => points * SPREAD_POINT_BYTES_MAX,
            Self::TableSize(_) => (points + backends.owning as u64) * size_of::<u32>() as u64,
        }
    }
}

impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let grouped = |number: &u32| grouped(u64::from(*number));
        match self {
            Self::Nothing => f.write_str("none"),
            Self::PointsPerWeightUnit(points) => {
                write!(f, "{} points per weight unit", grouped(points))
            }
            Self::PointsPerNumber(points) => write!(f, "{} points per number", grouped(points)),
            Self::TableSize(size) => write!(f, "table of {}", grouped(size)),
        }
    }
}

#[derive(Debug, Serialize)]
struct Plan {
    placement: &'static str,
    target_peak: f64,
    backends: u32,
    total_weight: u64,
    /// `null` where the placement has none, as the next two.
    points_per_weight_unit: Option<u32>,
    points_per_number: Option<u32>,
    table_size: Option<u32>,
    /// Of all backends, or entries of the table.
    points: u64,
    /// What the busiest backend is expected to own at most, in multiples of its fair share.
    expected_peak: f64,
    /// What it owns in one placement of made-up ids, unless that is too large to be laid out for
    /// that.
    sample_peak: Option<f64>,
    memory_bytes_max: u64,
    /// Whether the ring library builds it without being told to allow more points.
    within_default_max_points: bool,
    #[serde(skip)]
    parameter: Parameter,
}

impl Plan {
    fn new(name: PlacementName, args: &PlanArgs, backends: &Backends) -> Result<Self, Failure> {
        let parameter = Parameter::new(name, args.target_peak, backends)?;
        let points = parameter.points(backends);
        let has_sample = points.max(backends.total_weight) <= SAMPLE_POINTS_MAX;
        let sample = || sample::peak(name, parameter, weights(args));
        let (mut per_weight_unit, mut per_number, mut table_size) = (None, None, None);
        match parameter {
            Parameter::Nothing => {}
            Parameter::PointsPerWeightUnit(points) => per_weight_unit = Some(points),
            Parameter::PointsPerNumber(points) => per_number = Some(points),
            Parameter::TableSize(size) => table_size = Some(size),
        }
        Ok(Self {
            placement: name.as_str(),
            target_peak: args.target_peak,
            backends: args.backends,
            total_weight: backends.total_weight,
            points_per_weight_unit: per_weight_unit,
            points_per_number: per_number,
            table_size,
            points,
            expected_peak: parameter.expected_peak(name, backends),
            sample_peak: if has_sample { sample() } else { None },
            memory_bytes_max: parameter.memory_bytes_max(name, backends),
            within_default_max_points: table_size.is_some()
                || points <= u64::from(POINTS_MAX_DEFAULT),
            parameter,
        })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let row = |name: &str, value: String| [name.to_owned(), value];
        let mut rows = Vec::new();
        if self.placement != PlacementName::Ring.as_str() {
            rows.push(row("placement", self.placement.to_owned()));
        }
        match self.parameter {
            Parameter::Nothing => {}
            Parameter::PointsPerWeightUnit(points) => {
                rows.push(row("points per weight unit", grouped(u64::from(points))));
                rows.push(row("points of the ring", grouped(self.points)));
            }
            Parameter::PointsPerNumber(points) => {
                rows.push(row("points per number", grouped(u64::from(points))));
                rows.push(row("points of all", grouped(self.points)));
            }
            Parameter::TableSize(size) => rows.push(row("table size", grouped(u64::from(size)))),
        }
        rows.push(row("expected peak", format!("{:.3} times the fair share", self.expected_peak)));
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

/// Several placements for the same backends.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Comparison(Vec<Plan>);

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["PLACEMENT", "TAKES", "EXPECTED PEAK", "SAMPLE", "MEMORY AT MOST"];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.0.iter().map(|plan| {
            [
                plan.placement.to_owned(),
                plan.parameter.to_string(),
                format!("{:.3}", plan.expected_peak),
                plan.sample_peak.map_or_else(|| "-".to_owned(), |peak| format!("{peak:.3}")),
                megabytes(plan.memory_bytes_max),
            ]
        }));
        f.write_str(columns(&rows).trim_end())
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{:.2} MB", bytes as f64 / 1e6)
}

fn is_prime(number: u32) -> bool {
    let mut factors = (2..).take_while(|factor| factor * factor <= number);
    number >= 2 && factors.all(|factor| !number.is_multiple_of(factor))
}
