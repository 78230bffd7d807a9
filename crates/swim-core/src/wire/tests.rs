use std::sync::Arc;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};

use prost::Message as _;

use super::*;
use crate::address::Address;
use crate::labels::Labels;
use crate::member::{Member, Status};
use crate::message::{Body, Change, Cursor, Refusal, Source, SyncStep};

fn addresses() -> impl Strategy<Value = Address> {
    "[a-z0-9.]{1,40}:[0-9]{1,5}".prop_map(|text| Address::new(&text).unwrap())
}

fn labels() -> impl Strategy<Value = Labels> {
    vec(("[a-z_]{1,40}", ".{0,60}"), 0..5).prop_map(|pairs| Labels::new(pairs).unwrap())
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let source = (addresses(), any::<u64>())
        .prop_map(|(address, incarnation)| Source { address, incarnation });
    let change = (addresses(), 0..5usize, any::<u64>(), labels(), option::of(source)).prop_map(
        |(address, status, incarnation, labels, source)| Change {
            member: Member::new(address, Status::ALL[status], incarnation, labels),
            source,
        },
    );
    vec(change, 0..4)
}

fn cursors() -> impl Strategy<Value = Option<Cursor>> {
    option::of(
        (0..=128u16, 0..=128u16, option::of(addresses()))
            .prop_map(|(buckets, bucket, after)| Cursor { buckets, bucket, after }),
    )
}

fn bodies() -> impl Strategy<Value = Body> {
    let differing = || vec(0..=128u16, 0..20);
    let refusals = prop_oneof![
        Just(Refusal::AppMismatch),
        Just(Refusal::NotReady),
        Just(Refusal::SelfAddress),
        Just(Refusal::Busy),
        Just(Refusal::Invalid),
    ];
    prop_oneof![
        (any::<u64>(), changes()).prop_map(|(checksum, changes)| Body::Ping { checksum, changes }),
        (any::<u64>(), changes()).prop_map(|(checksum, changes)| Body::Ack { checksum, changes }),
        (addresses(), any::<u64>(), changes()).prop_map(|(target, checksum, changes)| {
            Body::PingReq { target, checksum, changes }
        }),
        (addresses(), any::<bool>(), any::<bool>(), changes()).prop_map(
            |(target, reached, pending, changes)| {
                Body::PingReqAck { target, reached, pending, changes }
            }
        ),
        (cursors(), any::<u64>()).prop_map(|(cursor, nonce)| Body::Join { cursor, nonce }),
        (any::<u64>(), changes(), cursors()).prop_map(|(checksum, changes, next)| Body::JoinAck {
            checksum,
            changes,
            next
        }),
        vec(any::<u64>(), 1..=128).prop_map(|digests| Body::Sync(SyncStep::Compare { digests })),
        (0..=128u16, differing(), cursors(), changes()).prop_map(
            |(buckets, differing, cursor, changes)| {
                Body::Sync(SyncStep::Exchange { buckets, differing, cursor, changes })
            }
        ),
        (any::<u64>(), differing(), changes(), cursors()).prop_map(
            |(checksum, differing, changes, next)| Body::SyncAck {
                checksum,
                differing,
                changes,
                next
            }
        ),
        refusals.prop_map(|reason| Body::Refused { reason }),
    ]
}

fn messages() -> impl Strategy<Value = Message> {
    ("[a-z]{1,20}", addresses(), any::<u64>(), any::<u64>(), bodies()).prop_map(
        |(app, from, from_incarnation, seq, body)| Message {
            app: Arc::from(app),
            from,
            from_incarnation,
            seq,
            body,
        },
    )
}

proptest! {
    #[test]
    fn what_is_encoded_decodes_to_itself(message in messages()) {
        let bytes = encode(&message);
        prop_assert_eq!(bytes.len(), encoded_len(&message));
        let decoded = decode(&bytes).unwrap();
        prop_assert_eq!(decoded.dropped_changes, 0);
        prop_assert_eq!(decoded.message, message);
    }

    /// The generated types are the other way to and from the same bytes.
    #[test]
    fn the_generated_types_agree(message in messages()) {
        let bytes = encode(&message);
        let proto = to_proto(message.clone());
        prop_assert_eq!(&bytes, &proto.encode_to_vec());
        let decoded = from_proto(pb::Message::decode(&bytes[..]).unwrap()).unwrap();
        prop_assert_eq!(&decoded.message, &message);
    }

    /// The machine fills messages by this length without encoding anything.
    #[test]
    fn the_length_of_a_change_is_exact(changes in changes()) {
        let ping = |changes| Message {
            app: "a".into(),
            from: Address::new("a:1").unwrap(),
            from_incarnation: 1,
            seq: 1,
            body: Body::Ping { checksum: 0, changes },
        };
        let proto = |changes| match to_proto(ping(changes)).body.unwrap() {
            pb::message::Body::Ping(ping) => ping.encoded_len(),
            other => panic!("{other:?}"),
        };
        let sum: usize = changes.iter().map(Change::encoded_len).sum();
        prop_assert_eq!(proto(changes), sum);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        let _ = decode(&bytes);
    }

    #[test]
    fn damaged_messages_never_panic(message in messages(), at in any::<usize>(), byte in any::<u8>()) {
        let mut bytes = encode(&message);
        let at = at % bytes.len();
        bytes[at] = byte;
        let _ = decode(&bytes);
        bytes.truncate(at);
        let _ = decode(&bytes);
    }

    #[test]
    fn fields_of_a_later_version_are_ignored(message in messages(), value in any::<u64>()) {
        let mut bytes = encode(&message);
        // Field 200, a varint.
        prost::encoding::uint64::encode(200, &value, &mut bytes);
        prop_assert!(decode(&bytes).unwrap().message == message);
    }
}

fn ping(changes: Vec<pb::Change>) -> pb::Message {
    pb::Message {
        app: "a".into(),
        from: "a:1".into(),
        from_incarnation: 1,
        seq: 1,
        body: Some(pb::message::Body::Ping(pb::Ping { checksum: 0, changes })),
    }
}

#[test]
fn a_change_that_cannot_be_read_does_not_poison_the_others() {
    let good = pb::Change { address: "b:1".into(), status: 1, ..Default::default() };
    let later_status = pb::Change { status: 99, ..good.clone() };
    let no_address = pb::Change { address: String::new(), ..good.clone() };
    let bad_source = pb::Change { source: "a b".into(), ..good.clone() };
    let many_labels = pb::Change {
        labels: (0..100).map(|i| pb::Label { key: i.to_string(), value: "x".into() }).collect(),
        ..good.clone()
    };
    let all = vec![later_status, no_address, good, bad_source, many_labels];
    let decoded = from_proto(ping(all)).unwrap();
    assert_eq!(decoded.dropped_changes, 4);
    let Body::Ping { changes, .. } = decoded.message.body else { panic!() };
    assert_eq!(changes.len(), 1);
}

#[test]
fn what_a_message_needs_must_be_there() {
    let good = ping(vec![]);
    let no_body = pb::Message { body: None, ..good.clone() };
    assert_eq!(from_proto(no_body), Err(DecodeError::Body));
    let no_app = pb::Message { app: String::new(), ..good.clone() };
    assert_eq!(from_proto(no_app), Err(DecodeError::App { bytes: 0 }));
    let no_from = pb::Message { from: String::new(), ..good };
    assert!(matches!(from_proto(no_from), Err(DecodeError::Address { field: "from", .. })));
}

#[test]
fn lists_of_buckets_are_bounded() {
    let sync = |sync| pb::Message { body: Some(pb::message::Body::Sync(sync)), ..ping(vec![]) };
    let digests = pb::Sync { digests: vec![0; 129], ..Default::default() };
    assert_eq!(from_proto(sync(digests)), Err(DecodeError::Buckets { field: "digests" }));
    let differing = pb::Sync { differing: vec![0; 129], ..Default::default() };
    assert_eq!(from_proto(sync(differing)), Err(DecodeError::Buckets { field: "differing" }));
    let buckets = pb::Sync { buckets: 1 << 20, ..Default::default() };
    assert_eq!(from_proto(sync(buckets)), Err(DecodeError::Buckets { field: "buckets" }));
}

/// Bytes of the present version, so that a change of the encoding is noticed.
#[test]
fn the_encoding_stays_as_it_is() {
    let member = Member::new(
        Address::new("b:2").unwrap(),
        Status::Suspect,
        300,
        Labels::new([("k", "v")]).unwrap(),
    );
    let source = Some(Source { address: Address::new("c:3").unwrap(), incarnation: 1 });
    let message = Message {
        app: "app".into(),
        from: Address::new("a:1").unwrap(),
        from_incarnation: 5,
        seq: 6,
        body: Body::Ping { checksum: 7, changes: vec![Change { member, source }] },
    };
    let expected = [
        &b"\x0a\x03app\x12\x03a:1\x18\x05\x20\x06\x2a\x24"[..],
        &b"\x09\x07\0\0\0\0\0\0\0\x12\x19"[..],
        &b"\x0a\x03b:2\x10\x02\x18\xac\x02\x22\x03c:3\x28\x01\x32\x06\x0a\x01k\x12\x01v"[..],
    ]
    .concat();
    assert_eq!(encode(&message), expected);
}
