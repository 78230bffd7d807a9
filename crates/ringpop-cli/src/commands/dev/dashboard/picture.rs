//! What the page shows of the processes.

use std::collections::VecDeque;

use serde::Serialize;

use super::super::cluster::{Cluster, Node};
use super::super::event::DevEvent;
use crate::limits::DEV_MESSAGES_MAX;
use crate::output::checksum;

/// The processes, and what happened last.
#[derive(Clone, Debug, Default, Serialize)]
pub(in super::super) struct Picture {
    processes: Vec<Process>,
    /// Whether all that run have one view and see each other.
    agreed: bool,
    is_partitioned: bool,
    /// Requests a second.
    load: u32,
    messages: VecDeque<Message>,
}

#[derive(Clone, Debug, Serialize)]
struct Process {
    address: String,
    /// Of the process, while it runs.
    pid: Option<u32>,
    condition: String,
    /// How many members it sees, when it answers.
    members: Option<usize>,
    checksum: Option<String>,
    /// Whether the page shows its view.
    is_asked: bool,
}

/// A sentence, with a number that grows.
#[derive(Clone, Debug, Serialize)]
struct Message {
    number: u64,
    text: String,
}

impl Picture {
    pub(super) fn draw(&mut self, cluster: &Cluster, asked: &str, load: u32, is_partitioned: bool) {
        let process = |node: &Node| Process {
            address: node.address().to_owned(),
            pid: node.pid(),
            condition: node.condition().to_owned(),
            members: node.seen().map(|seen| seen.members),
            checksum: node.seen().map(|seen| checksum(seen.checksum)),
            is_asked: node.address() == asked,
        };
        self.processes = cluster.nodes().iter().map(process).collect();
        self.agreed = cluster.agreed().is_some();
        self.is_partitioned = is_partitioned;
        self.load = load;
    }

    /// Adds what happened, unless the rest of the page shows it.
    pub(super) fn note(&mut self, event: &DevEvent) {
        let is_shown = matches!(
            event,
            DevEvent::Status { .. }
                | DevEvent::Load(_)
                | DevEvent::Hints { .. }
                | DevEvent::Text { .. }
                | DevEvent::Dashboard { .. }
        );
        if is_shown {
            return;
        }
        let number = self.messages.back().map_or(1, |last| last.number + 1);
        self.messages.push_back(Message { number, text: event.to_string() });
        if self.messages.len() > DEV_MESSAGES_MAX {
            self.messages.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_messages_are_kept_and_numbered() {
        let mut picture = Picture::default();
        for number in 0..DEV_MESSAGES_MAX + 5 {
            picture.note(&DevEvent::Action { text: number.to_string() });
        }
        picture.note(&DevEvent::Text { text: "for the terminal".to_owned() });
        assert_eq!(picture.messages.len(), DEV_MESSAGES_MAX);
        assert_eq!((picture.messages[0].number, &*picture.messages[0].text), (6, "5"));
    }
}
