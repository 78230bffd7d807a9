//! A packet in the steady state costs no allocation.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use swim_core::{
    Address, Body, Change, Config, Init, Instant, Labels, Member, Message, Node, Source, Status,
    wire,
};

const UNIX_MS: u64 = 1_700_000_000_000;

/// Short and long addresses, which are held differently. The first is the node's.
fn address(i: u8) -> Address {
    match i {
        5 => Address::new("worker-5.workers.example.internal:7946").unwrap(),
        i => Address::new(&format!("10.0.0.{i}:7946")).unwrap(),
    }
}

fn labels(i: u8) -> Labels {
    match i {
        3 => Labels::new([("a", "1"), ("b", "2")]).unwrap(),
        4 | 5 => Labels::new([("a", "2")]).unwrap(),
        _ => Labels::default(),
    }
}

/// A node that believes a ping about the members that it names.
fn node() -> Node {
    let init = Init {
        app: "app".into(),
        address: address(0),
        identity: None,
        labels: Labels::default(),
        seed: 1,
        now: Instant::ZERO,
        unix_ms: UNIX_MS,
    };
    let config = Config::lan().to_builder().verify_claims(false).build().unwrap();
    let mut node = Node::new(config, init).unwrap();
    node.join(Instant::ZERO, Vec::new()).unwrap();
    node
}

/// Handles packets. Returns the number of allocations.
fn allocations(node: &mut Node, packets: &[Vec<u8>]) -> u64 {
    let measured = allocation_counter::measure(|| {
        for packet in packets {
            node.handle_packet(Instant::ZERO, packet).unwrap();
            while let Some(output) = node.poll_output() {
                drop(output);
            }
        }
    });
    measured.count_total
}

/// In the steady state gossip brings nothing new.
#[test]
fn a_ping_without_new_changes_costs_no_allocation() {
    let mut node = node();
    let change = |i| Change {
        member: Member::new(address(i), Status::Alive, UNIX_MS, labels(i)),
        source: Some(Source { address: address(1), incarnation: UNIX_MS }),
    };
    let ping = |checksum, seq| {
        let changes = (0..6).map(change).collect();
        let body = Body::Ping { checksum, changes };
        let (app, from) = ("app".into(), address(5));
        wire::encode(&Message { app, from, from_incarnation: UNIX_MS, seq, body })
    };
    node.handle_packet(Instant::ZERO, &ping(0, 1)).unwrap();
    assert_eq!((node.stats().changes_received, node.stats().changes_applied), (6, 5));
    // Its answers carry the changes until they have been sent often enough.
    let checksum = node.checksum();
    let pings: Vec<_> = (2..102).map(|seq| ping(checksum, seq)).collect();
    assert!(allocations(&mut node, &pings) > 0, "allocations are counted");
    assert_eq!(node.pending_changes(), 0);
    assert_eq!(allocations(&mut node, &pings), 0);
    assert_eq!((node.stats().changes_received, node.stats().changes_applied), (1206, 5));
}
