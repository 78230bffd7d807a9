//! What follows from membership events: the next view, and the log.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use swim_core::{Address, Event, Instant, Isolation, Node, State, Stats};
use swim_driver::{Batch, Hooks};
use tokio::sync::watch;

use crate::view::View;

/// Publishes views.
pub(crate) struct Publishing {
    views: watch::Sender<Arc<View>>,
    /// Members that changed since the last view.
    changed: BTreeSet<Address>,
    isolation: watch::Sender<Isolation>,
    last_stats: Arc<Mutex<Stats>>,
}

/// What the application sees of the machine beside its views.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) isolation: watch::Receiver<Isolation>,
    last_stats: Arc<Mutex<Stats>>,
}

impl Watched {
    /// What the machine had counted when it ended.
    pub(crate) fn last_stats(&self) -> Stats {
        *self.last_stats.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Publishing {
    pub(crate) fn new(views: watch::Sender<Arc<View>>, isolation: Isolation) -> (Self, Watched) {
        let (isolation, watched) = watch::channel(isolation);
        let last_stats = Arc::<Mutex<Stats>>::default();
        let watched = Watched { isolation: watched, last_stats: Arc::clone(&last_stats) };
        (Self { views, changed: BTreeSet::new(), isolation, last_stats }, watched)
    }

    /// Publishes the view of now. Only the members that changed are looked at.
    fn publish_view(&mut self, node: &Node) {
        let known = |address: &Address| (address.clone(), node.member(address).cloned());
        let changes = self.changed.iter().map(known);
        let joined = !matches!(node.state(), State::Idle | State::Joining);
        let view = self.views.borrow().next(changes, checksum(node), joined);
        match view {
            Ok(view) => {
                self.changed.clear();
                self.views.send_replace(Arc::new(view));
            }
            // The next view makes up for it.
            Err(error) => tracing::error!(%error, "the view stays as it was"),
        }
    }
}

impl Hooks for Publishing {
    fn publish(&mut self, node: &Node, _: Instant, batch: Batch) {
        let joined = batch.events.iter().any(|event| matches!(event, Event::JoinComplete { .. }));
        self.changed.extend(batch.changed);
        if joined || !self.changed.is_empty() {
            self.publish_view(node);
        }
        for event in &batch.events {
            if let Event::IsolationChanged { isolation, .. } = event {
                self.isolation.send_replace(*isolation);
            }
            log(event);
        }
    }

    /// Without any change the checksum is another one in another dialect.
    fn handle_timeout(&mut self, node: &Node, _: Instant) {
        if self.views.borrow().membership_checksum != checksum(node) {
            self.publish_view(node);
        }
    }

    fn end(&mut self, node: &Node) {
        *self.last_stats.lock().unwrap_or_else(PoisonError::into_inner) = *node.stats();
    }
}

/// Both forms of the checksum have 32 bits.
fn checksum(node: &Node) -> u32 {
    node.checksum() as u32
}

fn log(event: &Event) {
    match event {
        Event::IsolationChanged { isolation, others, lost, .. } => {
            warn_of_isolation(*isolation, *others, *lost);
        }
        Event::SyncEndless { peer, syncs } => tracing::warn!(
            %peer,
            syncs,
            "full syncs with a member bring nothing and do not end: the two compute checksums in other ways, or one \
             does not keep what the other says"
        ),
        Event::Unreachable { address } => tracing::warn!(
            "nobody reaches this member at {address}: the others took it for faulty, and it owns no keys \
             until one of them does; check the advertised address, port mappings and firewalls"
        ),
        Event::ReachableAgain { address, duration } => {
            tracing::info!(%address, ?duration, "others reach this member again");
        }
        Event::Rejected { from, reason } => {
            tracing::debug!(%from, ?reason, "a message was refused");
        }
        _ => {}
    }
}

/// A member that lost most of the others may own keys that are owned by others
/// elsewhere: an operator should look.
fn warn_of_isolation(isolation: Isolation, others: usize, lost: usize) {
    match isolation {
        // It began alone, or the others left in order.
        Isolation::Alone if (others, lost) == (0, 0) => {
            tracing::info!("this member has the cluster for itself");
        }
        Isolation::Alone => tracing::warn!(others, lost, "this member hears from nobody"),
        Isolation::Partial => tracing::warn!(
            others,
            lost,
            "this member lost most of the others; it may be cut off from them"
        ),
        _ => tracing::info!(others, "this member is in touch with the others again"),
    }
}
