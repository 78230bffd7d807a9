//! [`Node::handle_packet`] skips what the node knows where it lies in the bytes.
//! Whatever the bytes are, that must not be seen: a node that is given packets
//! does, tells and counts what its twin does that is given the messages in them.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop_assert_eq, prop_oneof, proptest,
};
use swim_core::{
    Address, Body, Change, Config, Init, Instant, Labels, Member, Message, Node, Output, Source,
    Status, wire,
};

const UNIX_MS: u64 = 1_700_000_000_000;

/// Short and long ones, which are held differently. The first is the node's.
fn address(i: u8) -> Address {
    match i % 6 {
        5 => Address::new("worker-5.workers.example.internal:7946").unwrap(),
        i => Address::new(&format!("10.0.0.{i}:7946")).unwrap(),
    }
}

fn labels(i: u8) -> Labels {
    let long = "x".repeat(200);
    match i % 6 {
        3 => Labels::new([("a", "1"), ("b", "2")]).unwrap(),
        4 => Labels::new([("a", "2")]).unwrap(),
        // Beyond the limits of the configuration.
        5 => Labels::new([("a", &*long)]).unwrap(),
        _ => Labels::default(),
    }
}

fn node() -> Node {
    let config = Config::lan().to_builder().late_acks(true).build().unwrap();
    let init = Init {
        app: "app".into(),
        address: address(0),
        identity: None,
        labels: Labels::default(),
        seed: 1,
        now: Instant::ZERO,
        unix_ms: UNIX_MS,
    };
    let mut node = Node::new(config, init).unwrap();
    node.join(Instant::ZERO, Vec::new()).unwrap();
    node
}

/// One packet, and how it is spoilt.
#[derive(Clone, Debug)]
struct Packet {
    /// Time since the one before.
    after_ms: u16,
    from: u8,
    kind: u8,
    changes: Vec<Change>,
    /// Bytes that are replaced.
    edits: Vec<(u16, u8)>,
    /// How much of it arrives, of 256 parts.
    cut: Option<u8>,
    /// Bytes of another field, or of none, that follow.
    tail: Vec<u8>,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let source = option::of((0..6u8, 0..3u64));
    let change = (0..6u8, 0..5usize, 0..4u64, 0..6u8, source).prop_map(
        |(about, status, newer, which, source)| {
            let (status, incarnation) = (Status::ALL[status], UNIX_MS + newer);
            let member = Member::new(address(about), status, incarnation, labels(which));
            let source = source
                .map(|(i, newer)| Source { address: address(i), incarnation: UNIX_MS + newer });
            Change { member, source }
        },
    );
    vec(change, 0..6)
}

fn packets() -> impl Strategy<Value = Packet> {
    let edits = prop_oneof![3 => Just(Vec::new()), 1 => vec(any::<(u16, u8)>(), 1..4)];
    let cut = prop_oneof![9 => Just(None), 1 => any::<u8>().prop_map(Some)];
    let tail = prop_oneof![9 => Just(Vec::new()), 1 => vec(any::<u8>(), 1..20)];
    (0..2_000u16, 0..6u8, 0..8u8, changes(), edits, cut, tail).prop_map(
        |(after_ms, from, kind, changes, edits, cut, tail)| Packet {
            after_ms,
            from,
            kind,
            changes,
            edits,
            cut,
            tail,
        },
    )
}

impl Packet {
    /// The bytes, as an answer to `asked` when it is one.
    fn bytes(&self, checksum: u64, asked: Option<&(Address, u64)>) -> Vec<u8> {
        let (changes, target) = (self.changes.clone(), address(self.from + 1));
        let body = match self.kind {
            0 | 1 => Body::Ping { checksum, changes },
            2 | 3 => Body::Ack { checksum, changes },
            4 => Body::PingReq { target, checksum, changes },
            5 => Body::PingReqAck { target, reached: false, pending: true, changes },
            6 => Body::PingReqAck { target, reached: true, pending: false, changes },
            _ => Body::JoinAck { checksum, changes, next: None },
        };
        let stranger = (address(self.from), 7);
        let (from, seq) = match body {
            Body::Ping { .. } | Body::PingReq { .. } => stranger,
            _ => asked.cloned().unwrap_or(stranger),
        };
        let from_incarnation = UNIX_MS;
        let message = Message { app: "app".into(), from, from_incarnation, seq, body };
        let mut bytes = wire::encode(&message);
        for (place, byte) in &self.edits {
            let place = usize::from(*place) % bytes.len();
            bytes[place] = *byte;
        }
        if let Some(cut) = self.cut {
            bytes.truncate(bytes.len() * usize::from(cut) / 256);
        }
        bytes.extend(&self.tail);
        bytes
    }
}

fn decode(node: &mut Node, now: Instant, bytes: &[u8]) -> Result<(), wire::DecodeError> {
    let decoded = wire::decode(bytes).inspect_err(|_| node.handle_malformed(now, 1))?;
    node.handle_malformed(now, decoded.dropped_changes);
    node.handle_message(now, decoded.message);
    Ok(())
}

fn outputs(node: &mut Node) -> Vec<Output> {
    node.check_invariants();
    std::iter::from_fn(|| node.poll_output()).collect()
}

fn cases() -> ProptestConfig {
    let runs_all = crate::runs_all::runs_all("2,000 of 3,000 sequences of packets");
    ProptestConfig::with_cases(if runs_all { 3_000 } else { 1_000 })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn a_packet_has_the_effects_of_the_message_in_it(packets in vec(packets(), 1..25)) {
        let (mut twin, mut node) = (node(), node());
        let mut now = Instant::ZERO;
        let mut asked = Vec::new();
        for packet in packets {
            now += Duration::from_millis(packet.after_ms.into());
            twin.handle_timeout(now);
            node.handle_timeout(now);
            prop_assert_eq!(outputs(&mut twin), outputs(&mut node));
            let bytes = packet.bytes(twin.checksum(), asked.last());
            let expected = decode(&mut twin, now, &bytes);
            prop_assert_eq!(&expected, &node.handle_packet(now, &bytes));
            let expected = outputs(&mut twin);
            for output in &expected {
                if let Output::Transmit(sent) = output && !sent.message.is_reply() {
                    asked.push((sent.to.clone(), sent.message.seq));
                }
            }
            prop_assert_eq!(&expected, &outputs(&mut node));
            prop_assert_eq!(twin.stats(), node.stats());
            prop_assert_eq!(twin.checksum(), node.checksum());
            prop_assert_eq!(twin.poll_timeout(), node.poll_timeout());
            prop_assert_eq!(twin.pending_changes(), node.pending_changes());
        }
    }
}
