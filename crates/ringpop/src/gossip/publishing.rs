//! What follows from membership events: the next view, then the forwarder, the
//! problems and the listeners.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use ringpop_forward::{ForwarderControl, Peer, PeerState};
use swim_core::{
    Address, Cause, Event as SwimEvent, Instant, Isolation, Member, Node, State, Stats, Status,
};
use swim_driver::{Batch, Hooks};
use tokio::sync::watch;
use tokio::time::Instant as Clock;

use crate::event::{Event, Listeners};
use crate::identity;
use crate::off_ring::OffRing;
use crate::peer_clocks::PeerClocks;
use crate::problem::{Problem, ProblemKind};
use crate::problems::Problems;
use crate::propagation::Propagation;
use crate::status_changes::StatusChanges;
use crate::timings::Timings;
use crate::view::{Cap, Dissent, OnRing, Publisher, RingChange, Views};

/// Whom the membership task tells of what happens.
pub(crate) struct Audience {
    pub(crate) views: Arc<Views>,
    pub(crate) listeners: Listeners,
    /// Told of members that are gone: it closes its connections.
    pub(crate) forwarder: ForwarderControl,
    /// Told of a ring that is not as the members want it.
    pub(crate) problems: Arc<Problems>,
    /// Whether this member is in touch with the others.
    pub(crate) isolation: watch::Sender<Isolation>,
    /// What operators ask about members.
    pub(crate) status_changes: Arc<StatusChanges>,
    pub(crate) timings: Timings,
    pub(crate) propagation: Arc<Propagation>,
    /// The clocks by which planned changes of the ring take effect.
    pub(crate) clocks: Arc<PeerClocks>,
    /// What the machine had counted when it ended.
    pub(crate) last_stats: Arc<Mutex<Stats>>,
}

/// Publishes views and tells the [`Audience`].
pub(crate) struct Publishing {
    to: Audience,
    publisher: Publisher,
    /// Live members that share an identity.
    identities: identity::Watch,
    /// Whether this member has joined: from then on it may come back after a leave.
    has_joined: bool,
}

impl Hooks for Publishing {
    /// The view is published before anybody is told: listeners find a change there.
    fn publish(&mut self, node: &Node, now: Instant, batch: Batch) {
        let Batch { changed, events, .. } = batch;
        let ends_burst = |event: &SwimEvent| {
            matches!(event, SwimEvent::ViewChanged { .. } | SwimEvent::JoinComplete { .. })
        };
        let burst_over = events.iter().any(ends_burst);
        if !changed.is_empty() || burst_over {
            let began = Clock::now();
            self.publish_view(node, now, changed, burst_over);
            self.to.timings.published(began.elapsed());
        }
        for event in events {
            self.tell(node, event);
        }
    }

    fn handle_timeout(&mut self, node: &Node, now: Instant) {
        for shared in self.identities.take_due(now) {
            self.to.views.count_shared_identity();
            tracing::warn!(
                member = %node.local().address,
                identity = %shared.identity,
                owner = %shared.owner,
                others = ?shared.others,
                "live members share an identity: only the owner gets keys; give each its own"
            );
            self.to.listeners.tell(Event::IdentityShared(shared));
        }
        if self.publisher.next_switch().is_some_and(|due| due <= now) {
            // The agreed instant waits for no burst to end.
            self.publish_view(node, now, BTreeSet::new(), true);
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        self.identities.next().into_iter().chain(self.publisher.next_switch()).min()
    }

    fn end(&mut self, node: &Node) {
        *self.to.last_stats.lock().unwrap_or_else(PoisonError::into_inner) = *node.stats();
        self.publisher.end();
    }
}

impl Publishing {
    pub(crate) fn new(to: Audience) -> Self {
        let publisher = Publisher::new(Arc::clone(&to.views)).clocks(Arc::clone(&to.clocks));
        let identities = identity::Watch::default();
        Self { to, publisher, identities, has_joined: false }
    }

    /// Publishes the next view. With coalescing the ring waits until a burst of
    /// changes is over. Only the members that changed are looked at: what that costs
    /// must not depend on how many are remembered.
    fn publish_view(
        &mut self,
        node: &Node,
        now: Instant,
        changed: BTreeSet<Address>,
        burst_over: bool,
    ) {
        let known = |address: Address| {
            let member = node.member(&address).cloned();
            (address, member)
        };
        let changes = changed.into_iter().map(known).collect();
        let mut damped = Arc::clone(&self.to.views.load().damped);
        if !damped.iter().eq(node.damped()) {
            damped = node.damped().cloned().collect();
        }
        let waits = node.config().coalescing().is_some() && !burst_over;
        self.has_joined |= node.state() == State::Ready;
        let on_ring = match node.state() {
            // It left and comes back: meanwhile it forwards to the others as before.
            State::Idle | State::Joining if self.has_joined => OnRing::AsBefore,
            State::Idle | State::Joining => OnRing::Nobody,
            // Nobody takes over from the last one: it handles what still comes.
            State::Leaving | State::Left if reachable(node) == 0 => OnRing::AsBefore,
            _ if waits => OnRing::AsBefore,
            _ => OnRing::Reachable,
        };
        match self.publisher.publish(changes, damped, node.checksum(), on_ring) {
            Ok(published) => {
                self.to.problems.end(ProblemKind::RingStale);
                if !waits {
                    self.tell_cap(published.cap);
                    self.tell_dissent(published.dissent);
                }
                self.tell_off_ring(published.off_ring);
                for event in published.moves {
                    tracing::debug!(member = %node.local().address, mover = %event.mover, weight = event.weight, "a planned move {}", event.step);
                    self.to.listeners.tell(Event::PlannedMove(event));
                }
                if let Some(change) = published.change {
                    log_placement(&change, &node.local().address);
                    self.to.timings.ring_changed(&change);
                    self.to.listeners.tell(Event::RingChanged(change));
                }
                for (ring, change) in published.ring_changes {
                    self.to.listeners.tell(Event::NamedRingChanged { ring, change });
                }
            }
            Err(error) => {
                self.to.problems.begin(Problem::RingStale { reason: error.to_string() });
            }
        }
        // A member that died looks alive for less than this.
        let patience = node.config().suspect_timeout();
        let shared = self.publisher.shared_by_live_members();
        self.identities.update(now, patience, shared);
        if reachable(node) > 1 {
            self.to.problems.end(ProblemKind::Alone);
        }
    }

    /// Members with other settings are seen by nothing else until the majority turns.
    fn tell_dissent(&self, dissent: Option<Dissent>) {
        let Some(Dissent { in_use, address, asks_for, members }) = dissent else {
            return self.to.problems.end(ProblemKind::Placement);
        };
        self.to.problems.begin(Problem::PlacementsDiffer { in_use, address, asks_for, members });
    }

    fn tell_off_ring(&self, changes: Vec<(Address, Option<OffRing>)>) {
        for (address, off) in changes {
            let member = self.to.views.local();
            match &off {
                Some(off) => tracing::info!(%member, %address, "member is off the ring: {off}"),
                None => tracing::info!(%member, %address, "nothing keeps the member off the ring"),
            }
            if address == *member {
                match &off {
                    Some(OffRing::Evicted { by, until_unix_ms }) => {
                        let (by, until_unix_ms) = (by.clone(), *until_unix_ms);
                        self.to.problems.begin(Problem::Evicted { by, until_unix_ms });
                    }
                    _ => self.to.problems.end(ProblemKind::Evicted),
                }
            }
            self.to.listeners.tell(Event::OffRingChanged { address, off });
        }
    }

    fn tell_cap(&self, cap: Option<Cap>) {
        let Some(Cap { wanted, weight_max, left_out, .. }) = cap else {
            return self.to.problems.end(ProblemKind::Ring);
        };
        let points = self.to.views.with(|view| view.ring.placement().points());
        let wanted = wanted * u64::from(points.unwrap_or(1));
        self.to.problems.begin(Problem::RingCapped { wanted, weight_max, left_out });
    }

    fn tell_isolation(&self, member: &Address, isolation: Isolation, others: usize, lost: usize) {
        match isolation {
            // It began alone, or the others left in order.
            Isolation::Alone if (others, lost) == (0, 0) => {
                tracing::info!(%member, "this member has the cluster for itself");
                self.to.problems.end(ProblemKind::Isolated);
            }
            Isolation::Alone | Isolation::Partial => {
                self.to.problems.begin(Problem::Isolated { isolation, others, lost });
            }
            _ => self.to.problems.end(ProblemKind::Isolated),
        }
    }

    fn tell(&self, node: &Node, event: SwimEvent) {
        match &event {
            SwimEvent::MemberChanged { before, after, source, cause } => {
                let (former, latest) = (before.as_ref(), after.as_ref());
                self.to.status_changes.note(former, latest, source.as_ref(), cause);
                self.to.propagation.note(former, latest, cause);
                // The list of a join would be as many lines.
                if !matches!(cause, Cause::Join { .. }) {
                    log_member(before.as_ref(), after.as_ref(), &node.local().address);
                }
                self.tell_forwarder(before.as_ref(), after.as_ref());
            }
            SwimEvent::Unreachable { address } => {
                let address = address.clone();
                self.to.problems.begin(Problem::Unreachable { address });
            }
            SwimEvent::JoinComplete { duration, .. } => self.to.timings.joined(*duration),
            SwimEvent::ReachableAgain { .. } => self.to.problems.end(ProblemKind::Unreachable),
            SwimEvent::IsolationChanged { isolation, others, lost, .. } => {
                self.to.isolation.send_replace(*isolation);
                self.tell_isolation(&node.local().address, *isolation, *others, *lost);
            }
            SwimEvent::SyncEndless { peer, syncs } => tracing::warn!(
                member = %node.local().address,
                %peer,
                syncs,
                "full syncs with a member bring nothing and do not end; do the two run other versions or settings?"
            ),
            SwimEvent::Rejected { from, reason } => {
                let member = &node.local().address;
                tracing::debug!(%member, %from, ?reason, "a membership message was refused");
            }
            _ => {}
        }
        self.to.listeners.tell(Event::Membership(event));
    }

    /// Tells the forwarder what the cluster knows of a member: no request waits for
    /// an owner that others know to be silent.
    ///
    /// A suspect one may be dead. One that leaves finishes what it has, and is probed by nobody any
    /// more: its silence would go unnoticed, and idempotent calls do not wait for it. A faulty one
    /// counts as dead. With its connections goes the memory of failed dials: when it is back on the
    /// ring it gets its keys at once, and not only after the pause before the next dial. A member
    /// that restarted before anybody missed it shows itself by its incarnation, and is dialled at
    /// once as well.
    fn tell_forwarder(&self, before: Option<&Member>, after: Option<&Member>) {
        let Some(member) = after.or(before) else { return };
        // An address that cannot be dialled has no connections.
        let Ok(peer) = Peer::new(member.address.as_str()) else { return };
        let forwarder = &self.to.forwarder;
        match after.map(|after| after.status) {
            None => forwarder.forget(&peer),
            Some(Status::Alive) => {
                forwarder.set_peer_state(&peer, PeerState::Good);
                if before.is_some_and(|before| before.incarnation < member.incarnation) {
                    forwarder.reset_backoff(&peer);
                }
            }
            Some(Status::Suspect) => forwarder.set_peer_state(&peer, PeerState::Doubtful),
            Some(Status::Leave) => {
                forwarder.forget(&peer);
                forwarder.set_peer_state(&peer, PeerState::Doubtful);
            }
            Some(_) => forwarder.set_peer_state(&peer, PeerState::Gone),
        }
    }
}

/// Number of members that are reachable, this one included.
pub(crate) fn reachable(node: &Node) -> usize {
    node.count(Status::Alive) + node.count(Status::Suspect)
}

/// Tells the log when nearly all keys move.
fn log_placement(change: &RingChange, member: &Address) {
    if let Some(before) = change.placement_before {
        let placement = change.placement;
        tracing::info!(
            %member,
            %before,
            %placement,
            "the placement changes: most keys have another owner"
        );
    }
}

/// Tells the log of what happens to other members.
fn log_member(before: Option<&Member>, after: Option<&Member>, local: &Address) {
    let Some(member) = after.or(before).filter(|member| member.address != *local) else { return };
    let status = |member: &Member| member.status;
    let what = match (before.map(status), after.map(status)) {
        (before, after) if before == after => return,
        (None | Some(Status::Tombstone), Some(Status::Alive)) => "member joined",
        (Some(Status::Suspect), Some(Status::Alive)) => "member is alive after all",
        (_, Some(Status::Alive)) => "member is back",
        (_, Some(Status::Suspect)) => "member is suspected: it does not answer",
        (_, Some(Status::Faulty)) => "member is faulty: it is off the ring",
        (_, Some(Status::Leave)) => "member left",
        (_, Some(Status::Tombstone) | None) => "member is forgotten",
    };
    tracing::info!(member = %local, address = %member.address, identity = member.identity(), "{what}");
}
