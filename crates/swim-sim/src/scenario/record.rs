//! Notes what members believe about each other, and whether they are right.

use std::collections::BTreeSet;

use crate::machine::{Belief, HostId, Machine, Observation};
use crate::time::Nanos;
use crate::watch::Watcher;

/// That a member began to take another for failed or gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// When.
    pub at: Nanos,
    /// Who.
    pub by: HostId,
    /// What.
    pub what: Observation,
    /// Whether the subject ran, nothing was done to it, and it is not about a
    /// process that ran there before and did end.
    pub is_false: bool,
    /// Whether nothing was done to the observer.
    pub by_healthy: bool,
}

/// Takes the notes.
#[derive(Debug)]
pub struct Recorder {
    /// Everything but "alive", in order.
    pub seen: Vec<Seen>,
    /// Hosts on which nothing runs, or whose process has left.
    down: Vec<bool>,
    /// Hosts to which something is or was done for which they may be taken for
    /// failed.
    excused: Vec<bool>,
    /// The version that the process on each host began with.
    born: Vec<u64>,
    /// The members that each one takes for reachable, as far as it said so.
    reachable: Vec<Vec<bool>>,
    sizes: Vec<usize>,
    /// Sizes of views that any member had.
    pub sizes_seen: BTreeSet<usize>,
}

impl Recorder {
    pub(crate) fn new(hosts: u32) -> Self {
        let hosts = hosts as usize;
        Self {
            seen: Vec::new(),
            down: vec![true; hosts],
            excused: vec![false; hosts],
            born: vec![0; hosts],
            reachable: vec![Vec::new(); hosts],
            sizes: vec![0; hosts],
            sizes_seen: BTreeSet::new(),
        }
    }

    /// From now on nobody is wrong who takes this host for failed.
    pub(crate) fn excuse(&mut self, host: HostId) {
        self.excused[host as usize] = true;
    }

    /// The process on this host has left.
    pub(crate) fn left(&mut self, host: HostId) {
        self.down[host as usize] = true;
    }

    /// Counts how many members each member takes for reachable. Only where
    /// members start with empty lists: it costs the square of the cluster.
    fn resize(&mut self, by: HostId, what: Observation) {
        let marks = &mut self.reachable[by as usize];
        let subject = what.subject as usize;
        if marks.len() <= subject {
            marks.resize(subject + 1, false);
        }
        let is_reachable = matches!(what.belief, Belief::Alive | Belief::Suspect);
        if std::mem::replace(&mut marks[subject], is_reachable) != is_reachable {
            let size = &mut self.sizes[by as usize];
            *size = if is_reachable { *size + 1 } else { *size - 1 };
        }
    }
}

impl<M: Machine> Watcher<M> for Recorder {
    fn started(&mut self, _: Nanos, host: HostId, machine: &M) {
        self.born[host as usize] = machine.version();
        self.down[host as usize] = false;
        self.reachable[host as usize].clear();
        self.sizes[host as usize] = 0;
    }

    fn stopped(&mut self, _: Nanos, host: HostId) {
        self.down[host as usize] = true;
    }

    fn event(&mut self, at: Nanos, by: HostId, event: &M::Event, machine: &M) {
        let Some(what) = machine.observation(event) else { return };
        self.resize(by, what);
        if what.belief == Belief::Alive {
            return;
        }
        let subject = what.subject as usize;
        let is_former = what.version < self.born[subject];
        let is_false = !self.down[subject] && !self.excused[subject] && !is_former;
        let by_healthy = !self.excused[by as usize];
        self.seen.push(Seen { at, by, what, is_false, by_healthy });
    }

    fn settled(&mut self, _: Nanos, host: HostId, _: &M) {
        // What an application sees: the view after each batch of changes.
        self.sizes_seen.insert(self.sizes[host as usize]);
    }
}
