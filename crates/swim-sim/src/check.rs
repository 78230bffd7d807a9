//! What must hold at every moment, each property in a file of its own.
//!
//! A checker looks at a process from outside: at what it is given, what it
//! reports and sends, and what its getters say. It never decides what the
//! machine should do; it knows only what must not be.

mod bounds;
mod checksum;
mod events;
mod incarnation;
mod labels;
pub(crate) mod liveness;
mod refutation;
mod resurrection;
mod ring;
mod self_view;
mod suspicion;
mod transitions;

use std::fmt;
use std::sync::Arc;

use swim_core::{Address, Cause, Event, Member, Message, Node};

use crate::machine::{HostId, Names};
use crate::swim::{Packet, Swim};
use crate::time::{Nanos, seconds};
use crate::watch::{Fate, Input, Watcher};

/// The violation in words, and its member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    pub(crate) subject: Option<Address>,
    pub(crate) text: String,
}

pub(crate) type Verdict = Result<(), Complaint>;

/// Gives a complaint about a member unless a condition holds.
pub(crate) fn require(holds: bool, subject: &Address, text: impl FnOnce() -> String) -> Verdict {
    if holds {
        return Ok(());
    }
    Err(Complaint { subject: Some(subject.clone()), text: text() })
}

/// A change of what a process believes.
#[derive(Debug)]
pub(crate) struct Transition<'a> {
    pub(crate) at: Nanos,
    pub(crate) observer: HostId,
    pub(crate) before: Option<&'a Member>,
    pub(crate) after: Option<&'a Member>,
    pub(crate) cause: &'a Cause,
}

impl Transition<'_> {
    pub(crate) fn subject(&self) -> &Address {
        let member = self.after.or(self.before).expect("a change is about a member");
        &member.address
    }
}

/// A process as it stands at a moment at which all are looked at.
#[derive(Clone, Copy, Debug)]
pub struct Sample<'a> {
    /// Where it runs.
    pub host: HostId,
    /// The process.
    pub node: &'a Node,
    /// Whether it stands still.
    pub paused: bool,
    /// Whether what it knows of others may be another than at the last look.
    pub(crate) changed: bool,
}

impl<'a> Sample<'a> {
    /// A process as it stands now.
    #[must_use]
    pub const fn new(host: HostId, node: &'a Node, paused: bool) -> Self {
        Self { host, node, paused, changed: true }
    }
}

/// Looks at a process after which its invariants are checked although nothing that
/// it knows has changed.
const QUIET_LOOKS: u64 = 8;

/// The state of a process at the last look: a process of which no event told
/// anything, and whose sum over its members is the same, knows what it knew.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    checksum: u64,
    members: usize,
    /// Whether something happened that may have changed what it knows.
    news: bool,
}

/// One property.
pub(crate) trait Check: fmt::Debug + Send {
    /// Its name, as reports give it.
    fn name(&self) -> &'static str;

    fn started(&mut self, host: HostId, node: &Node) {
        let _ = (host, node);
    }

    /// A process stood still, or its clock was set.
    fn disturbed(&mut self, at: Nanos, host: HostId) {
        let _ = (at, host);
    }

    fn input(&mut self, host: HostId, input: &Input<'_, Packet>, node: &Node) -> Verdict {
        let _ = (host, input, node);
        Ok(())
    }

    fn changed(&mut self, transition: &Transition<'_>) -> Verdict {
        let _ = transition;
        Ok(())
    }

    fn event(&mut self, host: HostId, event: &Event, node: &Node) -> Verdict {
        let _ = (host, event, node);
        Ok(())
    }

    fn sent(&mut self, from: HostId, message: &Message) -> Verdict {
        let _ = (from, message);
        Ok(())
    }

    fn settled(&mut self, host: HostId, node: &Node) -> Verdict {
        let _ = (host, node);
        Ok(())
    }

    fn sampled(&mut self, at: Nanos, samples: &[Sample<'_>]) -> Verdict {
        let _ = (at, samples);
        Ok(())
    }
}

/// A property that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When.
    pub at: Nanos,
    /// Name of the property.
    pub property: &'static str,
    /// The process at which it was seen.
    pub observer: Option<HostId>,
    /// The member that it is about.
    pub subject: Option<Address>,
    /// The violation.
    pub text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:.3} s", self.property, seconds(self.at))?;
        if let Some(observer) = self.observer {
            write!(f, ", at host {observer}")?;
        }
        if let Some(subject) = &self.subject {
            write!(f, ", about {subject}")?;
        }
        write!(f, ": {}", self.text)
    }
}

/// All properties. The first one that does not hold is kept.
#[derive(Debug, Default)]
pub struct Checks {
    checks: Vec<Box<dyn Check>>,
    violation: Option<Violation>,
    last_change: Nanos,
    looks: Vec<Look>,
    /// Looks at all so far.
    count: u64,
}

impl Checks {
    /// Checkers for a network. Where bytes are damaged, anybody may seem to say anything: the
    /// properties about senders are left out.
    #[must_use]
    pub fn new(names: &Arc<Names>, bytes_are_damaged: bool) -> Self {
        let hosts = names.len();
        // Where one mistake violates several, the first one is reported.
        let mut checks: Vec<Box<dyn Check>> = vec![
            Box::new(resurrection::Resurrection::new(hosts)),
            Box::new(incarnation::Incarnation::new(hosts)),
            Box::new(transitions::Transitions),
            Box::new(ring::Rings::new(hosts)),
            Box::new(events::Events::new(hosts)),
            Box::new(self_view::SelfView::new(hosts)),
            Box::new(suspicion::Suspicions::new(hosts)),
            Box::new(bounds::Bounds),
            Box::new(checksum::Checksums),
        ];
        if !bytes_are_damaged {
            checks.push(Box::new(refutation::Refutation::new(names.clone())));
            checks.push(Box::new(labels::LabelsOfIncarnation::default()));
        }
        let looks = vec![Look { news: true, ..Look::default() }; hosts];
        Self { checks, looks, ..Self::default() }
    }

    /// The first property that did not hold.
    #[must_use]
    pub const fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// When any process last believed something new of a member.
    #[must_use]
    pub const fn last_change(&self) -> Nanos {
        self.last_change
    }

    /// Looks at all processes that run.
    pub fn sample(&mut self, at: Nanos, samples: &mut [Sample<'_>]) {
        self.count += 1;
        for sample in &mut *samples {
            let (checksum, members) = (sample.node.checksum(), sample.node.len());
            let now = Look { checksum, members, news: false };
            let last = std::mem::replace(&mut self.looks[sample.host as usize], now);
            sample.changed = last.news || (last.checksum, last.members) != (checksum, members);
            if sample.changed || self.count.is_multiple_of(QUIET_LOOKS) {
                sample.node.check_invariants();
            }
        }
        self.run(at, None, |check| check.sampled(at, samples));
    }

    fn run(
        &mut self,
        at: Nanos,
        observer: Option<HostId>,
        mut ask: impl FnMut(&mut dyn Check) -> Verdict,
    ) {
        if self.violation.is_some() {
            return;
        }
        for check in &mut self.checks {
            if let Err(Complaint { subject, text }) = ask(check.as_mut()) {
                let property = check.name();
                self.violation = Some(Violation { at, property, observer, subject, text });
                return;
            }
        }
    }
}

impl Watcher<Swim> for Checks {
    fn started(&mut self, _: Nanos, host: HostId, machine: &Swim) {
        self.looks[host as usize].news = true;
        for check in &mut self.checks {
            check.started(host, machine.node());
        }
    }

    fn disturbed(&mut self, at: Nanos, host: HostId) {
        for check in &mut self.checks {
            check.disturbed(at, host);
        }
    }

    fn input(&mut self, at: Nanos, host: HostId, input: &Input<'_, Packet>, machine: &Swim) {
        self.run(at, Some(host), |check| check.input(host, input, machine.node()));
    }

    fn event(&mut self, at: Nanos, observer: HostId, event: &Event, machine: &Swim) {
        if let Event::MemberChanged { before, after, cause, .. } = event {
            self.last_change = at;
            self.looks[observer as usize].news = true;
            let (before, after) = (before.as_ref(), after.as_ref());
            let transition = Transition { at, observer, before, after, cause };
            self.run(at, Some(observer), |check| check.changed(&transition));
        }
        // The one change of which no other event tells.
        if matches!(event, Event::Refuted { .. }) {
            self.looks[observer as usize].news = true;
        }
        self.run(at, Some(observer), |check| check.event(observer, event, machine.node()));
    }

    fn sent(&mut self, at: Nanos, from: HostId, _: Option<HostId>, packet: &Packet, _: Fate) {
        self.run(at, Some(from), |check| check.sent(from, packet));
    }

    fn settled(&mut self, at: Nanos, host: HostId, machine: &Swim) {
        self.run(at, Some(host), |check| check.settled(host, machine.node()));
    }
}
