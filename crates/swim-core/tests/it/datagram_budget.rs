//! A datagram transport gives the machine a budget and the machine keeps to it:
//! no packet of `swim-driver` over UDP exceeds 1,400 bytes with this setting, whatever the
//! addresses, the labels and the size of the cluster.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use swim_core::{
    Address, Body, Change, Config, Init, LabelLimits, Labels, Member, Message, Node, Status,
    Transmit, wire,
};

use crate::support::{Cluster, kind, secs};

/// As in `swim_driver::limits`.
const PACKET_BYTES_MAX: usize = 1400;
const CHANGES_BYTES_MAX: usize = PACKET_BYTES_MAX - 512;
const LABEL_LIMITS: LabelLimits = LabelLimits { count: 5, key_bytes: 32, value_bytes: 96 };

const SEAL_BYTES: usize = 41;

/// As long as `IP:port` can be.
fn address(i: usize) -> Address {
    let address = format!("[2001:1111:2222:3333:4444:5555:6666:{:04x}]:65535", 0x1000 + i);
    assert_eq!(address.len(), 47);
    Address::new(&address).unwrap()
}

/// As many as the configuration allows, as long as it allows.
fn labels(i: usize) -> Labels {
    let value = "v".repeat(LABEL_LIMITS.value_bytes);
    Labels::new((0..i % 6).map(|i| (format!("{i:k>32}"), value.clone()))).unwrap()
}

/// Members that only the names of the network lead to.
fn network(members: usize) -> Cluster {
    let config = Config::lan().to_builder().message_bytes_max(CHANGES_BYTES_MAX);
    // Members that nobody reaches are taken, so that there is much to say.
    let config =
        config.verify_claims(false).late_acks(true).label_limits(LABEL_LIMITS).build().unwrap();
    let mut cluster = Cluster::new(config);
    cluster.leave_unchecked();
    for i in 0..members {
        let init = Init {
            app: app(),
            address: address(i),
            identity: None,
            labels: labels(i),
            seed: i as u64,
            now: cluster.now(),
            unix_ms: cluster.wall_ms(),
        };
        cluster.insert(i, Node::new(cluster.config.clone(), init).unwrap());
        cluster.name(address(i).as_str(), i);
    }
    cluster
}

fn app() -> Arc<str> {
    "a".repeat(128).into()
}

/// Somebody else asks a member that has not joined, and is refused.
fn ask(cluster: &mut Cluster, i: usize) {
    say(cluster, i, Body::Ping { checksum: 0, changes: Vec::new() });
}

fn say(cluster: &mut Cluster, i: usize, body: Body) {
    cluster
        .inject(i, Message { app: app(), from: address(9999), from_incarnation: 1, seq: 0, body });
}

/// Tells a member of others that nobody answers for.
fn tell(cluster: &mut Cluster, i: usize, others: Range<usize>, status: Status) {
    for other in others {
        let member = Member::new(address(other), status, 1_700_000_000_000, labels(other));
        let changes = vec![Change { member, source: None }];
        say(cluster, i, Body::Ping { checksum: 0, changes });
    }
}

/// The largest packet of each kind of message.
fn largest(cluster: &Cluster) -> BTreeMap<&'static str, usize> {
    let mut largest = BTreeMap::new();
    for (_, Transmit { message, .. }) in cluster.sent() {
        let bytes = wire::encoded_len(message) + SEAL_BYTES;
        let most = largest.entry(kind(&message.body)).or_default();
        *most = bytes.max(*most);
    }
    largest
}

#[test]
fn no_packet_exceeds_the_budget() {
    let mut cluster = network(4);
    ask(&mut cluster, 0);
    cluster.command(0, |node, now| node.join(now, Vec::new())).unwrap();
    // Enough members for as many buckets as there can be.
    tell(&mut cluster, 0, 1000..2200, Status::Faulty);
    for i in 1..4 {
        cluster.command(i, |node, now| node.join(now, vec![address(0)])).unwrap();
    }
    cluster.until("the list came in pages", secs(10), |c| c.node(3).len() > 1200);
    // Lists that differ in many buckets, and members that do not answer.
    tell(&mut cluster, 1, 3000..4000, Status::Faulty);
    tell(&mut cluster, 2, 5000..5020, Status::Alive);
    cluster.run_for(secs(120));
    let first = cluster.node(0).checksum();
    assert!((0..4).all(|i| cluster.node(i).checksum() == first), "all agree");

    let largest = largest(&cluster);
    assert_eq!(largest.len(), 10, "{largest:?}");
    for (kind, bytes) in largest {
        assert!(bytes <= PACKET_BYTES_MAX, "{kind} of {bytes} bytes");
    }
}
