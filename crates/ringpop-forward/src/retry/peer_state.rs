//! What the membership knows of the owners: whether one is in doubt, or gone.
//!
//! A membership protocol learns of a silent owner long before the callers do. That knowledge ends
//! the attempts that would wait in vain, and keeps new ones away.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use dashmap::DashMap;
use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;
use twox_hash::XxHash3_64;

use crate::limits::{DOUBT_ANSWER_AGE_MAX, DOUBT_HEDGE_AFTER, PEERS_MAX};
use crate::resolver::Peer;

/// The state of a peer as known from elsewhere; see
/// [`ForwarderControl::set_peer_state`](crate::ForwarderControl::set_peer_state).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PeerState {
    /// As far as known, it lives.
    #[default]
    Good,
    /// It may be dead. Idempotent attempts that wait for it are hedged to the next owner, and new
    /// calls go past it unless it has answered one within the last second.
    Doubtful,
    /// It is dead, or counts as dead. What waits for it has failed, and its connections are closed.
    Gone,
}

impl PeerState {
    /// The lower-case name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Doubtful => "doubtful",
            Self::Gone => "gone",
        }
    }
}

/// The states of the peers that are not good, which are none as a rule. Then nothing of this costs
/// a lookup.
#[derive(Debug, Default)]
pub(crate) struct PeerStates {
    known: DashMap<Box<str>, Known>,
    /// Length of `known`.
    len: AtomicUsize,
    /// Wakes the attempts at peers whose state has changed. Peers share them by the hash of their
    /// address.
    changed: [Notify; 16],
}

#[derive(Clone, Copy, Debug)]
struct Known {
    state: PeerState,
    /// When the peer last answered since its state was set.
    answered: Option<Instant>,
}

impl PeerStates {
    /// Sets the state of `peer` and wakes the attempts at it.
    pub(crate) fn set(&self, peer: &Peer, state: PeerState) {
        let address = peer.address();
        if state == PeerState::Good {
            self.known.remove(address);
        } else if self.known.len() < PEERS_MAX || self.known.contains_key(address) {
            let mut known =
                self.known.entry(address.into()).or_insert(Known { state, answered: None });
            known.state = state;
        }
        self.len.store(self.known.len(), Ordering::Release);
        self.notify(peer).notify_waiters();
    }

    /// The peers that are not good.
    pub(crate) fn list(&self) -> Vec<(String, PeerState)> {
        self.known.iter().map(|known| (known.key().to_string(), known.state)).collect()
    }

    pub(crate) fn get(&self, peer: &Peer) -> PeerState {
        self.known(peer).map(|known| known.state).unwrap_or_default()
    }

    pub(crate) fn is_gone(&self, peer: &Peer) -> bool {
        self.get(peer) == PeerState::Gone
    }

    /// Whether a new call should rather go to another owner.
    pub(crate) fn avoids(&self, peer: &Peer) -> bool {
        let Some(known) = self.known(peer) else { return false };
        let is_recent = |at: Instant| at.elapsed() < DOUBT_ANSWER_AGE_MAX;
        known.state == PeerState::Gone || !known.answered.is_some_and(is_recent)
    }

    /// After how long an attempt that begins now is hedged, because `peer` is in doubt.
    pub(crate) fn doubt_after(&self, peer: &Peer) -> Option<Duration> {
        (self.known(peer)?.state == PeerState::Doubtful).then_some(DOUBT_HEDGE_AFTER)
    }

    /// Notes that `peer` answered.
    pub(crate) fn on_answer(&self, peer: &Peer) {
        if self.len.load(Ordering::Relaxed) > 0
            && let Some(mut known) = self.known.get_mut(peer.address())
        {
            known.answered = Some(Instant::now());
        }
    }

    /// Resolves when the state of `peer` may have been set, once for each time from now on.
    pub(crate) fn changed(&self, peer: &Peer) -> Notified<'_> {
        self.notify(peer).notified()
    }

    fn known(&self, peer: &Peer) -> Option<Known> {
        if self.len.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.known.get(peer.address()).map(|known| *known)
    }

    fn notify(&self, peer: &Peer) -> &Notify {
        let hash = XxHash3_64::oneshot(peer.address().as_bytes());
        &self.changed[hash as usize % self.changed.len()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::new(address).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_doubtful_peer_is_avoided_unless_it_answered_lately() {
        let (states, peer) = (PeerStates::default(), peer("a:1"));
        assert!(!states.avoids(&peer));
        states.on_answer(&peer);
        states.set(&peer, PeerState::Doubtful);
        assert!(states.avoids(&peer), "answers from before the doubt prove nothing");
        states.on_answer(&peer);
        assert!(!states.avoids(&peer));
        tokio::time::advance(DOUBT_ANSWER_AGE_MAX).await;
        assert!(states.avoids(&peer));
        states.set(&peer, PeerState::Good);
        assert!(!states.avoids(&peer));
        assert_eq!(states.len.load(Ordering::Relaxed), 0);
    }

    #[tokio::test]
    async fn who_is_gone_is_avoided_whatever_it_answers() {
        let (states, peer) = (PeerStates::default(), peer("a:1"));
        states.set(&peer, PeerState::Gone);
        states.on_answer(&peer);
        assert!(states.avoids(&peer));
        assert_eq!(states.get(&peer), PeerState::Gone);
    }

    #[tokio::test]
    async fn a_change_wakes_whoever_began_to_wait_before_it() {
        let (states, peer) = (PeerStates::default(), peer("a:1"));
        let changed = states.changed(&peer);
        states.set(&peer, PeerState::Doubtful);
        changed.await;
    }

    #[test]
    fn peers_are_bounded() {
        let states = PeerStates::default();
        for host in 0..=PEERS_MAX {
            states.set(&peer(&format!("h{host}:1")), PeerState::Gone);
        }
        assert!(states.known.len() <= PEERS_MAX);
    }
}
