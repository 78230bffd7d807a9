//! The state of the whole cluster, folded from what each process reports. No input or output here.

use std::time::Instant;

use ringpop::admin_client::{GetStatusResponse, Status};

use super::event::DevEvent;
use super::plan::{NodePlan, Plan};

/// The state of one process, from its own events.
#[derive(Debug)]
pub(super) enum Update {
    /// Its answer; `None` when there was none.
    Status { index: usize, status: Option<Box<GetStatusResponse>> },
    /// A line that it wrote to its standard error.
    Message { index: usize, text: String },
    /// It ended.
    Exited { index: usize, how: String },
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
#[derive(Debug)]
pub(super) struct Node {
    plan: NodePlan,
    /// What starts it again.
    command: String,
    pid: Option<u32>,
    ended: Option<String>,
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
}

impl Cluster {
    pub(super) fn new(plan: &Plan, ids: &[Option<u32>]) -> Self {
        let nodes = plan.nodes.iter().zip(ids).map(|(node, pid)| Node {
            plan: node.clone(),
            command: plan.command(node),
            pid: *pid,
            ended: None,
            seen: None,
        });
        Self {
            nodes: nodes.collect(),
            agreed: None,
            disagreed: Instant::now(),
            hinted: false,
            stopping: false,
        }
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
        let started = |node: &Node| DevEvent::Started {
            address: node.plan.address.clone(),
            http: node.plan.http.clone(),
            pid: node.pid,
        };
        self.nodes.iter().map(started).collect()
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
            (Some(seen), _) => &seen.state,
            (None, Some(how)) => how,
            (None, None) => "no answer",
        }
    }

    /// Whether it should be part of the cluster: its process runs, or somebody started it again by
    /// hand.
    fn is_live(&self) -> bool {
        self.ended.is_none() || self.seen.is_some()
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
            handled: counter("forward.local"),
            forwarded: counter("forward.forwarded"),
            state: status.state,
        }
    }
}

#[cfg(test)]
mod tests;
