//! How members of other versions put a message into bytes.

use prost::Message as _;

use super::{later, previous};

/// What is left of a message at a member of the former version, in its own
/// words. `None` when it cannot read it.
pub fn previous(bytes: &[u8]) -> Option<Vec<u8>> {
    let message = previous::Message::decode(bytes).ok()?;
    message.body.as_ref()?;
    Some(message.encode_to_vec())
}

/// A message as a member of the later version says it: with everything that
/// only that version has.
pub fn later(bytes: &[u8]) -> Vec<u8> {
    use later::message::Body;

    let mut message = later::Message::decode(bytes).unwrap();
    message.trace = vec![0xff; 16].into();
    message.sent_at = 0xdead_beef;
    message.far = u64::MAX;
    match message.body.as_mut().unwrap() {
        Body::Ping(ping) => {
            ping.load = 0.5;
            embellish(&mut ping.changes);
        }
        Body::Ack(ack) => {
            ack.load = -0.5;
            embellish(&mut ack.changes);
        }
        Body::PingReq(ping_req) => {
            ping_req.deadline_ms = 500;
            embellish(&mut ping_req.changes);
        }
        Body::PingReqAck(ack) => {
            ack.rtt_us = -1;
            embellish(&mut ack.changes);
        }
        Body::Join(join) => {
            join.version = "later".into();
            mark(&mut join.cursor);
        }
        Body::JoinAck(ack) => {
            ack.total = u64::MAX;
            mark(&mut ack.next);
            embellish(&mut ack.changes);
        }
        Body::Sync(sync) => {
            sync.epochs = vec![1, 300, u64::MAX];
            mark(&mut sync.cursor);
            embellish(&mut sync.changes);
        }
        Body::SyncAck(ack) => {
            ack.epochs = vec![1, 300, u64::MAX];
            mark(&mut ack.next);
            embellish(&mut ack.changes);
        }
        Body::Refused(refused) => refused.text = "because".into(),
        Body::Rumor(_) => {}
    }
    message.encode_to_vec()
}

fn mark(cursor: &mut Option<later::Cursor>) {
    if let Some(cursor) = cursor {
        cursor.generation = 7;
    }
}

/// Adds what only the later version has, and the first change again with a
/// status that only it has, which prevails where it is known.
fn embellish(changes: &mut Vec<later::Change>) {
    for change in &mut *changes {
        change.weight = 2.5;
        change.place = Some(later::Place { zone: "eu-1".into() });
        change.labels.iter_mut().for_each(|label| label.expires_ms = 9);
    }
    if let Some(first) = changes.first().cloned() {
        let status = later::Status::Draining.into();
        changes.insert(0, later::Change { status, incarnation: first.incarnation + 1, ..first });
    }
}
