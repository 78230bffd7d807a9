//! The facade as applications use it: members in one process, over real sockets.

#![allow(clippy::unwrap_used, unreachable_pub, reason = "a test that cannot go on panics")]

#[macro_use]
mod service;

mod addresses;
mod admin;
mod after_stop;
mod blocked_runtime;
mod bootstrap;
#[cfg(feature = "testing")]
mod call_options;
#[cfg(feature = "tls")]
mod certificates;
mod cluster;
mod convergence;
#[cfg(all(feature = "metrics", feature = "tls"))]
mod counters;
mod discovery;
mod echo;
#[cfg(all(feature = "testing", unix))]
mod front_ends;
#[cfg(feature = "testing")]
mod hand_off;
#[cfg(feature = "health")]
mod health;
#[cfg(feature = "http-admin")]
mod http_admin;
mod identities;
mod layers;
mod mixed_settings;
#[cfg(feature = "testing")]
mod off_ring;
mod placements;
mod ring_client;
#[cfg(feature = "ring-list")]
mod ring_list;
#[cfg(feature = "testing")]
mod rings;
mod rolls;
#[cfg(feature = "testing")]
#[path = "../../../swim-sim/tests/it/runs_all.rs"]
mod runs_all;
mod shutdown;
mod silent;
#[cfg(feature = "tls")]
mod streams;
#[cfg(feature = "testing")]
mod testing;
#[cfg(feature = "tls")]
mod tls;
mod undialable;
#[cfg(feature = "testing")]
mod version_rolls;
