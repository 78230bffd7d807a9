//! How a member is set up.

mod bind;
mod forwarding;
mod hand_off;
mod hot_keys;
mod membership;
mod placing;
mod rolls;
mod serving;

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use ringpop_discovery::Discovery;
use ringpop_forward::{
    Divergence, Explain, FIRST_MESSAGE_TIMEOUT, H2Config, HOPS_MAX_DEFAULT, IN_FLIGHT, MissingKey,
    Observer, Policy, REPLAY_BYTES, REPLAY_MEMORY_BYTES, Routes, ServerLimits, TIMEOUT_MAX_DEFAULT,
};
use swim_core::Config;

use crate::admin::access::AdminAccess;
use crate::hooks::Hooks;
use crate::inner::Expected;
use crate::limits::{ALONE_AFTER, HAND_OFF_LIMIT, LAME_DUCK};
use crate::listen::Listen;
use crate::log_control::LogControl;
use crate::member::off_ring::OffRingSettings;
use crate::moving::WhileMoving;
use crate::placement::PlacementChoice;
use crate::planned::HandOffSettings;
use crate::security::Security;
use crate::view::{Definition, ZoneOrder};

/// Sets up a member; made by [`Ringpop::builder`].
///
/// [`Ringpop::builder`]: crate::Ringpop::builder
#[doc = include_str!("../docs/builder.md")]
#[must_use = "a builder does nothing until `bind` is called"]
pub struct Builder {
    app: String,
    listen: Listen,
    gossip_listen: Option<SocketAddr>,
    advertise: Option<String>,
    identity: Option<String>,
    labels: Vec<(String, String)>,
    weight: Option<u32>,
    zone: Option<String>,
    alone_after: Option<Duration>,
    lame_duck: Duration,
    discovery: Option<Arc<dyn Discovery>>,
    expected: Option<Expected>,
    config: Config,
    placement: PlacementChoice,
    off_ring: OffRingSettings,
    rings: Vec<Definition>,
    zone_order: ZoneOrder,
    hooks: Hooks,
    routes: Routes,
    /// Routes on further rings, by their names.
    ring_routes: Vec<(String, Routes)>,
    policy: Policy,
    forward_connections: H2Config,
    server_limits: ServerLimits,
    http1: bool,
    missing_key: MissingKey,
    max_hops: u8,
    replay_limit: usize,
    replay_memory: usize,
    first_message_timeout: Duration,
    max_in_flight: usize,
    max_timeout: Duration,
    explain: Explain,
    divergence: Divergence,
    forward_observer: Option<Box<dyn Observer>>,
    security: Security,
    admin_access: AdminAccess,
    log_control: Option<Box<dyn LogControl>>,
    /// The pace of beacons in the whole cluster.
    pub(crate) beacons: Option<Duration>,
    /// One call in so many has its key counted.
    hot_keys: Option<NonZeroU32>,
    hand_off: HandOffSettings,
    #[cfg(feature = "testing")]
    clock_skew_us: i64,
    #[cfg(feature = "metrics")]
    metrics: bool,
}

impl Builder {
    pub(crate) fn new(app: String) -> Self {
        Self {
            app,
            listen: Listen::default(),
            gossip_listen: None,
            advertise: None,
            identity: None,
            labels: Vec::new(),
            weight: None,
            zone: None,
            alone_after: Some(ALONE_AFTER),
            lame_duck: LAME_DUCK,
            discovery: None,
            expected: None,
            config: Config::lan(),
            placement: PlacementChoice::default(),
            off_ring: OffRingSettings::default(),
            rings: Vec::new(),
            zone_order: ZoneOrder::default(),
            hooks: Hooks::default(),
            routes: Routes::new(),
            ring_routes: Vec::new(),
            policy: Policy::default(),
            forward_connections: H2Config::between_members(),
            server_limits: ServerLimits::default(),
            http1: false,
            missing_key: MissingKey::default(),
            max_hops: HOPS_MAX_DEFAULT,
            replay_limit: REPLAY_BYTES,
            replay_memory: REPLAY_MEMORY_BYTES,
            first_message_timeout: FIRST_MESSAGE_TIMEOUT,
            max_in_flight: IN_FLIGHT,
            max_timeout: TIMEOUT_MAX_DEFAULT,
            explain: Explain::default(),
            divergence: Divergence::default(),
            forward_observer: None,
            security: Security::default(),
            admin_access: AdminAccess::default(),
            log_control: None,
            beacons: None,
            hot_keys: None,
            hand_off: HandOffSettings {
                hook: None,
                limit: HAND_OFF_LIMIT,
                roll_wait: None,
                while_moving: WhileMoving::Serve,
            },
            #[cfg(feature = "testing")]
            clock_skew_us: 0,
            #[cfg(feature = "metrics")]
            metrics: false,
        }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("app", &self.app)
            .field("listen", &self.listen)
            .field("advertise", &self.advertise)
            .field("identity", &self.identity)
            .field("labels", &self.labels)
            .field("discovery", &self.discovery)
            .finish_non_exhaustive()
    }
}
