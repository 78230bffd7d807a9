//! Liveness: whatever happened, members agree once the network is fair.

use std::time::Duration;

use swim_core::{Node, State, Status};

use super::meaning::address;
use super::ops::{Command, Op, Sequence};
use super::process::Process;
use super::world::{World, take};

/// How long members may take to agree: twenty periods of looking for other
/// partitions, and five times as long as a join may take.
const WITHIN: Duration = Duration::from_secs(10 * 60);

/// Bits for all addresses.
const EVERYBODY: u8 = u8::MAX;

/// Runs a sequence. Then nothing is lost any more, all members join and look for
/// each other, and must come to one view.
///
/// Only with two of the configurations: a list that is full, for one, takes no
/// member that it does not know. One member has nobody to agree with.
///
/// # Panics
///
/// When an invariant does not hold, or they do not agree in time.
pub fn run(sequence: &Sequence) {
    let members = sequence.members.max(2);
    let mut sequence = Sequence { members, config: sequence.config % 2, ..sequence.clone() };
    for op in &mut sequence.ops {
        if let Op::Command { command: Command::Reconfigure { config }, .. } = op {
            *config %= 2;
        }
    }
    let mut world = World::new(&sequence);
    sequence.ops.iter().for_each(|op| world.step(op));
    world.settle();
}

impl World {
    fn settle(&mut self) {
        self.in_flight.clear();
        self.now = self.processes.iter().map(|process| process.latest).max().unwrap_or_default();
        let end = self.now + WITHIN;
        for i in 0..self.processes.len() {
            self.command(i, Command::Resume);
        }
        while !self.agree() {
            assert!(self.now < end, "no agreement: {:#?}", self.views());
            self.join_and_heal();
            if let Some(transmit) = take(&mut self.in_flight, 0) {
                self.deliver(transmit);
                continue;
            }
            let due = |(i, process): (usize, &Process)| Some((process.node.poll_timeout()?, i));
            let next = self.processes.iter().enumerate().filter_map(due).min();
            let (at, i) = next.expect("a ready member always has something to do");
            self.now = self.now.max(at);
            self.timeout(i);
        }
    }

    /// What a driver does that wants to be in the cluster.
    fn join_and_heal(&mut self) {
        for i in 0..self.processes.len() {
            let process = &mut self.processes[i];
            let wants_heal = std::mem::take(&mut process.wants_heal);
            match process.node.state() {
                State::Idle | State::Left => self.command(i, Command::Join { peers: EVERYBODY }),
                State::Ready if wants_heal => {
                    self.command(i, Command::Discovered { hosts: EVERYBODY });
                }
                State::Joining | State::Ready | State::Leaving => {}
            }
        }
    }

    /// Whether all members are ready, see all others alive, and have one view.
    fn agree(&self) -> bool {
        let first = self.processes[0].node.checksum();
        let alive = |node: &Node, i: usize| {
            node.member(&address(i as u8)).is_some_and(|member| member.status == Status::Alive)
        };
        self.processes.iter().all(|Process { node, .. }| {
            node.state() == State::Ready
                && node.checksum() == first
                && (0..self.processes.len()).all(|i| alive(node, i))
        })
    }

    fn views(&self) -> Vec<(State, u64, Vec<String>)> {
        let view = |Process { node, .. }: &Process| {
            let members = node.members().map(|member| format!("{member:?}")).collect();
            (node.state(), node.checksum(), members)
        };
        self.processes.iter().map(view).collect()
    }
}
