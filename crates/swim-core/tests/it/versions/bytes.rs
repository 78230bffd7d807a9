//! What each version makes of the bytes of the others.

use std::fmt::Write;

use prost::Message as _;
use swim_core::wire::{DecodeError, decode, encode};
use swim_core::{
    Address, Body, Change, Config, Cursor, Init, Instant, Labels, Member, Message, Node, Refusal,
    Source, Status, SyncStep,
};

use super::{later, previous, speak};

/// The bytes of the present version, one line for each message: name and
/// hexadecimal digits. They must stay as they are for as long as members of
/// this version run anywhere.
const GOLDEN: &str = include_str!("golden.txt");

fn address(text: &str) -> Address {
    Address::new(text).unwrap()
}

fn change(status: Status, with_source: bool) -> Change {
    let labels = Labels::new([("zone", "eu"), ("weight", "2")]).unwrap();
    let source = Source { address: address("c:3"), incarnation: 1_700_000_000_001 };
    Change {
        member: Member::new(address("b:2"), status, 1_700_000_000_000, labels),
        source: with_source.then_some(source),
    }
}

/// One message of each kind, with every field in use.
fn messages() -> Vec<(&'static str, Message)> {
    let changes = || Status::ALL.map(|status| change(status, true)).to_vec();
    let cursor = || Some(Cursor { buckets: 128, bucket: 3, after: Some(address("b:2")) });
    let target = || address("t:9");
    let checksum = 0x0123_4567_89ab_cdef;
    let exchange = SyncStep::Exchange {
        buckets: 128,
        differing: vec![0, 5, 127],
        cursor: cursor(),
        changes: changes(),
    };
    let refused = |reason| Body::Refused { reason };
    let bodies = vec![
        ("ping", Body::Ping { checksum, changes: changes() }),
        ("ack", Body::Ack { checksum, changes: changes() }),
        ("ping-req", Body::PingReq { target: target(), checksum, changes: changes() }),
        (
            "ping-req-ack",
            Body::PingReqAck {
                target: target(),
                reached: true,
                pending: false,
                changes: changes(),
            },
        ),
        (
            "ping-req-nack",
            Body::PingReqAck { target: target(), reached: false, pending: true, changes: vec![] },
        ),
        ("join", Body::Join { cursor: cursor(), nonce: 0 }),
        ("join-ack", Body::JoinAck { checksum, changes: changes(), next: cursor() }),
        ("compare", Body::Sync(SyncStep::Compare { digests: vec![1, u64::MAX] })),
        ("exchange", Body::Sync(exchange)),
        (
            "sync-ack",
            Body::SyncAck { checksum, differing: vec![1, 2], changes: changes(), next: cursor() },
        ),
        ("refused-app", refused(Refusal::AppMismatch)),
        ("refused-not-ready", refused(Refusal::NotReady)),
        ("refused-self", refused(Refusal::SelfAddress)),
        ("refused-busy", refused(Refusal::Busy)),
        ("refused-invalid", refused(Refusal::Invalid)),
    ];
    let message = |body| Message {
        app: "app".into(),
        from: address("a:1"),
        from_incarnation: 1_700_000_000_002,
        seq: 77,
        body,
    };
    bodies.into_iter().map(|(name, body)| (name, message(body))).collect()
}

fn changes_of(body: &mut Body) -> Option<&mut Vec<Change>> {
    match body {
        Body::Ping { changes, .. }
        | Body::Ack { changes, .. }
        | Body::PingReq { changes, .. }
        | Body::PingReqAck { changes, .. }
        | Body::JoinAck { changes, .. }
        | Body::Sync(SyncStep::Exchange { changes, .. })
        | Body::SyncAck { changes, .. } => Some(changes),
        Body::Join { .. } | Body::Sync(SyncStep::Compare { .. }) | Body::Refused { .. } => None,
    }
}

#[test]
fn the_bytes_of_this_version_stay_as_they_are() {
    let mut text = String::new();
    for (name, message) in messages() {
        writeln!(text, "{name} {}", hex::encode(encode(&message))).unwrap();
    }
    assert!(text == GOLDEN, "the encoding has changed:\n{text}");
    for (line, (name, message)) in GOLDEN.lines().zip(messages()) {
        let bytes = hex::decode(line.split_once(' ').unwrap().1).unwrap();
        assert_eq!(decode(&bytes).unwrap().message, message, "{name}");
    }
}

/// What the former version does not have is left out, and everything else
/// stands.
#[test]
fn the_former_version_reads_this_one_and_this_one_it() {
    for (name, message) in messages() {
        let bytes = speak::previous(&encode(&message)).unwrap();
        let decoded = decode(&bytes).unwrap();
        assert_eq!(decoded.dropped_changes, 0, "{name}");
        let mut expected = message;
        if let Some(changes) = changes_of(&mut expected.body) {
            changes.iter_mut().for_each(|change| change.source = None);
        }
        if let Body::PingReqAck { pending, .. } = &mut expected.body {
            *pending = false;
        }
        assert_eq!(decoded.message, expected, "{name}");
    }
}

/// A refusal that is not known is a refusal all the same.
#[test]
fn refusals_of_other_versions_are_refusals() {
    let refused = later::Refused { reason: later::Refusal::Overloaded.into(), text: "x".into() };
    let bytes = later(later::message::Body::Refused(refused)).encode_to_vec();
    let message = decode(&bytes).unwrap().message;
    assert_eq!(message.body, Body::Refused { reason: Refusal::Invalid });
    let (_, busy) = messages().into_iter().find(|(name, _)| *name == "refused-busy").unwrap();
    let read = previous::Message::decode(&encode(&busy)[..]).unwrap();
    assert!(matches!(read.body, Some(previous::message::Body::Refused(_))));
}

/// Fields of a later version are ignored, a change with a status of a later
/// version is dropped and counted, and the rest stands.
#[test]
fn this_version_reads_a_later_one() {
    for (name, mut message) in messages() {
        let bytes = speak::later(&encode(&message));
        let decoded = decode(&bytes).unwrap();
        assert_eq!(decoded.message, message, "{name}");
        let has_changes = changes_of(&mut message.body).is_some_and(|list| !list.is_empty());
        assert_eq!(decoded.dropped_changes, usize::from(has_changes), "{name}");
    }
}

/// The generated types, which gRPC uses, read it alike.
#[test]
fn both_ways_to_read_agree_on_other_versions() {
    use swim_core::wire::{from_proto, pb};

    for (name, message) in messages() {
        let bytes = encode(&message);
        for bytes in [speak::previous(&bytes).unwrap(), speak::later(&bytes)] {
            let proto = from_proto(pb::Message::decode(&bytes[..]).unwrap()).unwrap();
            assert_eq!(proto, decode(&bytes).unwrap(), "{name}");
        }
    }
}

fn later(body: later::message::Body) -> later::Message {
    later::Message {
        app: "app".into(),
        from: "a:1".into(),
        from_incarnation: 1,
        seq: 1,
        body: Some(body),
        ..Default::default()
    }
}

/// A kind of message that is not known is counted and does nothing.
#[test]
fn a_message_of_an_unknown_kind_is_refused_and_counted() {
    let rumor = later::message::Body::Rumor(later::Rumor { content: b"psst"[..].into() });
    let bytes = later(rumor).encode_to_vec();
    assert_eq!(decode(&bytes), Err(DecodeError::Body));
    assert_eq!(speak::previous(&bytes), None);

    let init = Init {
        app: "app".into(),
        address: address("z:1"),
        identity: None,
        labels: Labels::default(),
        seed: 1,
        now: Instant::ZERO,
        unix_ms: 1,
    };
    let mut node = Node::new(Config::lan(), init).unwrap();
    node.join(Instant::ZERO, Vec::new()).unwrap();
    while node.poll_output().is_some() {}
    assert_eq!(node.handle_packet(Instant::ZERO, &bytes), Err(DecodeError::Body));
    assert_eq!(node.stats().rejected_invalid, 1);
    assert_eq!(node.poll_output(), None, "nothing follows from it");
}

/// Labels of the library that only a later version knows are carried on, so
/// that members of this version do not make others forget them.
#[test]
fn internal_labels_of_a_later_version_are_carried_on() {
    let labels = Labels::new([("__later", "x".repeat(500))]).unwrap();
    let member = Member::new(address("b:2"), Status::Alive, 5, labels.clone());
    let body = Body::Ping { checksum: 0, changes: vec![Change { member, source: None }] };
    let message =
        Message { app: "app".into(), from: address("b:2"), from_incarnation: 5, seq: 1, body };
    let bytes = speak::previous(&encode(&message)).unwrap();
    let Body::Ping { changes, .. } = decode(&bytes).unwrap().message.body else { panic!() };
    assert_eq!(changes[0].member.labels, labels);
}
