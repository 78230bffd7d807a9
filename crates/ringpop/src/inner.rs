//! The state that all clones of a member share.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringpop_forward::{Forwarder, ForwarderControl, ServerLimits};
use swim_core::{Address, CommandError, Isolation, Stats};
use swim_driver::{Handle, Hosts};
use tokio::sync::{broadcast, watch};
use tokio::time::Instant as Clock;

use crate::admin::state::AdminState;
use crate::command_error::SetLabelsError;
use crate::event::{Event, Listeners};
use crate::gossip::GossipThread;
use crate::health_check::HealthCheckStats;
use crate::hooks::Hooks;
use crate::labels::OwnLabels;
use crate::lease::LeaseStats;
use crate::lifecycle::Lifecycle;
use crate::planned::Planner;
use crate::problems::Problems;
use crate::ring_watch::watchers::RingWatchers;
use crate::security::Security;
use crate::server::phase::Server;
use crate::shutdown::begun::Shutdown;
use crate::status_changes::StatusChanges;
use crate::view::Views;

/// How many members a bootstrap waits for, this one included, and for how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Expected {
    pub(crate) members: usize,
    pub(crate) within: Duration,
}

/// What a member counts of its own standing.
#[derive(Debug, Default)]
pub(crate) struct OwnStats {
    pub(crate) health_checks: HealthCheckStats,
    pub(crate) leases: Arc<LeaseStats>,
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) app: String,
    pub(crate) address: Address,
    pub(crate) alone_after: Option<Duration>,
    /// No discovery was given: a cluster of one is no problem.
    pub(crate) is_meant_to_be_alone: bool,
    pub(crate) lame_duck: Duration,
    pub(crate) server_limits: ServerLimits,
    /// Whether callers may speak HTTP/1.
    pub(crate) http1: bool,
    /// Tells this process from others.
    pub(crate) instance: u64,
    /// Whether another process may have the advertised address.
    pub(crate) checks_address: bool,
    pub(crate) labels: tokio::sync::Mutex<OwnLabels>,
    /// Paths of the routes; `None` when there is none.
    pub(crate) routed: Option<Vec<String>>,
    pub(crate) problems: Arc<Problems>,
    pub(crate) shutdown: Mutex<Option<Shutdown>>,
    pub(crate) views: Arc<Views>,
    pub(crate) lifecycle: Arc<Lifecycle>,
    pub(crate) listeners: Listeners,
    /// Keeps the streams of listeners open until the member has stopped.
    pub(crate) events: Mutex<Option<broadcast::Sender<Event>>>,
    pub(crate) handle: Handle,
    /// The thread of the membership protocol, when it has one of its own.
    pub(crate) gossip_thread: Option<GossipThread>,
    pub(crate) isolation: watch::Receiver<Isolation>,
    pub(crate) forwarder: Forwarder,
    /// Nobody outside of the member drains it.
    pub(crate) forwarder_control: ForwarderControl,
    pub(crate) hosts: Hosts,
    /// The members that a bootstrap waits for.
    pub(crate) expected: Option<Expected>,
    pub(crate) security: Security,
    pub(crate) server: Mutex<Server>,
    pub(crate) admin: AdminState,
    pub(crate) status_changes: Arc<StatusChanges>,
    pub(crate) hooks: Hooks,
    pub(crate) own_stats: OwnStats,
    pub(crate) planner: Arc<Planner>,
    pub(crate) start: Clock,
    /// What the machine had counted when it ended.
    pub(crate) last_stats: Arc<Mutex<Stats>>,
    pub(crate) ring_watchers: RingWatchers,
}

impl Inner {
    /// Changes what this member says of itself, all or nothing.
    pub(crate) async fn update_labels(
        &self,
        change: impl FnOnce(&mut OwnLabels) -> Result<(), SetLabelsError>,
    ) -> Result<(), SetLabelsError> {
        // Held while the machine takes them: concurrent changes follow one another.
        let mut own = self.labels.lock().await;
        let mut changed = own.clone();
        change(&mut changed)?;
        let labels = changed.labels(&self.address).map_err(CommandError::Labels)?;
        self.handle.with(move |node, now| node.set_labels(now, &labels)).await??;
        *own = changed;
        Ok(())
    }
}
