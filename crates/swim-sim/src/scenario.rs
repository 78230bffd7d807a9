//! Scenarios: something happens to a cluster, and it is measured how the
//! cluster takes it. The same script runs on every [`Machine`].

mod list;
mod record;
mod stage;

use swim_core::Config;

use crate::host::Pause;
use crate::machine::Machine;
use crate::stats::{Curve, Metric};
use crate::time::{Nanos, SECOND};

pub use record::{Recorder, Seen};
pub use stage::Stage;

/// How a scenario is run.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Members of the cluster.
    pub nodes: u32,
    /// Share of packets that are lost on each way, from 0 to 1.
    pub loss: f64,
    /// Settings of the members.
    pub config: Config,
    /// Seed of the first repetition; the others follow.
    pub seed: u64,
    /// How often the script runs.
    pub repeat: u32,
    /// How slow machines stand still.
    pub pause: Pause,
    /// How long a fault lasts that has an end.
    pub lasts: Nanos,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            nodes: 100,
            loss: 0.0,
            config: Config::lan(),
            seed: 1,
            repeat: 5,
            pause: Pause::Frozen,
            lasts: 20 * SECOND,
        }
    }
}

/// A scenario by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scenario {
    /// Its name.
    pub name: &'static str,
    /// What happens, in a sentence.
    pub about: &'static str,
    /// Fewest members with which it makes sense.
    pub nodes_min: u32,
}

/// What a scenario measured on one implementation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// Numbers of all repetitions.
    pub metrics: Vec<Metric>,
    /// Lines for plots, over all repetitions.
    pub curves: Vec<Curve>,
}

/// All scenarios.
#[must_use]
pub const fn all() -> &'static [Scenario] {
    &list::SCENARIOS
}

/// The scenario with this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Scenario> {
    list::SCENARIOS.iter().find(|scenario| scenario.name == name)
}

/// Runs all repetitions of a scenario; `progress` hears after each how many are
/// over.
pub fn run<M: Machine>(
    scenario: &Scenario,
    params: &Params,
    progress: &mut dyn FnMut(u32),
) -> Outcome {
    let mut tally = stage::Tally::default();
    for repetition in 0..params.repeat {
        let mut stage: Stage<M> = Stage::new(params, u64::from(repetition));
        list::play(scenario.name, &mut stage);
        tally.add(stage.finish());
        progress(repetition + 1);
    }
    tally.outcome()
}
