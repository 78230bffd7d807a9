//! The state of the whole cluster, folded from what each process reports. No input or output here.

use std::collections::BTreeMap;
use std::time::Instant;

use ringpop::admin_client::{GetStatusResponse, Status};

use super::event::DevEvent;
use super::plan::{NodePlan, Plan};
use crate::cluster::status_name;
use crate::output::{checksum, columns};

/// The state of one process, from its own events.
#[derive(Debug)]
pub(super) enum Update {
    /// Its answer; `None` when there was none.
    Status { index: usize, status: Option<Box<GetStatusResponse>> },
    /// A line that it wrote to its standard error.
    Message { index: usize, text: String },
    /// It ended.
    Exited { index: usize, how: String },
    /// What it says to what it was asked to do.
    Answer { index: usize, answer: Result<String, String> },
    /// The dashboard could not be opened.
    NoBrowser { reason: String },
}

/// The state of the whole cluster.
#[derive(Debug)]
pub(super) struct Cluster {
    nodes: Vec<Node>,
    /// How many agree on which checksum; `None` while they do not.
    agreed: Option<(usize, u64)>,
    /// When they were started, or last ceased to agree.
    disagreed: Instant,
    hinted: bool,
    stopping: bool,
}

/// One process.
#[derive(Clone, Debug)]
pub(super) struct Node {
    plan: NodePlan,
    /// What starts it again.
    command: String,
    pid: Option<u32>,
    ended: Option<String>,
    /// Whether it stands still.
    suspended: bool,
    seen: Option<Seen>,
}

/// What a member last said of itself.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) state: String,
    /// Members that it can reach, itself included.
    pub(super) members: usize,
    pub(super) checksum: u64,
    pub(super) share: f64,
    /// Requests that its handlers served.
    pub(super) handled: u64,
    /// Requests that it sent on to their owners.
    pub(super) forwarded: u64,
    /// Whether it has left the ring and serves on.
    pub(super) left: bool,
    /// The statuses in which it sees the members, by address.
    pub(super) statuses: BTreeMap<String, &'static str>,
    /// Counters of the protocol: [`STATISTICS`].
    pub(super) statistics: [u64; STATISTICS.len()],
}

/// Counters of the protocol, and how they are called in a table.
pub(super) const STATISTICS: [(&str, &str); 6] = [
    ("membership.pings_sent", "PINGS"),
    ("membership.probes_failed", "FAILED"),
    ("membership.ping_reqs_sent", "INDIRECT"),
    ("membership.refuted", "REFUTED"),
    ("membership.syncs_started", "SYNCS"),
    ("membership.changes_applied", "CHANGES"),
];

impl Cluster {
    pub(super) fn new(plan: &Plan, ids: &[Option<u32>]) -> Self {
        let nodes = plan.nodes.iter().zip(ids).map(|(node, pid)| Node::new(plan, node, *pid));
        Self {
            nodes: nodes.collect(),
            agreed: None,
            disagreed: Instant::now(),
            hinted: false,
            stopping: false,
        }
    }

    /// A member more, whose process is to be started.
    pub(super) fn add(&mut self, plan: &Plan, index: usize) {
        self.nodes.push(Node::new(plan, &plan.nodes[index], None));
    }

    /// The process of a member was started again.
    pub(super) fn restarted(&mut self, index: usize, pid: Option<u32>) -> DevEvent {
        let node = &mut self.nodes[index];
        *node = Node { pid, ended: None, suspended: false, seen: None, ..node.clone() };
        node.started()
    }

    pub(super) fn set_suspended(&mut self, index: usize, suspended: bool) {
        self.nodes[index].suspended = suspended;
    }

    pub(super) fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// Processes that have not ended.
    pub(super) fn running(&self) -> usize {
        self.nodes.iter().filter(|node| node.ended.is_none()).count()
    }

    /// The checksum that all live members have; `None` while they differ.
    pub(super) fn agreed(&self) -> Option<u64> {
        self.agreed.map(|(_, checksum)| checksum)
    }

    pub(super) fn started(&self) -> Vec<DevEvent> {
        self.nodes.iter().map(Node::started).collect()
    }

    /// Applies an update and returns the differences.
    pub(super) fn apply(&mut self, update: Update) -> Vec<DevEvent> {
        let mut events = Vec::new();
        match update {
            Update::Status { index, status } => {
                let seen = status.map(|status| Seen::from(*status));
                let news = self.nodes[index].see(seen);
                // That members fall apart is what a stop is about.
                events.extend(news.filter(|_| !self.stopping));
            }
            Update::Message { index, text } => {
                let address = self.nodes[index].plan.address.clone();
                events.push(DevEvent::Message { address, text });
            }
            Update::Exited { index, how } => {
                events.push(self.nodes[index].end(how, !self.stopping));
            }
            Update::Answer { index, answer } => {
                let address = self.nodes[index].plan.address.clone();
                let ok = answer.is_ok();
                let text = answer.unwrap_or_else(|reason| reason);
                events.push(DevEvent::Answer { address, ok, text });
            }
            Update::NoBrowser { reason } => {
                // Its URL is a secret, and this is shown on the page as well.
                let text = format!("no browser was opened ({reason}): open the URL above yourself");
                events.push(DevEvent::Action { text });
            }
        }
        if !self.stopping {
            self.compare(&mut events);
        }
        events
    }

    /// From now on members are expected to end.
    pub(super) fn stop(&mut self) -> DevEvent {
        self.stopping = true;
        self.agreed = None;
        DevEvent::Stopping { nodes: self.running() }
    }

    /// Tells when all live members came to agree.
    fn compare(&mut self, events: &mut Vec<DevEvent>) {
        let agreement = self.agreement();
        if agreement == self.agreed {
            return;
        }
        let former = std::mem::replace(&mut self.agreed, agreement);
        if former.is_some() {
            self.disagreed = Instant::now();
        }
        let Some((nodes, checksum)) = agreement else {
            return;
        };
        let elapsed_ms = self.disagreed.elapsed().as_millis().try_into().unwrap_or(u64::MAX);
        events.push(DevEvent::Converged { nodes, checksum, elapsed_ms });
        if !self.hinted {
            self.hinted = true;
            events.push(DevEvent::Hints { commands: self.hints() });
        }
    }

    /// How many members are live and their checksum, when all have the same one and each sees them
    /// all.
    ///
    /// The second condition matters: members that do not know of each other yet, or of a death, can
    /// agree as well.
    fn agreement(&self) -> Option<(usize, u64)> {
        let live = || self.nodes.iter().filter(|node| node.is_live());
        let count = live().count();
        let checksum = live().next()?.seen.as_ref()?.checksum;
        let agrees = |node: &Node| {
            node.seen.as_ref().is_some_and(|seen| {
                seen.state == READY && seen.checksum == checksum && seen.members == count
            })
        };
        live().all(agrees).then_some((count, checksum))
    }

    /// Why so many members, or all that live, do not agree; `None` when they do.
    pub(super) fn missing_agreement(&self, members: Option<usize>) -> Option<String> {
        let live = self.nodes.iter().filter(|node| node.is_live()).count();
        match (self.agreement(), members) {
            (Some((agreed, _)), Some(wanted)) if agreed != wanted => {
                Some(format!("{agreed} members agree"))
            }
            (Some(_), _) => None,
            (None, _) => Some(format!("the {live} members do not agree; {}", self.describe())),
        }
    }

    /// Why the live members are not so many groups that each see themselves only, if they are not.
    pub(super) fn missing_views(&self, count: usize) -> Option<String> {
        let mut groups = BTreeMap::<u64, Vec<&Seen>>::new();
        for node in self.nodes.iter().filter(|node| node.is_live()) {
            let Some(seen) = &node.seen else {
                return Some(format!("{} does not answer", node.plan.address));
            };
            groups.entry(seen.checksum).or_default().push(seen);
        }
        let is_whole = |group: &Vec<&Seen>| group.iter().all(|seen| seen.members == group.len());
        let settled = groups.len() == count && groups.values().all(is_whole);
        (!settled).then(|| format!("there are {} views; {}", groups.len(), self.describe()))
    }

    /// A running member that sees another status than `status`, for people; `None` when all see it.
    pub(super) fn missing_status(&self, of: usize, status: &str) -> Option<String> {
        let Some(node) = self.nodes.get(of) else {
            return Some(format!("there is no member {of}"));
        };
        let address = &node.plan.address;
        let others = self.nodes.iter().filter(|other| other.plan != node.plan && other.runs());
        for other in others.filter(|other| !other.suspended) {
            let seen = other.seen.as_ref().and_then(|seen| seen.statuses.get(address));
            if seen.is_none_or(|seen| *seen != status) {
                let seen = seen.copied().unwrap_or("unknown");
                return Some(format!("{} sees {address} {seen}", other.plan.address));
            }
        }
        None
    }

    /// The live members with what each sees, in a line.
    fn describe(&self) -> String {
        let one = |node: &Node| match &node.seen {
            Some(seen) => format!(
                "{} {} sees {} ({})",
                node.plan.address,
                seen.state,
                seen.members,
                &checksum(seen.checksum)[..8]
            ),
            None => format!("{} {}", node.plan.address, node.condition()),
        };
        self.nodes.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// The members grouped by their checksums, for people.
    pub(super) fn views(&self) -> String {
        let mut groups = BTreeMap::<u64, Vec<&str>>::new();
        for node in &self.nodes {
            if let Some(seen) = &node.seen {
                groups.entry(seen.checksum).or_default().push(&node.plan.address);
            }
        }
        let line = |(sum, members): (&u64, &Vec<&str>)| {
            format!("{}  {} members: {}", checksum(*sum), members.len(), members.join(" "))
        };
        groups.iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// What the members count of the protocol, for people.
    pub(super) fn statistics(&self) -> String {
        let names = STATISTICS.map(|(_, name)| name);
        let [a, b, c, d, e, f] = names;
        let mut rows = vec![["ADDRESS", a, b, c, d, e, f].map(str::to_owned)];
        for node in &self.nodes {
            if let Some(seen) = &node.seen {
                let [a, b, c, d, e, f] = seen.statistics.map(|count| count.to_string());
                rows.push([node.plan.address.clone(), a, b, c, d, e, f]);
            }
        }
        columns(&rows).trim_end().to_owned()
    }

    /// The members that clients may ask.
    pub(super) fn targets(&self) -> Vec<String> {
        let asked = self.nodes.iter().filter(|node| node.runs() && !node.suspended);
        let is_ready = |node: &&Node| node.seen.as_ref().is_some_and(|seen| seen.state == READY);
        asked.filter(is_ready).map(|node| node.plan.address.clone()).collect()
    }

    /// Three requests at three members: any of them answers for any key.
    fn hints(&self) -> Vec<String> {
        let http = |nth: usize| &self.nodes[nth % self.nodes.len()].plan.http;
        vec![
            format!("curl -i -X PUT --data-binary hello http://{}/kv/greeting", http(0)),
            format!("curl -i http://{}/kv/greeting", http(1)),
            format!("curl -i -X DELETE http://{}/kv/greeting", http(2)),
        ]
    }
}

/// The state of a member that takes part.
const READY: &str = "ready";

impl Node {
    fn new(plan: &Plan, node: &NodePlan, pid: Option<u32>) -> Self {
        Self {
            plan: node.clone(),
            command: plan.command(node),
            pid,
            ended: None,
            suspended: false,
            seen: None,
        }
    }

    fn started(&self) -> DevEvent {
        DevEvent::Started {
            address: self.plan.address.clone(),
            http: self.plan.http.clone(),
            pid: self.pid,
        }
    }

    /// Whether its process runs.
    pub(super) const fn runs(&self) -> bool {
        self.ended.is_none()
    }

    pub(super) const fn is_suspended(&self) -> bool {
        self.suspended
    }

    pub(super) fn address(&self) -> &str {
        &self.plan.address
    }

    /// The process that was started; somebody may have started another one since.
    pub(super) fn pid(&self) -> Option<u32> {
        self.pid.filter(|_| self.ended.is_none())
    }

    pub(super) fn seen(&self) -> Option<&Seen> {
        self.seen.as_ref()
    }

    /// One word or two on how it is.
    pub(super) fn condition(&self) -> &str {
        match (&self.seen, &self.ended) {
            _ if self.suspended => "suspended",
            (Some(seen), _) if seen.left => "left",
            (Some(seen), _) => &seen.state,
            (None, Some(how)) => how,
            (None, None) => "no answer",
        }
    }

    /// Whether it should be part of the cluster: its process runs, or somebody started it again by
    /// hand, and it has not left.
    fn is_live(&self) -> bool {
        let has_left = self.seen.as_ref().is_some_and(|seen| seen.left);
        (self.ended.is_none() || self.seen.is_some()) && !self.suspended && !has_left
    }

    fn see(&mut self, seen: Option<Seen>) -> Option<DevEvent> {
        let before = std::mem::replace(&mut self.seen, seen);
        let address = self.plan.address.clone();
        match (&before, &self.seen) {
            (Some(_), None) => Some(DevEvent::Silent { address }),
            (_, Some(now)) if before.as_ref().is_none_or(|before| before.differs(now)) => {
                Some(DevEvent::Status {
                    address,
                    state: now.state.clone(),
                    members: now.members,
                    checksum: now.checksum,
                    share: now.share,
                })
            }
            _ => None,
        }
    }

    fn end(&mut self, how: String, unexpected: bool) -> DevEvent {
        self.seen = None;
        self.suspended = false;
        self.ended = Some(how.clone());
        DevEvent::Exited {
            address: self.plan.address.clone(),
            how,
            restart: unexpected.then(|| self.command.clone()),
        }
    }
}

impl Seen {
    /// Whether somebody who follows the lines wants to know: counters alone change all the time.
    fn differs(&self, other: &Self) -> bool {
        (&self.state, self.members, self.checksum) != (&other.state, other.members, other.checksum)
    }
}

impl From<GetStatusResponse> for Seen {
    fn from(status: GetStatusResponse) -> Self {
        let reachable = [Status::Alive as i32, Status::Suspect as i32];
        let members = status.members.iter();
        let me = members.clone().find(|member| member.address == status.address);
        let counter = |name: &str| {
            let counter = status.counters.iter().find(|counter| counter.name == name);
            counter.map_or(0, |counter| counter.value)
        };
        Self {
            members: members.filter(|member| reachable.contains(&member.status)).count(),
            checksum: status.membership_checksum,
            share: me.map_or(0.0, |me| me.share),
            left: me.is_some_and(|me| me.status() == Status::Leave),
            statuses: status
                .members
                .iter()
                .map(|member| (member.address.clone(), status_name(member.status)))
                .collect(),
            statistics: STATISTICS.map(|(name, _)| counter(name)),
            handled: counter("forward.local"),
            forwarded: counter("forward.forwarded"),
            state: status.state,
        }
    }
}

#[cfg(test)]
mod tests;
