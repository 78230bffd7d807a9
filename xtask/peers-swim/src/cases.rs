//! The measurements. Each file is one case and says what its rows mean.

mod change;
mod cpu;
mod detection;
mod join;
mod loss;
mod memory;
mod ping;
mod traffic;

use crate::report::Row;

/// A case by the name that `--case` looks in.
type Case = (&'static str, fn() -> Vec<Row>);

/// All cases, in the order in which they run.
pub(crate) const ALL: &[Case] = &[
    ("ping-stale", ping::stale),
    ("ping-fresh", ping::fresh),
    ("ping-allocations", ping::allocations),
    ("cpu", cpu::run),
    ("memory", memory::run),
    ("traffic", traffic::run),
    ("detection", detection::run),
    ("join", join::run),
    ("loss", loss::run),
    ("change", change::run),
];

/// Names a cluster size as people write it.
fn size(members: u32) -> String {
    match members {
        0..1_000 => format!("N={members}"),
        _ => format!("N={},{:03}", members / 1_000, members % 1_000),
    }
}
