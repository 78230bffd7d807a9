//! One real member among fake ones, as in Ringpop's cross-language suite.
//!
//! Requests of the real member are kept in a journal that the steps of a test
//! consume; at the end of a test only pings and ping-reqs may be left in it.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use swim_core::{
    Address, Body, Change, Event, Init, Instant, Labels, Member, Message, Node, Output, Status,
    Transmit,
};

use super::fakes::{
    APP, Fake, INCARNATION, REAL_INCARNATION, config, fake, member, nobody, real, said,
};

/// How long a step may take; the suite's deadline.
pub const DEADLINE: Duration = Duration::from_secs(20);
const LATENCY: Duration = Duration::from_millis(1);

/// A request of the real member.
#[derive(Clone, Debug)]
pub struct Sent {
    pub to: Address,
    pub body: Body,
}

impl Sent {
    pub const fn is_ping(&self) -> bool {
        matches!(self.body, Body::Ping { .. })
    }

    pub const fn is_ping_req(&self) -> bool {
        matches!(self.body, Body::PingReq { .. })
    }

    pub const fn is_join(&self) -> bool {
        matches!(self.body, Body::Join { .. })
    }

    pub fn changes(&self) -> &[Change] {
        match &self.body {
            Body::Ping { changes, .. } | Body::PingReq { changes, .. } => changes,
            _ => &[],
        }
    }
}

enum Arrival {
    Message(Message),
    Undelivered(u64),
}

/// How a case deviates from the usual start.
#[derive(Default)]
pub struct Setup {
    /// Entries of the fakes' list, besides or instead of the usual ones.
    pub listed: Vec<Member>,
    pub labels: Labels,
    pub identity: Option<String>,
}

pub struct Suite {
    pub sut: Node,
    pub now: Instant,
    pub fakes: Vec<Fake>,
    pub events: Vec<Event>,
    journal: Vec<Sent>,
    replies: Vec<(u64, Body)>,
    arrivals: VecDeque<(Instant, Arrival)>,
    held: Vec<Message>,
    seq: u64,
}

impl Suite {
    /// The start of every case: joins, then pings, and knows all.
    pub fn prepare(n: usize) -> Self {
        let suite = Setup::default().prepare(n);
        suite.assert_counts(&[(Status::Alive, n + 1)]);
        suite
    }

    /// A start after which fake 1 has the given status.
    pub fn with_status(n: usize, status: Status) -> Self {
        let mut suite = Self::prepare(n);
        suite.tell(0, 1, status, INCARNATION);
        assert_eq!(suite.status(1), Some(status));
        suite
    }

    pub fn add_fake(&mut self) {
        self.fakes.push(Fake::new(self.fakes.len()));
    }

    /// Gives every fake a list of all of them, with some entries replaced.
    pub fn list_all(&mut self, listed: &[Member]) {
        let alive = (0..self.fakes.len()).map(|i| member(fake(i), Status::Alive, INCARNATION));
        let mut list: BTreeMap<Address, Member> =
            alive.map(|member| (member.address.clone(), member)).collect();
        list.extend(listed.iter().map(|member| (member.address.clone(), member.clone())));
        for fake in &mut self.fakes {
            fake.list = list.values().cloned().collect();
        }
    }

    pub fn stop_answering_pings(&mut self) {
        self.fakes.iter_mut().for_each(|fake| fake.answers_pings = false);
    }

    pub fn hold_joins(&mut self) {
        self.fakes.iter_mut().for_each(|fake| fake.holds_joins = true);
    }

    /// Answers the joins that were held, and from now on at once.
    pub fn release_joins(&mut self) -> usize {
        self.fakes.iter_mut().for_each(|fake| fake.holds_joins = false);
        let held = std::mem::take(&mut self.held);
        let released = held.len();
        held.into_iter().for_each(|message| self.arrive(Arrival::Message(message)));
        released
    }

    // --- What fakes say to the real member ---

    /// A command to the real member.
    pub fn command<T>(&mut self, f: impl FnOnce(&mut Node, Instant) -> T) -> T {
        let result = f(&mut self.sut, self.now);
        self.drain_outputs();
        result
    }

    /// A request to the real member; gives its number.
    pub fn request(&mut self, from: &Address, body: Body) -> u64 {
        self.request_as(APP, from, INCARNATION, body)
    }

    /// A request of any process.
    pub fn request_as(
        &mut self,
        app: &str,
        from: &Address,
        from_incarnation: u64,
        body: Body,
    ) -> u64 {
        self.seq += 1;
        let (app, from) = (app.into(), from.clone());
        let message = Message { app, from, from_incarnation, seq: self.seq, body };
        self.command(|sut, now| sut.handle_message(now, message));
        self.seq
    }

    /// The answer to a request, when it came.
    pub fn answer(&self, seq: u64) -> Option<&Body> {
        self.replies.iter().find(|(number, _)| *number == seq).map(|(_, body)| body)
    }

    /// A fake whose view is the real member's pings it. Gives the changes of
    /// the answer.
    pub fn ping(&mut self, from: usize, changes: Vec<Change>) -> Vec<Change> {
        let checksum = self.checksum_after(&changes);
        self.ping_with_checksum(from, checksum, changes)
    }

    pub fn ping_with_checksum(
        &mut self,
        from: usize,
        checksum: u64,
        changes: Vec<Change>,
    ) -> Vec<Change> {
        let seq = self.request(&fake(from), Body::Ping { checksum, changes });
        match self.answer(seq) {
            Some(Body::Ack { changes, .. }) => changes.clone(),
            other => panic!("a ping is answered at once by an ack, not {other:?}"),
        }
    }

    /// Fake `by` pings with a change about another one.
    pub fn tell(&mut self, by: usize, about: usize, status: Status, incarnation: u64) {
        self.ping(by, vec![said(by, member(fake(about), status, incarnation))]);
    }

    /// A fake asks the real member to ping another one; gives the number.
    pub fn ping_req(&mut self, from: usize, target: usize, changes: Vec<Change>) -> u64 {
        let checksum = self.checksum_after(&changes);
        self.request(&fake(from), Body::PingReq { target: fake(target), checksum, changes })
    }

    /// Waits for the answer to a ping-req.
    pub fn ping_req_answer(&mut self, seq: u64) -> (bool, Vec<Change>) {
        self.until("an answer to the ping-req", |suite| suite.answer(seq).is_some());
        match self.answer(seq) {
            Some(Body::PingReqAck { reached, changes, .. }) => (*reached, changes.clone()),
            other => panic!("{other:?}"),
        }
    }

    /// The list with which the real member answers a join.
    pub fn join(&mut self, from: &Address) -> Vec<Change> {
        let seq = self.request(from, Body::Join { cursor: None, nonce: 0 });
        match self.answer(seq) {
            Some(Body::JoinAck { changes, next: None, .. }) => changes.clone(),
            other => panic!("{other:?}"),
        }
    }

    /// Pings until the real member has nothing left to spread.
    pub fn drain(&mut self) {
        for _ in 0..30 {
            self.ping(0, Vec::new());
        }
        self.until("nothing is left to spread", |suite| suite.sut.pending_changes() == 0);
        self.next_ping(|ping| ping.changes().is_empty());
    }

    // --- What the real member did ---

    /// The next ping that begins from now on.
    pub fn next_ping(&mut self, wanted: impl Fn(&Sent) -> bool) -> Sent {
        self.next(|sent| sent.is_ping() && wanted(sent))
    }

    /// The next request from now on. What comes before it is dropped when it
    /// is a ping or a ping-req.
    pub fn next(&mut self, wanted: impl Fn(&Sent) -> bool) -> Sent {
        self.forget_probes();
        self.until("the request", |suite| suite.journal.iter().any(&wanted));
        let i = self.journal.iter().position(wanted).unwrap();
        self.journal.remove(i)
    }

    /// Requests of one kind since they were taken or forgotten last.
    pub fn take(&mut self, wanted: impl Fn(&Sent) -> bool) -> Vec<Sent> {
        let (taken, rest) = std::mem::take(&mut self.journal).into_iter().partition(wanted);
        self.journal = rest;
        taken
    }

    pub fn forget_probes(&mut self) {
        self.take(|sent| sent.is_ping() || sent.is_ping_req());
    }

    pub fn member(&self, i: usize) -> Option<&Member> {
        self.sut.member(&fake(i))
    }

    pub fn status(&self, i: usize) -> Option<Status> {
        self.member(i).map(|member| member.status)
    }

    /// Checks how many members have each status, that the real member did not
    /// reincarnate, and its checksum.
    #[track_caller]
    pub fn assert_counts(&self, expected: &[(Status, usize)]) {
        let mut counts: BTreeMap<Status, usize> = BTreeMap::new();
        for member in self.sut.members() {
            *counts.entry(member.status).or_default() += 1;
        }
        let expected = expected.iter().copied().filter(|(_, n)| *n > 0).collect();
        assert_eq!(counts, expected, "members by status");
        assert_eq!(self.sut.local().incarnation, REAL_INCARNATION);
        assert_eq!(self.sut.checksum(), self.checksum_after(&[]));
        self.sut.check_invariants();
    }

    /// What a ring that follows the events holds: identities of reachable
    /// members.
    pub fn ring(&self) -> BTreeMap<Address, String> {
        let mut ring = BTreeMap::from([(real(), self.sut.local().identity().to_owned())]);
        for event in &self.events {
            let Event::MemberChanged { before, after, .. } = event else { continue };
            match after.as_ref().filter(|member| member.is_reachable()) {
                Some(member) => ring.insert(member.address.clone(), member.identity().to_owned()),
                None => before.as_ref().and_then(|member| ring.remove(&member.address)),
            };
        }
        ring
    }

    /// The epilogue of every case.
    #[track_caller]
    pub fn finish(mut self) {
        self.forget_probes();
        assert!(self.journal.is_empty(), "requests that nobody looked at: {:?}", self.journal);
        // Late replies are fine: three answers to a join are enough of six.
        let unwelcome = |(name, count): &(&str, u64)| {
            name.starts_with("rejected") && *name != "rejected_replies" && *count > 0
        };
        assert_eq!(self.sut.stats().iter().find(unwelcome), None, "all was understood");
        self.sut.check_invariants();
    }

    /// The checksum that the real member's list has after these changes,
    /// computed afresh by another machine.
    fn checksum_after(&self, changes: &[Change]) -> u64 {
        let members = self.sut.members();
        let mut list: BTreeMap<Address, Member> =
            members.map(|member| (member.address.clone(), member.clone())).collect();
        for Change { member, .. } in changes {
            if member.overrides(list.get(&member.address)) {
                list.insert(member.address.clone(), member.clone());
            }
        }
        checksum_of(list.into_values())
    }

    // --- Time and the network ---

    pub fn run_for(&mut self, duration: Duration) {
        let end = self.now + duration;
        while self.step(end) {}
        self.now = end;
    }

    /// Runs until the condition holds; gives how long that took.
    #[track_caller]
    pub fn until(&mut self, what: &str, condition: impl Fn(&Self) -> bool) -> Duration {
        let start = self.now;
        while !condition(self) {
            assert!(self.step(start + DEADLINE), "not within {DEADLINE:?}: {what}");
        }
        self.now - start
    }

    fn step(&mut self, end: Instant) -> bool {
        let arrival = self.arrivals.front().map(|(at, _)| *at);
        let due = self.sut.poll_timeout();
        let next = match (arrival, due) {
            (Some(a), Some(b)) => a.min(b),
            (Some(at), None) | (None, Some(at)) => at,
            (None, None) => return false,
        };
        if next > end {
            return false;
        }
        self.now = self.now.max(next);
        let now = self.now;
        if arrival == Some(next) {
            match self.arrivals.pop_front().unwrap().1 {
                Arrival::Message(message) => self.sut.handle_message(now, message),
                Arrival::Undelivered(seq) => self.sut.handle_undelivered(now, seq),
            }
        } else {
            self.sut.handle_timeout(now);
        }
        self.drain_outputs();
        true
    }

    fn drain_outputs(&mut self) {
        while let Some(output) = self.sut.poll_output() {
            match output {
                Output::Event(event) => self.events.push(event),
                Output::Transmit(Transmit { message, .. }) if message.is_reply() => {
                    self.replies.push((message.seq, message.body));
                }
                Output::Transmit(Transmit { to, message, .. }) => {
                    self.journal.push(Sent { to: to.clone(), body: message.body.clone() });
                    self.serve(&to, &message);
                }
            }
        }
    }

    /// What happens to a request.
    fn serve(&mut self, to: &Address, request: &Message) {
        let Some(fake) = self.fakes.iter().find(|fake| fake.address == *to) else { return };
        if !fake.up {
            self.arrive(Arrival::Undelivered(request.seq));
            return;
        }
        let Some(body) = fake.answer(&self.fakes, &request.body) else { return };
        let answer = Message {
            app: APP.into(),
            from: to.clone(),
            from_incarnation: INCARNATION,
            seq: request.seq,
            body,
        };
        if fake.holds_joins && matches!(answer.body, Body::JoinAck { .. }) {
            self.held.push(answer);
        } else {
            self.arrive(Arrival::Message(answer));
        }
    }

    fn arrive(&mut self, arrival: Arrival) {
        self.arrivals.push_back((self.now + LATENCY, arrival));
    }
}

impl Setup {
    /// Starts the real member with these settings; checks what the suite
    /// checks before every case.
    pub fn prepare(self, n: usize) -> Suite {
        let init = Init {
            app: APP.into(),
            address: real(),
            identity: self.identity,
            labels: self.labels,
            seed: n as u64,
            now: Instant::ZERO,
            unix_ms: REAL_INCARNATION,
        };
        let mut suite = Suite {
            sut: Node::new(config(), init).unwrap(),
            now: Instant::ZERO,
            fakes: Vec::new(),
            events: Vec::new(),
            journal: Vec::new(),
            replies: Vec::new(),
            arrivals: VecDeque::new(),
            held: Vec::new(),
            seq: 0,
        };
        (0..n).for_each(|_| suite.add_fake());
        suite.list_all(&self.listed);
        suite.command(|sut, now| sut.join(now, (0..n).map(fake).collect())).unwrap();
        suite.until("a first ping", |suite| suite.journal.iter().any(Sent::is_ping));
        let first_ping = suite.journal.iter().position(Sent::is_ping).unwrap();
        assert_eq!(first_ping, n.min(6), "joins before the first ping");
        assert_eq!(suite.take(Sent::is_join).len(), n.min(6));
        suite
    }
}

/// The checksum of a member list. It is a sum, so that the machine that
/// computes it can take itself out.
pub fn checksum_of(members: impl IntoIterator<Item = Member>) -> u64 {
    let init = Init {
        app: APP.into(),
        address: Address::new("127.0.0.1:1").unwrap(),
        identity: None,
        labels: Labels::default(),
        seed: 0,
        now: Instant::ZERO,
        unix_ms: 1,
    };
    let mut node = Node::new(config(), init).unwrap();
    let alone = node.checksum();
    node.join(Instant::ZERO, vec![nobody()]).unwrap();
    let Some(Output::Transmit(join)) = node.poll_output() else { panic!("it joins") };
    let changes = members.into_iter().map(|member| Change { member, source: None }).collect();
    let answer = Message {
        app: APP.into(),
        from: nobody(),
        from_incarnation: 1,
        seq: join.message.seq,
        body: Body::JoinAck { checksum: 0, changes, next: None },
    };
    node.handle_message(Instant::ZERO, answer);
    node.checksum().wrapping_sub(alone)
}
