//! The measurements and the bars.

mod change;
mod client;
mod five;
mod hundred;
mod lookup;
mod partition;

use anyhow::Result;

use crate::report::Report;

/// A measurement; `true` asks for the long form where there is one.
type Case = fn(&mut Report, bool) -> Result<()>;

pub(crate) const CASES: [(&str, Case); 6] = [
    ("lookup", |report, _| lookup::run(report)),
    ("change", |report, _| change::run(report)),
    ("client", client::run),
    ("hundred", |report, _| hundred::run(report)),
    ("five", |report, _| five::run(report)),
    ("partition", |report, _| partition::run(report)),
];
