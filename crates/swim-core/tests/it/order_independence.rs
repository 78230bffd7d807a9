//! What a member believes depends on what it heard, and on nothing else: not on
//! the order, the grouping, the repetition or the kind of message.
//!
//! One exception is a rule: a tombstone of a member that is unknown is ignored
//! (`a_tombstone_of_an_unknown_member_is_ignored` in the scenarios). So all
//! members that are spoken of here are known from the start. Another one is who
//! may put a member on the ring (`newcomers.rs`): here every sender may.

use proptest::collection::vec;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, proptest,
};
use proptest::sample::Index;
use swim_core::{
    Address, Body, Change, Config, Cursor, Init, Instant, Labels, Member, Message, Node, Output,
    Source, State, Status, SyncStep,
};

/// Members that are spoken of; the first one is the listener itself.
const MEMBERS: usize = 5;

const NOW: Instant = Instant::ZERO;

fn address(i: usize) -> Address {
    Address::new(&format!("10.0.0.{i}:7946")).unwrap()
}

/// Few values of everything, so that changes meet.
fn changes(about: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Change>> {
    let labels = (0..3usize).prop_map(|i| match i {
        0 => Labels::default(),
        i => Labels::new([("zone", ["eu", "us"][i - 1])]).unwrap(),
    });
    let source = proptest::option::of(0..MEMBERS);
    let change = (about, 0..Status::ALL.len(), 1..5u64, labels, source).prop_map(
        |(about, status, incarnation, labels, source)| Change {
            member: Member::new(address(about), Status::ALL[status], incarnation, labels),
            source: source.map(|i| Source { address: address(i), incarnation: 1 }),
        },
    );
    vec(change, 1..20)
}

/// The same changes again: some twice, in another order, in groups.
fn heard_otherwise(changes: Vec<Change>) -> impl Strategy<Value = Vec<Vec<Change>>> {
    let again = vec(any::<Index>(), 0..=changes.len());
    let all = again.prop_map(move |again| {
        let repeated: Vec<Change> = again.iter().map(|i| i.get(&changes).clone()).collect();
        [changes.clone(), repeated].concat()
    });
    let groups = (all.prop_flat_map(|all| Just(all).prop_shuffle()), vec(1..6usize, 40));
    groups.prop_map(|(mut rest, sizes)| {
        let mut groups = Vec::new();
        for size in sizes {
            let size = size.min(rest.len());
            groups.push(rest.drain(..size).collect());
        }
        groups.retain(|group: &Vec<Change>| !group.is_empty());
        groups
    })
}

/// A change, and the same changes heard otherwise.
fn twice(about: std::ops::Range<usize>) -> impl Strategy<Value = (Vec<Change>, Vec<Vec<Change>>)> {
    changes(about).prop_flat_map(|changes| (Just(changes.clone()), heard_otherwise(changes)))
}

/// A member that knows all others, at an incarnation that every change
/// exceeds.
struct Listener {
    node: Node,
    seq: u64,
}

impl Listener {
    fn new() -> Self {
        let init = Init {
            app: "app".into(),
            address: address(0),
            identity: None,
            labels: Labels::default(),
            seed: 1,
            now: NOW,
            unix_ms: 1,
        };
        let config = Config::builder().verify_claims(false).build().unwrap();
        Self { node: Node::new(config, init).unwrap(), seq: 0 }
    }

    /// One that is a cluster of its own.
    fn ready() -> Self {
        let mut listener = Self::new();
        listener.node.join(NOW, Vec::new()).unwrap();
        assert_eq!(listener.node.state(), State::Ready);
        listener.hear(0, everybody());
        listener
    }

    fn say(&mut self, from: Address, seq: u64, body: Body) {
        let message = Message { app: "app".into(), from, from_incarnation: 1, seq, body };
        self.node.handle_message(NOW, message);
        self.node.check_invariants();
    }

    /// Hears changes by one of the kinds of requests that bring them.
    fn hear(&mut self, kind: usize, changes: Vec<Change>) {
        self.seq += 1;
        let checksum = self.node.checksum();
        let body = match kind % 3 {
            0 => Body::Ping { checksum, changes },
            1 => Body::PingReq { target: address(0), checksum, changes },
            _ => Body::Sync(SyncStep::Exchange {
                buckets: 1,
                differing: vec![0],
                cursor: None,
                changes,
            }),
        };
        self.say(address(99), self.seq, body);
    }

    /// Hears changes as the pages of a member list, at a join.
    fn join(pages: Vec<Vec<Change>>) -> Self {
        let mut listener = Self::new();
        let peer = address(99);
        listener.node.join(NOW, vec![peer.clone()]).unwrap();
        let mut pages = [vec![everybody()], pages].concat().into_iter().peekable();
        while let Some(changes) = pages.next() {
            let cursor = Cursor { buckets: 1, bucket: 0, after: Some(address(0)) };
            let next = pages.peek().map(|_| cursor);
            let seq = listener.last_request();
            listener.say(peer.clone(), seq, Body::JoinAck { checksum: 0, changes, next });
        }
        assert_eq!(listener.node.state(), State::Ready);
        listener
    }

    /// The number of the last join request.
    fn last_request(&mut self) -> u64 {
        let outputs = std::iter::from_fn(|| self.node.poll_output());
        let seqs = outputs.filter_map(|output| match output {
            Output::Transmit(transmit) => Some(transmit.message.seq),
            Output::Event(_) => None,
        });
        seqs.last().unwrap()
    }

    /// What it believes of others, by address.
    fn view(&self) -> Vec<Member> {
        let others = self.node.members().filter(|member| member.address != address(0));
        let mut view: Vec<Member> = others.cloned().collect();
        view.sort_by(|a, b| a.address.cmp(&b.address));
        view
    }
}

fn everybody() -> Vec<Change> {
    let member = |i| Member::new(address(i), Status::Alive, 0, Labels::default());
    (1..MEMBERS).map(|i| Change { member: member(i), source: None }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn order_grouping_repetition_and_kind_of_message_do_not_matter(
        (changes, otherwise) in twice(1..MEMBERS),
        kinds in vec(0..3usize, 40),
    ) {
        let (mut one, mut other) = (Listener::ready(), Listener::ready());
        changes.into_iter().for_each(|change| one.hear(0, vec![change]));
        for (group, kind) in otherwise.into_iter().zip(kinds) {
            other.hear(kind, group);
        }
        prop_assert_eq!(one.view(), other.view());
        prop_assert_eq!(one.node.checksum(), other.node.checksum());
    }

    #[test]
    fn the_pages_of_a_join_are_heard_like_everything_else(
        (changes, pages) in twice(1..MEMBERS),
    ) {
        let mut one = Listener::ready();
        one.hear(0, changes);
        let other = Listener::join(pages);
        prop_assert_eq!(one.view(), other.view());
        prop_assert_eq!(one.node.checksum(), other.node.checksum());
    }

    /// Of each member the greatest change remains, and that is all.
    #[test]
    fn the_greatest_change_about_each_member_remains(changes in changes(1..MEMBERS)) {
        let mut listener = Listener::ready();
        listener.hear(0, changes.clone());
        for i in 1..MEMBERS {
            let known = listener.node.member(&address(i)).unwrap();
            let heard = [everybody(), changes.clone()].concat();
            let mut about = heard.iter().map(|change| &change.member);
            prop_assert!(about.any(|member| member == known), "nobody said {known:?}");
            for change in heard.iter().filter(|change| change.member.address == known.address) {
                prop_assert!(!change.member.overrides(Some(known)));
            }
        }
    }

    /// What is said of the listener itself does not change what it believes of
    /// others, and it has the last word.
    #[test]
    fn a_member_contradicts_whatever_is_said_of_it(
        (changes, otherwise) in twice(0..MEMBERS),
        kinds in vec(0..3usize, 40),
    ) {
        let (mut one, mut other) = (Listener::ready(), Listener::ready());
        one.hear(0, changes.clone());
        for (group, kind) in otherwise.into_iter().zip(kinds) {
            other.hear(kind, group);
        }
        prop_assert_eq!(one.view(), other.view());
        for listener in [one, other] {
            let local = listener.node.local();
            prop_assert_eq!(local.status, Status::Alive);
            prop_assert_eq!(&local.labels, &Labels::default());
            let mut about = changes.iter().filter(|change| change.member.address == address(0));
            prop_assert!(about.all(|change| !change.member.overrides(Some(local))));
        }
    }
}
