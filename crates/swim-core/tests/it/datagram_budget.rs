//! A datagram transport gives the machine a budget and the machine keeps to it:
//! no packet of `swim-driver` over UDP exceeds 1,400 bytes with this setting, whatever the
//! addresses, the labels and the size of the cluster.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::support::kind;
use swim_core::{
    Address, Body, Change, Config, Init, Instant, LabelLimits, Labels, Member, Message, Node,
    Output, Status, Transmit, wire,
};

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

/// Members on a network without latency.
struct Network {
    now: Instant,
    nodes: Vec<Node>,
    /// The largest packet of each kind of message.
    largest: BTreeMap<&'static str, usize>,
}

impl Network {
    fn new(members: usize) -> Self {
        let config = Config::lan().to_builder().message_bytes_max(CHANGES_BYTES_MAX);
        // Members that nobody reaches are taken, so that there is much to say.
        let config =
            config.verify_claims(false).late_acks(true).label_limits(LABEL_LIMITS).build().unwrap();
        let node = |i| {
            let init = Init {
                app: "a".repeat(128).into(),
                address: address(i),
                identity: None,
                labels: labels(i),
                seed: i as u64,
                now: Instant::ZERO,
                unix_ms: 1_700_000_000_000,
            };
            Node::new(config.clone(), init).unwrap()
        };
        let nodes = (0..members).map(node).collect();
        Self { now: Instant::ZERO, nodes, largest: BTreeMap::new() }
    }

    fn carry_out(&mut self, i: usize) {
        let mut todo = vec![i];
        while let Some(i) = todo.pop() {
            while let Some(output) = self.nodes[i].poll_output() {
                let Output::Transmit(Transmit { to, message, .. }) = output else { continue };
                self.measure(&message);
                let Some(to) = self.nodes.iter().position(|node| node.local().address == to) else {
                    continue;
                };
                self.nodes[to].handle_message(self.now, message);
                todo.push(to);
            }
        }
    }

    fn measure(&mut self, message: &Message) {
        let bytes = wire::encoded_len(message) + SEAL_BYTES;
        let largest = self.largest.entry(kind(&message.body)).or_default();
        *largest = bytes.max(*largest);
    }

    fn run(&mut self, duration: Duration) {
        let end = self.now + duration;
        loop {
            let due = |(i, node): (usize, &Node)| Some((node.poll_timeout()?, i));
            let next = self.nodes.iter().enumerate().filter_map(due).min();
            let Some((at, i)) = next.filter(|(at, _)| *at <= end) else { break };
            self.now = self.now.max(at);
            self.nodes[i].handle_timeout(self.now);
            self.carry_out(i);
        }
        self.now = end;
    }

    /// Somebody else asks a member that has not joined, and is refused.
    fn ask(&mut self, i: usize) {
        self.say(i, Body::Ping { checksum: 0, changes: Vec::new() });
    }

    fn say(&mut self, i: usize, body: Body) {
        let app = self.nodes[i].app().clone();
        let from = address(9999);
        let message = Message { app, from, from_incarnation: 1, seq: 0, body };
        self.nodes[i].handle_message(self.now, message);
        self.carry_out(i);
    }

    /// Tells a member of others that nobody answers for.
    fn tell(&mut self, i: usize, others: std::ops::Range<usize>, status: Status) {
        for other in others {
            let member = Member::new(address(other), status, 1_700_000_000_000, labels(other));
            let changes = vec![Change { member, source: None }];
            self.say(i, Body::Ping { checksum: 0, changes });
        }
    }
}

#[test]
fn no_packet_exceeds_the_budget() {
    let mut network = Network::new(4);
    network.ask(0);
    network.nodes[0].join(network.now, Vec::new()).unwrap();
    network.carry_out(0);
    // Enough members for as many buckets as there can be.
    network.tell(0, 1000..2200, Status::Faulty);
    for i in 1..4 {
        network.nodes[i].join(network.now, vec![address(0)]).unwrap();
        network.carry_out(i);
    }
    assert!(network.nodes[3].len() > 1200, "the list came in pages");
    // Lists that differ in many buckets, and members that do not answer.
    network.tell(1, 3000..4000, Status::Faulty);
    network.tell(2, 5000..5020, Status::Alive);
    network.run(Duration::from_secs(120));
    let first = network.nodes[0].checksum();
    assert!(network.nodes.iter().all(|node| node.checksum() == first), "all agree");

    assert_eq!(network.largest.len(), 10, "{:?}", network.largest);
    for (kind, bytes) in network.largest {
        assert!(bytes <= PACKET_BYTES_MAX, "{kind} of {bytes} bytes");
    }
}
