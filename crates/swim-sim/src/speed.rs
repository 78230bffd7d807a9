//! How fast clusters are simulated.

use cpu_time::ProcessTime;
use swim_core::Config;

use crate::machine::Machine;
use crate::time::{Nanos, SECOND};
use crate::world::{Setup, World};

/// Node-periods of one round.
const ROUND: u64 = 1_500_000;

/// Rounds, of which the fastest counts: what disturbs a computation can only
/// make it longer.
const ROUNDS: usize = 5;

/// Node-periods that are simulated in a second of CPU time, in a settled
/// cluster of this size with nobody looking on.
#[must_use]
pub fn node_periods_per_second<M: Machine>(nodes: u32) -> f64 {
    let config = Config::lan();
    let period = config.protocol_period().as_nanos() as Nanos;
    let mut world: World<M> = World::new(Setup { hosts: nodes, config, seed: 1 }, ());
    world.warm(nodes);
    world.run_for(60 * SECOND);
    let periods = ROUND / u64::from(nodes);
    let round = |world: &mut World<M>| {
        let start = ProcessTime::now();
        world.run_for(periods * period);
        start.elapsed().as_secs_f64()
    };
    let best = (0..ROUNDS).map(|_| round(&mut world)).fold(f64::INFINITY, f64::min);
    (periods * u64::from(nodes)) as f64 / best
}
