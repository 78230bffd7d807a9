//! One running member, and what must hold for it after each input.

use std::collections::{BTreeMap, BTreeSet};

use swim_core::limits::CHANGES_PER_MESSAGE_MAX;
use swim_core::{
    Address, Body, Change, Config, Event, Init, Instant, Member, Node, Output, State, Status,
    Transmit, wire,
};

/// Effects of one input. Hundreds of deadlines may be due at once after a long
/// wait, with a few effects each; more is a flood.
const OUTPUTS_MAX: usize = 4096;

pub(super) struct Process {
    pub(super) node: Node,
    /// The members as its events tell of them.
    view: BTreeMap<Address, Member>,
    /// The damped members as its events tell of them.
    damped: BTreeSet<Address>,
    /// The latest time that it was given.
    pub(super) latest: Instant,
    /// Whether it asked to look for other partitions.
    pub(super) wants_heal: bool,
}

impl Process {
    pub(super) fn new(config: Config, init: Init) -> Self {
        let (address, latest) = (init.address.clone(), init.now);
        let node = Node::new(config, init).expect("nothing is out of bounds");
        let view = BTreeMap::from([(address, node.local().clone())]);
        Self { node, view, damped: BTreeSet::new(), latest, wants_heal: false }
    }

    /// Gives the member an input and checks everything that comes out.
    pub(super) fn input(
        &mut self,
        now: Instant,
        input: impl FnOnce(&mut Node, Instant),
    ) -> Vec<Output> {
        self.latest = self.latest.max(now);
        input(&mut self.node, now);
        let outputs = std::iter::from_fn(|| self.node.poll_output());
        let outputs: Vec<Output> = outputs.take(OUTPUTS_MAX + 1).collect();
        assert!(outputs.len() <= OUTPUTS_MAX, "one input has effects without an end");
        for output in &outputs {
            match output {
                Output::Transmit(transmit) => check_message(&self.node, transmit),
                Output::Event(event) => self.happened(event),
            }
        }
        self.check();
        outputs
    }

    /// The events alone must tell what the members are.
    fn happened(&mut self, event: &Event) {
        match event {
            Event::MemberChanged { before, after, .. } => {
                let member = after.as_ref().or(before.as_ref()).expect("one of the two");
                let known = self.view.get(&member.address);
                assert_eq!(before.as_ref(), known, "the state before is the last one told");
                if let Some(after) = after {
                    assert!(after.overrides(known), "{after:?} does not win over {known:?}");
                    self.view.insert(after.address.clone(), after.clone());
                } else {
                    assert_eq!(member.status, Status::Tombstone, "only tombstones are forgotten");
                    self.view.remove(&member.address);
                }
            }
            Event::Refuted { member, incarnation, .. } => {
                let local = self.view.get_mut(&member.address);
                let local = local.expect("a member knows itself");
                assert!(*incarnation > member.incarnation, "a refutation wins");
                local.incarnation = *incarnation;
            }
            Event::HealWanted => self.wants_heal = true,
            Event::Damped { address, .. } => assert!(self.damped.insert(address.clone())),
            Event::Undamped { address, .. } => assert!(self.damped.remove(address)),
            _ => {}
        }
    }

    fn check(&self) {
        let Self { node, view, damped, latest, .. } = self;
        node.check_invariants();
        for member in node.members() {
            assert_eq!(view.get(&member.address), Some(member), "events tell of each change");
        }
        assert_eq!(node.len(), view.len(), "events tell of each change");
        assert!(node.damped().eq(damped), "events tell of each damping");
        assert!(node.len() <= node.config().members_max());
        assert!(node.pending_changes() <= node.len(), "one change for each member");
        let due = node.poll_timeout();
        let waits = matches!(node.state(), State::Joining | State::Leaving);
        assert!(due.is_some() || !waits, "{:?} would never end", node.state());
        let longest = node.config().faulty_timeout();
        assert!(due.is_none_or(|at| at <= *latest + longest), "nothing takes longer than that");
    }
}

/// What must hold for everything that a member sends.
fn check_message(node: &Node, Transmit { to, message, .. }: &Transmit) {
    let local = node.local();
    assert_eq!((&message.from, &message.app), (&local.address, node.app()));
    let refused = matches!(message.body, Body::Refused { .. });
    assert!(*to != local.address || refused, "nobody talks to itself: {message:?}");
    let changes = message.body.changes();
    let bytes: usize = changes.iter().map(Change::encoded_len).sum();
    let bytes_max = node.config().message_bytes_max();
    assert!(bytes <= bytes_max || changes.len() == 1, "{bytes} bytes of changes");
    assert!(changes.len() <= CHANGES_PER_MESSAGE_MAX);
    let encoded = wire::encode(message);
    assert_eq!(encoded.len(), wire::encoded_len(message));
    let decoded = wire::decode(&encoded).expect("what a member sends can be read");
    assert_eq!((&decoded.message, decoded.dropped_changes), (message, 0));
}
