//! How fast clusters are simulated.

use std::time::Duration;

use cpu_time::ProcessTime;
use swim_core::Config;

use crate::machine::Machine;
use crate::time::{Nanos, SECOND};
use crate::world::{Setup, World};

/// Node-periods of one round.
const ROUND: u64 = 1_000_000;

/// The measured cluster.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Members of the cluster.
    pub nodes: u32,
    /// Time from one probe of a member to its next.
    pub period: Duration,
    /// Whether every packet is encoded by its sender and decoded by its receiver.
    pub encodes: bool,
}

/// What one round took.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Periods of all members together in a second of CPU time.
    pub node_periods_per_second: f64,
    /// Packets that were sent in a node-period.
    pub packets: f64,
    /// Packets and times at which a member wanted to run, in a node-period.
    pub happenings: f64,
}

/// Runs one round after the other.
pub type Rounds = Box<dyn FnMut() -> Round>;

/// A settled cluster with nobody looking on, and LAN settings but for the
/// period. Its start is over when this returns.
///
/// # Panics
///
/// When the period is outside the range of the configuration, or there are
/// more than 2^24 members.
#[must_use]
pub fn settled<M: Machine + 'static>(load: Load) -> Rounds {
    let config = Config::lan().to_builder().protocol_period(load.period).build();
    let config = config.expect("the period is within the range");
    let mut world: World<M> = World::new(Setup { hosts: load.nodes, config, seed: 1 }, ());
    world.encodes = load.encodes;
    world.warm(load.nodes);
    world.run_for(60 * SECOND);
    let nodes = u64::from(load.nodes);
    let node_periods = (ROUND / nodes * nodes) as f64;
    let span = ROUND / nodes * load.period.as_nanos() as Nanos;
    let sent = move |world: &World<M>| -> u64 {
        (0..load.nodes).map(|host| world.traffic(host).0.packets).sum()
    };
    Box::new(move || {
        let (packets, happenings) = (sent(&world), world.happenings());
        let start = ProcessTime::now();
        world.run_for(span);
        let seconds = start.elapsed().as_secs_f64();
        Round {
            node_periods_per_second: node_periods / seconds,
            packets: (sent(&world) - packets) as f64 / node_periods,
            happenings: (world.happenings() - happenings) as f64 / node_periods,
        }
    })
}
