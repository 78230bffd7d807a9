//! A suspicion ends: refuted or faulty, not before its shortest time and not
//! after its longest.
//!
//! Source: SWIM, section 4.2, and Lifeguard, section IV.B: the timeout lies
//! between `suspect_timeout · max(1, log10 n)` and the configured multiple.

use fxhash::FxHashMap;
use swim_core::{Address, Cause, Config, Node, Status};

use super::{Check, Sample, Transition, Verdict, require};
use crate::machine::HostId;
use crate::time::Nanos;

/// Clocks run up to a tenth too fast or too slow, and members come and go while
/// a suspicion lasts.
const MARGIN: f64 = 1.25;

#[derive(Debug, Default)]
struct Process {
    /// Since when members are suspect, at which incarnation.
    since: FxHashMap<Address, (Nanos, u64)>,
    /// When it last stood still, or its clock was set.
    disturbed: Option<Nanos>,
    /// The shortest timeout of its settings.
    shortest: f64,
}

#[derive(Debug)]
pub(super) struct Suspicions {
    processes: Vec<Process>,
}

impl Suspicions {
    pub(super) fn new(hosts: usize) -> Self {
        Self { processes: (0..hosts).map(|_| Process::default()).collect() }
    }
}

impl Check for Suspicions {
    fn name(&self) -> &'static str {
        "a suspicion ends in its time"
    }

    fn started(&mut self, host: HostId, node: &Node) {
        let shortest = node.config().suspect_timeout().as_nanos() as f64;
        self.processes[host as usize] = Process { shortest, ..Process::default() };
    }

    fn disturbed(&mut self, at: Nanos, host: HostId) {
        self.processes[host as usize].disturbed = Some(at);
    }

    fn changed(&mut self, transition: &Transition<'_>) -> Verdict {
        let process = &mut self.processes[transition.observer as usize];
        let subject = transition.subject();
        let Some(after) = transition.after else {
            process.since.remove(subject);
            return Ok(());
        };
        if after.status == Status::Suspect {
            process.since.insert(subject.clone(), (transition.at, after.incarnation));
            return Ok(());
        }
        let since = process.since.remove(subject);
        if after.status != Status::Faulty || *transition.cause != Cause::Timeout {
            return Ok(());
        }
        let Some((since, _)) = since else { return Ok(()) };
        let lasted = (transition.at - since) as f64;
        let disturbed = process.disturbed.is_some_and(|at| at >= since);
        require(lasted * MARGIN >= process.shortest || disturbed, subject, || {
            format!("it was faulty {:.3} s after it was suspected", lasted / 1e9)
        })
    }

    fn sampled(&mut self, at: Nanos, samples: &[Sample<'_>]) -> Verdict {
        for Sample { host, node, paused, .. } in samples {
            let process = &mut self.processes[*host as usize];
            if *paused {
                process.disturbed = Some(at);
            }
            let config = node.config();
            if config.faulty_accusers_min() > 1 {
                continue;
            }
            let longest = longest(config, node.len().max(self.processes.len()));
            let process = &self.processes[*host as usize];
            for (subject, (since, _)) in &process.since {
                let start = (*since).max(process.disturbed.unwrap_or(0));
                let lasts = (at - start) as f64;
                require(lasts <= longest, subject, || {
                    format!("host {host} suspects it for {:.1} s", lasts / 1e9)
                })?;
            }
        }
        Ok(())
    }
}

/// Longest time that a suspicion may last among so many members.
fn longest(config: &Config, members: usize) -> f64 {
    let scale =
        if config.suspect_timeout_scaled() { libm::log10(members as f64).max(1.0) } else { 1.0 };
    let factor = f64::from(config.suspect_timeout_max_factor());
    config.suspect_timeout().as_nanos() as f64 * scale * factor * MARGIN + 2e9
}
