//! What the administration service of a member counts and bounds.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ringpop_forward::LogLimit;
use swim_core::Address;
use tokio::sync::Semaphore;

use super::access::AdminAccess;
use super::comparing::Comparing;
use crate::hot_keys::HotKeys;
use crate::latency::Latency;
use crate::limits::{ADMIN_LOG_INTERVAL, ADMIN_READERS_MAX};
use crate::log_control::LogControl;
use crate::propagation::Propagation;

/// What the administration service of a member counts and bounds.
#[derive(Debug)]
pub(crate) struct AdminState {
    /// The callers that may give commands on the port of the member.
    pub(crate) access: AdminAccess,
    /// Places for readers of events.
    pub(super) readers: Arc<Semaphore>,
    pub(super) commands: AtomicU64,
    pub(super) commands_refused: AtomicU64,
    pub(super) readers_refused: AtomicU64,
    /// Of the lines about refused commands.
    refusal_log: Mutex<LogLimit>,
    /// How the application has its log controlled.
    pub(super) log_control: Option<Box<dyn LogControl>>,
    pub(crate) comparing: Comparing,
    /// How long answered attempts at owners took.
    pub(crate) latency: Arc<Latency>,
    /// The keys of most calls, where they are counted.
    pub(crate) hot_keys: Option<Arc<HotKeys>>,
    pub(crate) propagation: Arc<Propagation>,
    /// The pace of beacons in the whole cluster.
    pub(crate) beacons: Option<Duration>,
}

impl AdminState {
    pub(crate) fn new(
        access: AdminAccess,
        log_control: Option<Box<dyn LogControl>>,
        comparing: Comparing,
        beacons: Option<Duration>,
        hot_keys: Option<Arc<HotKeys>>,
    ) -> Self {
        Self {
            access,
            readers: Arc::new(Semaphore::new(ADMIN_READERS_MAX)),
            commands: AtomicU64::new(0),
            commands_refused: AtomicU64::new(0),
            readers_refused: AtomicU64::new(0),
            refusal_log: Mutex::new(LogLimit::new(ADMIN_LOG_INTERVAL)),
            log_control,
            comparing,
            latency: Arc::default(),
            hot_keys,
            propagation: Arc::default(),
            beacons,
        }
    }

    /// Tells the log of a refused command, at most once in an interval: callers without access must
    /// not be able to fill the log.
    pub(super) fn tell_refusal(&self, member: &Address, command: &str, peer: Option<SocketAddr>) {
        let mut limit = self.refusal_log.lock().unwrap_or_else(PoisonError::into_inner);
        if limit.pass().is_none() {
            return;
        }
        drop(limit);
        tracing::warn!(
            %member,
            command,
            ?peer,
            "a command was refused: the caller is not authorised"
        );
    }

    /// The counters by name.
    pub(crate) fn counters(&self) -> [(&'static str, u64); 3] {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        [
            ("commands", read(&self.commands)),
            ("commands_refused", read(&self.commands_refused)),
            ("readers_refused", read(&self.readers_refused)),
        ]
    }
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
