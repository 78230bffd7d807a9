//! Application-layer sharding for services.
//!
//! ```
//! use std::time::Duration;
//! use ringpop::{Ringpop, forward::Routes};
//!
//! #[tokio::main(flavor = "current_thread")]
//! async fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let member = Ringpop::builder("rides")
//!         .listen("127.0.0.1:0".parse()?)
//!         .routes(Routes::new().field("/rides.v1.Drivers/Locate", &[1]).unary().idempotent())
//!         .bind()
//!         .await?;
//!     member.serve(tonic::service::Routes::default())?; // the services of the application
//!     member.bootstrap().await?;
//!
//!     let owner = member.lookup(b"driver-42").expect("a ready member has a ring");
//!     assert!(owner.is_local()); // as a cluster of one, it owns every key
//!     member.shutdown(Duration::from_secs(5)).await;
//!     Ok(())
//! }
//! ```
//!
//! Workers of one service find each other by gossip, agree on who is alive,
//! share the keys among themselves by consistent hashing, and any of them
//! answers any request: it handles the request when it owns its key, and
//! forwards it to the owner otherwise, or to the next owner when that one is
//! gone.
//!
//! [`Ringpop`] is one member. It puts together the parts, each of which is a
//! crate that serves alone: the membership machine (`swim-core`), the ring
//! (`hashring`), the forwarder (`ringpop-forward`), and discovery
//! (`ringpop-discovery`). `docs/glossary.md` of the project explains the terms.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod admin;
mod agreement;
mod bind_error;
mod bootstrap;
mod builder;
#[cfg(feature = "tls")]
mod certificate;
mod client;
mod clock;
mod command_error;
mod counters;
mod event;
mod front_end;
#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::nursery,
    reason = "generated"
)]
mod generated {
    include!("generated/ringpop.v1.rs");
}
mod gossip;
pub mod hand_off;
#[cfg(feature = "health")]
mod health;
mod health_check;
mod hooks;
mod hot_keys;
#[cfg(feature = "http-admin")]
pub mod http_admin;
mod identity;
mod inner;
mod labels;
mod latency;
mod lease;
mod lifecycle;
pub mod limits;
mod listen;
mod log_control;
mod lookup;
mod member;
#[cfg(feature = "metrics")]
pub mod metrics;
mod move_event;
mod moving;
mod named_ring;
mod observing;
mod off_ring;
mod operator;
mod outermost;
mod own_address;
mod owned;
mod owner;
mod peer_clocks;
mod place;
mod placement;
mod planned;
mod problem;
mod problems;
mod propagation;
mod ring_client;
#[cfg(feature = "ring-list")]
mod ring_list;
mod ring_options;
mod ring_watch;
mod rolls;
mod routed;
mod security;
mod server;
mod shutdown;
mod slow_start;
mod state;
mod status_changes;
mod switches;
#[cfg(feature = "testing")]
pub mod testing;
mod timings;
mod view;
mod weight;

pub use admin::{AdminAccess, AdminAccessError};
pub use bind_error::{AdvertiseError, BindError};
pub use bootstrap::{BootstrapError, Bootstrapped};
pub use builder::Builder;
pub use client::{ChannelError, DiscoveredChannel};
pub use command_error::{
    EvictError, HealError, LeaveRingError, ReapError, ReconfigureError, RejoinError, SetLabelsError,
};
pub use counters::Counters;
pub use event::{Event, Events};
pub use front_end::FrontEnd;
pub use health_check::{HealthCheck, HealthCheckError};
pub use hooks::{HookPoint, HooksError};
pub use identity::SharedIdentity;
pub use labels::OwnLabelError;
#[cfg(feature = "consul")]
pub use lease::ConsulLeases;
#[cfg(feature = "kubernetes")]
pub use lease::KubernetesLeases;
pub use lease::{
    Lease, LeaseError, LeaseSettings, LeaseSettingsError, LeaseStore, Leases, MemoryLeases, Session,
};
#[cfg(feature = "tracing-reload")]
pub use log_control::TracingReload;
pub use log_control::{LogControl, LogControlError};
pub use lookup::Lookup;
pub use member::Ringpop;
pub use move_event::{MoveEvent, MoveStep};
pub use moving::WhileMoving;
pub use named_ring::{NamedRing, RingEvent, RingEvents};
pub use off_ring::OffRing;
pub use operator::Healed;
pub use owned::Owned;
pub use owner::Owner;
pub use placement::{PlacementChoice, PlacementError};
pub use problem::Problem;
pub use ring_client::{
    RingClient, RingClientBuilder, RingClientError, RingClientFailure, RingClientStats,
};
#[cfg(feature = "ring-list")]
pub use ring_list::RingList;
pub use ring_options::{RingConditionError, RingOptions};
pub use server::ServeError;
pub use shutdown::ShutdownReport;
pub use slow_start::{SlowStart, SlowStartError};
pub use state::State;
pub use view::{
    MemberRing, MemberWalk, Moved, Moves, NamedRings, RingChange, Subring, View, ZoneOrder,
};

/// Client of the administration service of a running member.
pub mod admin_client {
    pub use crate::generated::admin_client::AdminClient;
    pub use crate::generated::setting::Value;
    pub use crate::generated::watch_events_response::Event;
    pub use crate::generated::{
        ChangeLabelsRequest, ChangeLabelsResponse, CheckAccessRequest, CheckAccessResponse,
        ChecksumGroup, CompareChecksumsRequest, CompareChecksumsResponse, ControlGossipRequest,
        ControlGossipResponse, Counter, Destination, DrainRequest, DrainResponse, EvictRequest,
        EvictResponse, GetChecksumsRequest, GetChecksumsResponse, GetConfigRequest,
        GetConfigResponse, GetDestinationsRequest, GetDestinationsResponse, GetHotKeysRequest,
        GetHotKeysResponse, GetLogLevelRequest, GetLogLevelResponse, GetMembersRequest,
        GetMembersResponse, GetPropagationRequest, GetPropagationResponse, GetRingRequest,
        GetRingResponse, GetStatusRequest, GetStatusResponse, GetSummaryRequest, GossipAction,
        HealRequest, HealResponse, HotKey, IdentityShared, LatencyBucket, LeaveRequest,
        LeaveResponse, LookupRequest, LookupResponse, MemberChanged, MemberStatus, MembershipEvent,
        OffRing, OffRingChanged, ProblemChanged, ReapRequest, ReapResponse, ReconfigureRequest,
        ReconfigureResponse, RejoinRequest, RejoinResponse, RingChanged, RingShare,
        SetLogLevelRequest, SetLogLevelResponse, Setting, Suspicion, UndoEvictRequest,
        UndoEvictResponse, UndrainRequest, UndrainResponse, Unreached, WatchEventsRequest,
        WatchEventsResponse,
    };
    pub use swim_core::wire::pb::{Label, Status};
}

/// The HTTP library whose types stand in signatures here, such as the requests of a layer.
pub use http;

/// The ring by itself: [`View::ring`] is one of its snapshots.
pub use hashring;
pub use ringpop_discovery as discovery;
pub use ringpop_forward as forward;
pub use swim_core as swim;
/// The address of a member: where a value of its own tells of one, as in events, problems and
/// errors. Questions take `&str` and answers lend it, as [`Owner`] does, because that costs
/// nothing; sockets listen at a `SocketAddr`. `Address::new` and `as_str` lead to and fro.
pub use swim_core::Address;
pub use swim_driver::{NoRandomness, Stopped};
/// The gRPC library whose types stand in signatures here, such as `tonic::service::Routes`.
pub use tonic;

/// The examples of the readme, compiled as tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
pub struct ReadmeExamples;
