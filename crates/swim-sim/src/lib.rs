//! A deterministic simulator of clusters that run `swim-core`.

pub mod campaign;
mod check;
#[cfg(feature = "cli")]
pub mod cli;
mod host;
mod machine;
mod network;
pub mod paper;
mod queue;
mod rng;
pub mod scenario;
#[cfg(feature = "cli")]
pub mod speed;
pub mod stats;
mod swim;
mod time;
mod trace;
mod watch;
mod world;

pub use check::{Checks, Sample, Violation};
pub use host::{Pause, Traffic};
pub use machine::{
    Belief, Boot, Command, Effect, HostId, Kind, Kinds, Machine, Names, Observation, Want,
};
pub use network::{Hosts, Latency, Network, Rule, RuleId};
pub use rng::{Chance, Rng};
pub use swim::{Packet, Swim};
pub use time::{
    MILLISECOND, Nanos, SECOND, TRUE_RATE_PPM, UNIX_MS_AT_START, from_seconds, seconds,
};
pub use trace::{LEGEND, Trace};
pub use watch::{Fate, Input, Watcher};
pub use world::{Setup, Start, World};
