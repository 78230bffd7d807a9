//! `swim-core` as a [`Peer`], over the encoding of its feature `wire`.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use swim_core::{
    Address, Body, Change, Config, Cursor, Event, Init, Instant, Labels, Member, Message, Node,
    Output, Source, Status, SyncStep, wire,
};

use super::{Nanos, Observation, PACKET_BYTES_MAX, PROBE_PERIOD, PROBE_TIMEOUT, SUSPICION};
use super::{Peer, Setup, Sink, Update};

const APP: &str = "bench";

/// Wall clock when the clock of a member shows zero; every member takes it for its first
/// incarnation.
const UNIX_MS: u64 = 1_700_000_000_000;

/// The clocks of members differ by less than this, as with NTP.
const CLOCKS_OFF: Nanos = 20 * super::MILLISECOND;

/// Bytes of a packet that are not changes: header, cursor and the list of differing buckets.
const HEADER_BYTES_MAX: usize = 220;

/// How much longer than the target itself a helper may take: several round trips.
const HELPER_MARGIN: Nanos = 20 * super::MILLISECOND;

/// Members in one page of the list that a preloaded member gets: as many as fit a packet.
const PAGE_MEMBERS: usize = 20;

/// A member of a `swim-core` cluster.
pub(crate) struct Ours {
    node: Node,
    setup: Setup,
    app: Arc<str>,
    /// How much its clock is ahead of virtual time.
    ahead: Nanos,
    /// The packet that is being sent.
    packet: Vec<u8>,
}

fn address(index: usize) -> Address {
    let [_, b, c, d] = (index as u32).to_be_bytes();
    Address::new(&format!("10.{b}.{c}.{d}:7946")).expect("the text is an address")
}

/// The inverse of [`address`], in place of the parser of a real transport.
fn index_of(address: &Address) -> usize {
    let (mut index, mut octet) = (0, 0);
    for byte in address.as_str().bytes() {
        match byte {
            b'0'..=b'9' => octet = octet * 10 + usize::from(byte - b'0'),
            b'.' => {
                index = index << 8 | octet;
                octet = 0;
            }
            _ => break,
        }
    }
    (index << 8 | octet) & 0x00ff_ffff
}

/// What members say about each other from the start, or something newer.
fn change(update: Update, source: usize) -> Change {
    let incarnation = UNIX_MS + u64::from(update.age);
    Change {
        member: Member::new(address(update.subject), Status::Alive, incarnation, Labels::default()),
        source: Some(Source { address: address(source), incarnation: UNIX_MS }),
    }
}

impl Ours {
    /// The settings, which all members share.
    fn config() -> Arc<Config> {
        static CONFIG: LazyLock<Arc<Config>> = LazyLock::new(|| Arc::new(Ours::make_config()));
        CONFIG.clone()
    }

    fn make_config() -> Config {
        Config::lan()
            .to_builder()
            .protocol_period(Duration::from_nanos(PROBE_PERIOD))
            .ping_timeout(Duration::from_nanos(PROBE_TIMEOUT))
            .ping_req_timeout(Duration::from_nanos(PROBE_TIMEOUT + HELPER_MARGIN))
            .suspect_timeout(Duration::from_nanos(SUSPICION))
            .late_acks(true)
            .message_bytes_max(PACKET_BYTES_MAX - HEADER_BYTES_MAX)
            .build()
            .expect("every value is in its range")
    }

    /// The message that [`Peer::ping`] encodes, for cases that leave the encoding out.
    pub(crate) fn ping_message(&self, from: usize, updates: &[Update]) -> Message {
        let body = Body::Ping {
            checksum: self.node.checksum(),
            changes: updates.iter().map(|update| change(*update, from)).collect(),
        };
        self.message(from, 1, body)
    }

    /// Handles a message and drops what comes of it, without any encoding.
    pub(crate) fn receive_message(&mut self, now: Nanos, message: Message) {
        self.node.handle_message(self.instant(now), message);
        while let Some(output) = self.node.poll_output() {
            std::hint::black_box(output);
        }
    }

    fn instant(&self, now: Nanos) -> Instant {
        Instant::from_start(Duration::from_nanos(now + self.ahead))
    }

    fn message(&self, from: usize, seq: u64, body: Body) -> Message {
        Message { app: self.app.clone(), from: address(from), from_incarnation: UNIX_MS, seq, body }
    }

    /// Answers a join request with one page; `true` when it was the last.
    fn answer_join(&mut self, now: Nanos, seq: u64, first: usize) -> bool {
        let last = (first + PAGE_MEMBERS).min(self.setup.members);
        let seed = self.seed_member();
        let changes = (first..last).map(|subject| change(Update { subject, age: 0 }, seed));
        let more = last < self.setup.members;
        let body = Body::JoinAck {
            checksum: 0,
            changes: changes.collect(),
            next: more.then(|| Cursor { buckets: 1, bucket: 0, after: Some(address(last - 1)) }),
        };
        let page = wire::encode(&self.message(seed, seq, body));
        self.receive(now, &page);
        !more
    }

    /// Some other member.
    fn seed_member(&self) -> usize {
        usize::from(index_of(&self.node.local().address) == 0)
    }
}

impl Peer for Ours {
    const NAME: &'static str = "swim-core";

    type Batch = Message;

    fn new(setup: Setup, index: usize, _: Nanos) -> Self {
        static SHARED: LazyLock<Arc<str>> = LazyLock::new(|| APP.into());
        let app = SHARED.clone();
        let init = Init {
            app: app.clone(),
            address: address(index),
            identity: None,
            labels: Labels::default(),
            seed: setup.seed_of(index),
            now: Instant::ZERO,
            unix_ms: UNIX_MS,
        };
        let node = Node::new(Self::config(), init).expect("name and labels are valid");
        let ahead = setup.seed_of(index) % CLOCKS_OFF;
        Self { node, setup, app, ahead, packet: Vec::new() }
    }

    fn preload(&mut self, now: Nanos) {
        let seed = self.seed_member();
        self.join(now, Some(seed));
        let mut next = 0;
        loop {
            let Some(output) = self.node.poll_output() else {
                panic!("a member that joins asks for every page");
            };
            let Output::Transmit(request) = output else {
                continue;
            };
            if self.answer_join(now, request.message.seq, next) {
                break;
            }
            next += PAGE_MEMBERS;
        }
    }

    fn join(&mut self, now: Nanos, via: Option<usize>) {
        self.node
            .join(self.instant(now), via.map(address).into_iter().collect())
            .expect("it joins once");
    }

    fn receive(&mut self, now: Nanos, bytes: &[u8]) {
        // Errors are about bytes that are no message; they change nothing.
        let _ = self.node.handle_packet(self.instant(now), bytes);
    }

    fn timeout(&mut self, now: Nanos) {
        self.node.handle_timeout(self.instant(now));
    }

    fn next_deadline(&self) -> Option<Nanos> {
        let at = self.node.poll_timeout()?.since_start();
        Some((at.as_nanos() as Nanos).saturating_sub(self.ahead))
    }

    fn drain(&mut self, sink: &mut impl Sink) {
        while let Some(output) = self.node.poll_output() {
            match output {
                Output::Transmit(transmit) => {
                    self.packet.clear();
                    wire::encode_into(&transmit.message, &mut self.packet);
                    sink.send(index_of(&transmit.to), &self.packet);
                }
                Output::Event(Event::MemberChanged { after: Some(after), .. })
                    if after.status == Status::Faulty =>
                {
                    sink.observe(Observation::Faulty(index_of(&after.address)));
                }
                Output::Event(Event::Refuted { member, .. }) => {
                    sink.observe(match member.status {
                        Status::Suspect | Status::Faulty => Observation::Refuted,
                        _ => Observation::Renewed,
                    });
                }
                Output::Event(_) => {}
            }
        }
    }

    fn known(&self) -> usize {
        self.node.len() - 1
    }

    fn backlog(&self) -> usize {
        self.node.pending_changes()
    }

    fn ping(&self, from: usize, updates: &[Update]) -> Vec<u8> {
        wire::encode(&self.ping_message(from, updates))
    }

    fn batch(&self, updates: &[Update]) -> Message {
        let from = self.seed_member();
        // The last step of a full sync: the answer to it has nothing to look for, so that what
        // remains is the cost of the changes.
        let body = Body::Sync(SyncStep::Exchange {
            buckets: 1,
            differing: vec![0],
            cursor: None,
            changes: updates.iter().map(|update| change(*update, from)).collect(),
        });
        self.message(from, 1, body)
    }

    fn apply(&mut self, now: Nanos, batch: Message) {
        self.node.handle_message(self.instant(now), batch);
    }
}
