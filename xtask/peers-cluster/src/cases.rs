//! The measurements and the bars.

mod change;
mod client;
mod five;
mod hundred;
mod lookup;
mod moves;
mod off_ring;
mod partition;
mod roll;

use anyhow::Result;

use crate::report::Report;

/// A measurement; `true` asks for the long form where there is one.
type Case = fn(&mut Report, bool) -> Result<()>;

pub(crate) const CASES: [(&str, Case); 9] = [
    ("lookup", |report, _| lookup::run(report)),
    ("change", |report, _| change::run(report)),
    ("client", client::run),
    ("hundred", |report, _| hundred::run(report)),
    ("five", |report, _| five::run(report)),
    ("partition", |report, _| partition::run(report)),
    ("off-ring", |report, _| off_ring::run(report)),
    ("moves", |report, _| moves::run(report)),
    ("roll", |report, _| roll::run(report)),
];
