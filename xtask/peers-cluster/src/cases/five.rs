//! Five processes: how soon they agree, what they take, and how soon a killed one is faulty.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ringpop::swim::Config;

use crate::measure::{PATIENCE, median};
use crate::process::{Line, Remote, listeners};
use crate::recorded;
use crate::report::{Bar, Report, Row};
use crate::roles::{Role, SETTLE};
use crate::spread::quantile;

const MEMBERS: usize = 5;
/// Clusters that are started, one after the other.
const STARTS: usize = 7;
/// Of those, the ones in which a process is killed.
const KILLS: usize = 3;
/// How much longer than the suspicion it may take until all have a killed process as faulty.
const BEYOND_SUSPICION: Duration = Duration::from_millis(200);

/// What one cluster did.
struct Observed {
    converged_ms: f64,
    memory_mib: f64,
    suspicions: usize,
    faulty_ms: Option<f64>,
}

pub(crate) fn run(report: &mut Report) -> Result<()> {
    let observed: Vec<Observed> =
        (0..STARTS).map(|start| cluster(start < KILLS)).collect::<Result<_>>()?;
    let mut converged: Vec<f64> = observed.iter().map(|one| one.converged_ms).collect();
    let worst = quantile(&mut converged, 1.0);
    let converged = median(&mut converged);
    let note = format!("median of {STARTS} starts, at most {worst:.0} ms; from the first start");
    let row = Row::new(format!("{MEMBERS} processes converged"), "ms", converged);
    let row = row.peer(recorded::GO, recorded::GO_CONVERGED_MS).bar(Bar::ValueAtMost(300.0));
    report.add(&row.note(note));
    let row = Row::new("the same beside memberlist", "ms", converged);
    report.add(&row.peer(recorded::MEMBERLIST, recorded::MEMBERLIST_CONVERGED_MS));

    let suspicions: usize = observed.iter().map(|one| one.suspicions).sum();
    let row = Row::new(format!("suspicions in {STARTS} starts"), "", suspicions as f64);
    report.add(&row.bar(Bar::ValueAtMost(0.0)));

    let mut memory: Vec<f64> = observed.iter().map(|one| one.memory_mib).collect();
    let row = Row::new("memory of a process, at most", "MiB", quantile(&mut memory, 1.0));
    let row = row.peer(recorded::GO, recorded::GO_MEMORY_MIB);
    report.add(&row.bar(Bar::ValueAtMost(15.0)));

    let mut faulty: Vec<f64> = observed.iter().filter_map(|one| one.faulty_ms).collect();
    let suspicion = Config::lan().suspect_timeout();
    let most = (suspicion + BEYOND_SUSPICION).as_secs_f64() * 1e3;
    let slowest = quantile(&mut faulty, 1.0);
    let faulty = median(&mut faulty);
    let row = Row::new("SIGKILL to faulty everywhere", "ms", faulty);
    let row = row.peer(recorded::GO, recorded::GO_FAULTY_MS).bar(Bar::ValueAtMost(most));
    let note =
        format!("median of {KILLS}, at most {slowest:.0} ms; the suspicion is {suspicion:?}");
    report.add(&row.note(note));
    let row = Row::new("the same beside memberlist", "ms", faulty);
    report.add(&row.peer(recorded::MEMBERLIST, recorded::MEMBERLIST_FAULTY_MS));
    Ok(())
}

fn cluster(kill: bool) -> Result<Observed> {
    // Ports that were free a moment ago.
    let (_, addresses) = listeners(MEMBERS)?;
    let hosts = addresses.join(",");
    let (sender, lines) = channel();
    let began = Instant::now();
    let start = |(i, address): (usize, &String)| {
        Remote::start(Role::Member, address, &hosts, i, sender.clone())
    };
    let mut processes: Vec<Remote> =
        addresses.iter().enumerate().map(start).collect::<Result<_>>()?;
    let mut seen = Seen::default();
    let converged = seen.follow(&lines, "all see all", |seen| seen.agree(MEMBERS))?;
    // What a start leaves behind, such as a suspicion, shows soon after.
    seen.listen(&lines, SETTLE);
    let memory: Vec<f64> = processes.iter().map(Remote::memory_mib).collect::<Result<_>>()?;
    let suspicions = seen.suspicions;
    let mut faulty_ms = None;
    if kill {
        let victim = MEMBERS - 1;
        let killed = Instant::now();
        processes[victim].kill()?;
        seen.told.clear();
        let all_know = |seen: &Seen| {
            (0..victim).all(|i| {
                seen.told.get(&(i, addresses[victim].clone())).is_some_and(|s| s == "faulty")
            })
        };
        let known = seen.follow(&lines, "the killed one is faulty everywhere", all_know)?;
        faulty_ms = Some((known - killed).as_secs_f64() * 1e3);
    }
    Ok(Observed {
        converged_ms: (converged - began).as_secs_f64() * 1e3,
        memory_mib: memory.into_iter().fold(0.0, f64::max),
        suspicions,
        faulty_ms,
    })
}

/// What the processes said last.
#[derive(Default)]
struct Seen {
    /// By process: how many are alive, how many are on the ring, the checksum.
    views: HashMap<usize, (usize, usize, String)>,
    /// By process and member: its latest status.
    told: HashMap<(usize, String), String>,
    suspicions: usize,
}

impl Seen {
    fn agree(&self, size: usize) -> bool {
        let mut views = self.views.values();
        let Some(first) = views.next() else { return false };
        self.views.len() == size && (first.0, first.1) == (size, size) && views.all(|v| v == first)
    }

    /// Reads lines until a condition holds; gives when it did.
    fn follow(
        &mut self,
        lines: &Receiver<Line>,
        what: &str,
        condition: impl Fn(&Self) -> bool,
    ) -> Result<Instant> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let line = lines.recv_timeout(left).with_context(|| format!("not in time: {what}"))?;
            self.take(&line);
            if condition(self) {
                return Ok(line.at);
            }
        }
    }

    fn listen(&mut self, lines: &Receiver<Line>, time: Duration) {
        let deadline = Instant::now() + time;
        while let Ok(line) = lines.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            self.take(&line);
        }
    }

    fn take(&mut self, line: &Line) {
        let words: Vec<&str> = line.text.split_whitespace().collect();
        match words[..] {
            ["changed", member, status] => {
                self.suspicions += usize::from(status == "suspect");
                self.told.insert((line.from, member.to_owned()), status.to_owned());
            }
            ["sees", alive, ring, checksum] => {
                let number = |text: &str| text.parse().unwrap_or_default();
                let view = (number(alive), number(ring), checksum.to_owned());
                self.views.insert(line.from, view);
            }
            _ => {}
        }
    }
}
