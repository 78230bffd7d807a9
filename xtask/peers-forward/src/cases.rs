//! The measurements and the bars.

mod failover;
mod latency;
pub(crate) mod load;
mod loss;
mod peek;
mod streams;

use std::future::Future;
use std::pin::Pin;

use anyhow::Result;

use crate::process::{Placement, Remote};
use crate::report::Report;
use crate::roles::Role;

/// Sets of processes that a ratio is measured with. Where a process happens to have its memory
/// makes some per cent of a call, for as long as it lives.
const SETS: usize = 7;

/// The processes of one run. All but the caller are started anew for each case, so that no case
/// inherits memory or connections from another.
pub(crate) struct Stage {
    pub(crate) placement: Placement,
    pub(crate) rounds: usize,
    pub(crate) bare: Remote,
    pub(crate) owner: Remote,
    pub(crate) node: Remote,
    pub(crate) typed: Remote,
    pub(crate) pass: Remote,
}

impl Stage {
    pub(crate) fn set(placement: Placement, rounds: usize) -> Result<Self> {
        let owner = Remote::start(Role::Node, placement, None)?;
        Ok(Self {
            placement,
            rounds,
            bare: Remote::start(Role::Bare, placement, None)?,
            node: Remote::start(Role::Node, placement, Some(&owner))?,
            typed: Remote::start(Role::Typed, placement, Some(&owner))?,
            pass: Remote::start(Role::Pass, placement, Some(&owner))?,
            owner,
        })
    }

    /// Rounds with each of [`SETS`] sets of processes: together twice as many as with one set.
    fn rounds_of_a_set(&self) -> usize {
        (2 * self.rounds).div_ceil(SETS)
    }

    /// The name of a case, with where it ran.
    pub(crate) fn case(&self, name: &str) -> String {
        format!("{name}, {}", self.placement.name())
    }
}

type Running<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;
type Case = for<'a> fn(&'a Stage, &'a mut Report) -> Running<'a>;

const ONE: &[Placement] = &[Placement::OneCore];
const TWO: &[Placement] = &[Placement::TwoCores];
const BOTH: &[Placement] = &[Placement::OneCore, Placement::TwoCores];

pub(crate) const CASES: [(&str, &[Placement], Case); 12] = [
    ("latency", BOTH, |stage, report| Box::pin(latency::run(stage, report))),
    ("cpu", BOTH, |stage, report| Box::pin(load::cpu(stage, report))),
    ("throughput", TWO, |stage, report| Box::pin(load::throughput(stage, report))),
    ("connections", TWO, |stage, report| Box::pin(load::connections(stage, report))),
    ("peek", ONE, |_, report| Box::pin(async { peek::run(report) })),
    ("stream", TWO, |stage, report| Box::pin(streams::messages(stage, report))),
    ("memory", TWO, |stage, report| Box::pin(streams::memory(stage, report))),
    ("cancel", TWO, |stage, report| Box::pin(streams::cancel(stage, report))),
    ("dead", TWO, |stage, report| Box::pin(failover::dead(stage, report))),
    ("blackhole", TWO, |stage, report| Box::pin(failover::black_hole(stage, report))),
    ("stop", TWO, |stage, report| Box::pin(loss::stop(stage, report))),
    ("kill", TWO, |stage, report| Box::pin(loss::kill(stage, report))),
];
