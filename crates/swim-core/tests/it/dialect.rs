//! A machine with the measures of another implementation: it says their
//! checksum, compares by it, and lets their labels prevail.

use std::cmp::Ordering;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use swim_core::{
    Body, Change, Config, Dialect, Init, Instant, Labels, Member, Message, Node, Output, Source,
    Status,
};

/// Views are compared by the sum of incarnations; the shorter labels prevail.
#[derive(Debug, Default)]
struct Sums {
    taken: AtomicUsize,
}

impl Dialect for Sums {
    fn checksum(&self, members: &mut dyn Iterator<Item = &Member>) -> u64 {
        self.taken.fetch_add(1, Relaxed);
        let counted = members.filter(|member| member.status != Status::Tombstone);
        counted.map(|member| member.incarnation).sum()
    }

    fn compare_labels(&self, a: &Labels, b: &Labels) -> Ordering {
        b.len().cmp(&a.len())
    }
}

const OWN: u64 = 1000;

fn node(dialect: &Arc<Sums>) -> Node {
    let init = Init {
        app: "app".into(),
        address: "10.0.0.1:1".parse().unwrap(),
        identity: None,
        labels: Labels::default(),
        seed: 1,
        now: Instant::ZERO,
        unix_ms: OWN,
    };
    let mut node = Node::with_dialect(Config::ringpop(), dialect.clone(), init).unwrap();
    node.join(Instant::ZERO, Vec::new()).unwrap();
    while node.poll_output().is_some() {}
    node
}

/// What the member answers to a ping, and whether it asks for a list.
fn ping(node: &mut Node, seq: u64, checksum: u64, member: Option<Member>) -> (u64, bool) {
    let from: swim_core::Address = "10.0.0.2:1".parse().unwrap();
    let source = Some(Source { address: from.clone(), incarnation: 7 });
    let changes = member.into_iter().map(|member| Change { member, source: source.clone() });
    let body = Body::Ping { checksum, changes: changes.collect() };
    let message = Message { app: "app".into(), from, from_incarnation: 7, seq, body };
    node.handle_message(Instant::ZERO, message);
    let (mut answered, mut asks) = (None, false);
    while let Some(output) = node.poll_output() {
        let Output::Transmit(transmit) = output else { continue };
        match transmit.message.body {
            Body::Ack { checksum, .. } => answered = Some(checksum),
            Body::Join { .. } => asks = true,
            other => panic!("{other:?}"),
        }
    }
    node.check_invariants();
    (answered.expect("every ping is answered"), asks)
}

fn labelled(labels: Labels) -> Member {
    Member::new("10.0.0.3:1".parse().unwrap(), Status::Alive, 5, labels)
}

#[test]
fn views_are_compared_by_the_checksum_of_the_dialect_after_what_came_was_applied() {
    let dialect = Arc::new(Sums::default());
    let mut node = node(&dialect);
    assert_eq!(node.checksum(), OWN);
    let labels = Labels::new([("a", "1")]).unwrap();
    assert_eq!(ping(&mut node, 1, OWN + 5, Some(labelled(labels))), (OWN + 5, false));
    let taken = dialect.taken.load(Relaxed);
    // Spread what is left, so that nothing but the checksum speaks for a sync.
    for seq in 2..40 {
        assert_eq!(ping(&mut node, seq, OWN + 5, None), (OWN + 5, false));
    }
    assert_eq!(dialect.taken.load(Relaxed), taken, "one view is measured once");
    assert_eq!(ping(&mut node, 40, OWN, None), (OWN + 5, true));
}

#[test]
fn labels_prevail_by_the_order_of_the_dialect() {
    let mut node = node(&Arc::default());
    let (less, more) =
        (Labels::new([("a", "1")]).unwrap(), Labels::new([("a", "1"), ("b", "2")]).unwrap());
    let known = |node: &Node| {
        let member = node.member(&"10.0.0.3:1".parse().unwrap()).unwrap();
        member.labels.clone()
    };
    ping(&mut node, 1, 0, Some(labelled(more.clone())));
    ping(&mut node, 2, 0, Some(labelled(less.clone())));
    assert_eq!(known(&node), less);
    ping(&mut node, 3, 0, Some(labelled(more)));
    assert_eq!(known(&node), less, "the longer ones do not come back");
    ping(&mut node, 4, 0, Some(labelled(Labels::new([("z", "9")]).unwrap())));
    assert_eq!(known(&node), less, "equal ones replace each other in neither direction");
}
