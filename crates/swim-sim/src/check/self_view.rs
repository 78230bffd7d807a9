//! Nobody takes itself for suspect or faulty, unless it declared so itself, or
//! others did and nobody has reached it since.
//!
//! Source: SWIM, section 4.2: a member that hears that it is suspected
//! contradicts, whatever it hears. A member that hears of it only in answers to
//! its own requests cannot know that others reach it, and waits until one does.

use swim_core::{Node, State, Status};

use super::{Check, Verdict, require};
use crate::machine::{Command, HostId};
use crate::swim::Packet;
use crate::watch::Input;

#[derive(Debug)]
pub(super) struct SelfView {
    /// Processes that were told to declare themselves faulty.
    evicted: Vec<bool>,
}

impl SelfView {
    pub(super) fn new(hosts: usize) -> Self {
        Self { evicted: vec![false; hosts] }
    }
}

impl Check for SelfView {
    fn name(&self) -> &'static str {
        "nobody takes itself for faulty"
    }

    fn started(&mut self, host: HostId, _: &Node) {
        self.evicted[host as usize] = false;
    }

    fn input(&mut self, host: HostId, input: &Input<'_, Packet>, _: &Node) -> Verdict {
        match input {
            Input::Command(Command::EvictSelf) => self.evicted[host as usize] = true,
            Input::Command(Command::Join(_)) => self.evicted[host as usize] = false,
            _ => {}
        }
        Ok(())
    }

    fn settled(&mut self, host: HostId, node: &Node) -> Verdict {
        let local = node.local();
        let fits = match node.state() {
            State::Ready if node.is_unreachable() => local.status == Status::Faulty,
            State::Idle | State::Joining | State::Ready => local.status == Status::Alive,
            State::Leaving | State::Left if self.evicted[host as usize] => {
                local.status == Status::Faulty
            }
            State::Leaving | State::Left => local.status == Status::Leave,
        };
        require(fits, &local.address, || {
            format!("it is {:?} and says that it is {}", node.state(), local.status)
        })?;
        require(node.member(&local.address) == Some(local), &local.address, || {
            "its list says something else about it than it says itself".into()
        })
    }
}
