//! `swim-core` as a [`Peer`], over the encoding of its feature `wire`.

use std::hint::black_box;

use swim_core::{
    Body, Change, Event, Instant, Labels, Member, Message, Output, Source, Status, SyncStep, wire,
};
use swim_sim::{Belief, HostId, Machine as _, Swim, UNIX_MS_AT_START};

use crate::peer::{Notice, Peer, Update};

/// A member that changes come from.
const TELLER: HostId = 1;

/// What members say about each other from the start, or something newer.
fn change(swim: &Swim, update: Update, source: HostId) -> Change {
    let address = |host| swim.names().address(host).clone();
    let incarnation = UNIX_MS_AT_START + u64::from(update.age);
    Change {
        member: Member::new(address(update.subject), Status::Alive, incarnation, Labels::default()),
        source: Some(Source { address: address(source), incarnation: UNIX_MS_AT_START }),
    }
}

fn changes(swim: &Swim, updates: &[Update], source: HostId) -> Vec<Change> {
    updates.iter().map(|update| change(swim, *update, source)).collect()
}

fn message(swim: &Swim, from: HostId, body: Body) -> Message {
    Message {
        app: swim.node().app().clone(),
        from: swim.names().address(from).clone(),
        from_incarnation: UNIX_MS_AT_START,
        seq: 1,
        body,
    }
}

/// The message that [`Peer::ping`] encodes, for cases that leave the encoding out.
#[must_use]
pub fn ping_message(swim: &Swim, from: HostId, updates: &[Update]) -> Message {
    let checksum = swim.node().checksum();
    message(swim, from, Body::Ping { checksum, changes: changes(swim, updates, from) })
}

/// Handles a message and drops what comes of it, without any encoding.
pub fn receive_message(swim: &mut Swim, message: Message) {
    let node = swim.node_mut();
    node.handle_message(Instant::ZERO, message);
    while let Some(output) = node.poll_output() {
        black_box(output);
    }
}

impl Peer for Swim {
    const PACKETS_ARE_BYTES: bool = false;

    type Batch = Message;

    fn notice(&self, event: &Event) -> Option<Notice> {
        if let Event::Refuted { member, .. } = event {
            return Some(match member.status {
                Status::Suspect | Status::Faulty => Notice::Refuted,
                _ => Notice::Renewed,
            });
        }
        let seen = self.observation(event)?;
        (seen.belief == Belief::Faulty).then_some(Notice::Faulty(seen.subject))
    }

    fn ping(&self, from: HostId, updates: &[Update]) -> Vec<u8> {
        wire::encode(&ping_message(self, from, updates))
    }

    fn batch(&self, updates: &[Update]) -> Message {
        // The last step of a full sync: the answer to it has nothing to look for, so what remains
        // is the cost of the changes.
        let body = Body::Sync(SyncStep::Exchange {
            buckets: 1,
            differing: vec![0],
            cursor: None,
            changes: changes(self, updates, TELLER),
        });
        message(self, TELLER, body)
    }

    fn apply(&mut self, batch: Message) {
        self.node_mut().handle_message(Instant::ZERO, batch);
    }

    fn discard(&mut self, packet: &mut Vec<u8>) {
        while let Some(output) = self.node_mut().poll_output() {
            match output {
                Output::Transmit(transmit) => {
                    packet.clear();
                    wire::encode_into(&transmit.message, packet);
                    // The parser of addresses of a real transport.
                    black_box((self.names().host(&transmit.to), &packet));
                }
                Output::Event(event) => {
                    black_box(event);
                }
            }
        }
    }
}
