//! Feature `hashring`: a client's selection of backends as the resolver of a forwarder.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use dashmap::DashMap;
use hashring::{Backend, BackendHealth, Node, Outcome, Picker, Scheme, Selector, Xxh3};
use tokio::time::Instant;
use twox_hash::XxHash3_64;

use crate::resolver::{Owner, Owners, Peer, Resolver};
use crate::retry::policy::{AttemptOutcome, Evidence};

/// Asks a [`Selector`] for the owners of a key, and tells it how each of them did.
///
/// Backends are what discovery told the selector, minus those that failed lately: the local health
/// of the selector learns of every attempt, so a backend that fails is passed over after a few
/// calls and asked again later. None of them is this process.
///
/// Only what is wrong with a backend counts, by the table of [`AttemptOutcome::evidence`]. Where it
/// may be the key that fails, such as UNAVAILABLE by a handler, a failure counts only if the one
/// before it at this backend was of another key. And only a part of the backends may be passed over
/// at the same time; see [`HealthConfig`](hashring::HealthConfig::with_max_quarantined_percent).
///
/// ```
/// use std::sync::Arc;
/// use std::time::Instant;
/// use hashring::{BackendRecord, Selector};
/// use ringpop_forward::{Forwarder, Routes, SelectorResolver};
///
/// let selector = Arc::new(Selector::builder().build(Instant::now())?);
/// let backends = ["10.0.0.1:7100", "10.0.0.2:7100"];
/// selector.replace_backends(backends.map(|address| BackendRecord::new(address, address)))?;
/// let channel = Forwarder::builder(SelectorResolver::new(Arc::clone(&selector)))
///     .routes(Routes::new().field("/kv.v1.Kv/Get", &[1]).unary().idempotent())
///     .build()?
///     .channel();
/// // Later, when discovery says something new: selector.replace_backends(..)
/// # let _ = channel;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SelectorResolver<S = Xxh3> {
    selector: Arc<Selector<S>>,
    /// Pickers that no thread uses at the moment. There are never more than lookups at one time.
    pickers: Mutex<Vec<Lookup<S>>>,
    /// Backends by id.
    known: DashMap<Box<str>, Known>,
}

/// What one lookup needs, kept for the next.
struct Lookup<S> {
    picker: Picker<S>,
    picked: Vec<Arc<Node<Backend>>>,
}

struct Known {
    peer: Arc<Peer>,
    health: BackendHealth,
    /// The hash of the key that failed here last; 0 when none did.
    failed_key: AtomicU64,
}

impl Known {
    /// Whether a failure of `key` is another one than the last.
    fn is_another_key(&self, key: &[u8]) -> bool {
        // Never 0, which no key has.
        let hash = XxHash3_64::oneshot(key) | 1;
        self.failed_key.swap(hash, Ordering::Relaxed) != hash
    }
}

impl<S: Scheme + Clone> SelectorResolver<S> {
    /// Resolves by `selector`, whose backends may be replaced at any time.
    #[must_use]
    pub fn new(selector: Arc<Selector<S>>) -> Self {
        Self { selector, pickers: Mutex::default(), known: DashMap::new() }
    }

    /// The selector.
    #[must_use]
    pub fn selector(&self) -> &Arc<Selector<S>> {
        &self.selector
    }

    fn peer_of(&self, node: &Node<Backend>) -> Option<Arc<Peer>> {
        let address = node.data().address();
        if let Some(known) = self.known.get(node.id())
            && known.peer.address() == address
        {
            return Some(Arc::clone(&known.peer));
        }
        let peer = match Peer::new(address) {
            Ok(peer) => Arc::new(peer.with_id(node.id())),
            Err(error) => {
                tracing::warn!(%error, "a backend that cannot be dialled is passed over");
                return None;
            }
        };
        let ring = self.selector.ring();
        // Backends come and go; the memory of them must not only grow.
        if self.known.len() > 2 * ring.len() {
            self.known.retain(|id, _| ring.node(id).is_some());
        }
        let known = Known {
            peer: Arc::clone(&peer),
            health: node.data().health().clone(),
            failed_key: AtomicU64::new(0),
        };
        self.known.insert(node.id().into(), known);
        Some(peer)
    }
}

impl<S: Scheme + Clone + Send + Sync + 'static> Resolver for SelectorResolver<S> {
    fn owners(&self, key: &[u8], n: usize, out: &mut Owners) {
        let lookup = self.pickers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let new = || Lookup { picker: self.selector.picker(), picked: Vec::new() };
        let mut lookup = lookup.unwrap_or_else(new);
        let now = Instant::now().into_std();
        // Without a backend there is no owner, which the forwarder reports in its own words.
        if lookup.picker.pick_n(key, n, now, &mut lookup.picked).is_ok() {
            let peers = lookup.picked.iter().filter_map(|node| self.peer_of(node));
            out.extend(peers.map(Owner::Remote));
        }
        lookup.picked.clear();
        self.pickers.lock().unwrap_or_else(PoisonError::into_inner).push(lookup);
    }

    fn member(&self, id: &str) -> Option<Owner> {
        let ring = self.selector.ring();
        ring.node(id).and_then(|node| self.peer_of(node)).map(Owner::Remote)
    }

    fn report_attempt(&self, key: &[u8], peer: &Peer, outcome: AttemptOutcome) {
        let Some(known) = peer.id().and_then(|id| self.known.get(id)) else { return };
        let outcome = match outcome.evidence() {
            Evidence::Serves => Outcome::Success,
            Evidence::Fails => Outcome::Failure,
            Evidence::FailsForKey if known.is_another_key(key) => Outcome::Failure,
            Evidence::FailsForKey | Evidence::Nothing => return,
        };
        known.health.report(outcome, Instant::now().into_std());
    }
}

impl<S> fmt::Debug for SelectorResolver<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SelectorResolver").field("known", &self.known.len()).finish_non_exhaustive()
    }
}
