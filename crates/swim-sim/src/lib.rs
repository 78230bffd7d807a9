//! A deterministic simulator of clusters that run `swim-core`.
//!
//! ```
//! use swim_core::Config;
//! use swim_sim::{Chance, Hosts, Rule, SECOND, Setup, Swim, World};
//!
//! let setup = Setup { hosts: 10, config: Config::lan(), seed: 1 };
//! let mut world: World<Swim> = World::new(setup, ());
//! world.warm(10); // together for long
//! world.network.loss = Chance::of(0.02);
//! let (left, right) = (Hosts::of(&[0, 1, 2]), Hosts::of(&[3, 4, 5, 6, 7, 8, 9]));
//! let cuts = [Rule::cut(left.clone(), right.clone()), Rule::cut(right, left)];
//! let cuts = cuts.map(|cut| world.network.add(cut));
//! world.run_for(60 * SECOND);
//! assert!(!world.agree());
//! cuts.into_iter().for_each(|cut| world.network.lift(cut));
//! assert!(world.run_while(SECOND, 120 * SECOND, |world| world.agree()));
//! ```
//!
//! The same world runs `swim-core`'s own tests, the campaigns of `cargo xtask sim`, and the bench
//! against a peer. `docs/simulation.md` has the commands and the models, `docs/glossary.md` the
//! terms.

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
