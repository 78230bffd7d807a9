//! The forwarder between real servers on loopback.

#![allow(clippy::unwrap_used, reason = "a helper that cannot go on fails its test")]

#[path = "../common/mod.rs"]
mod common;

mod bad_input;
mod c_core;
mod call_options;
mod call_shapes;
mod caller_faults;
mod callers_give_up;
mod channel;
mod client_transport;
mod deadlines;
mod destinations;
#[cfg(feature = "direct")]
mod direct;
mod drain;
mod failover;
mod fairness;
mod grpc_web;
mod header_lists;
mod hedging;
mod held_requests;
mod hops;
mod hostile_callers;
mod http_errors;
mod keepalive;
mod limits;
mod memory;
mod middleware;
mod moved_keys;
mod observe;
mod proxy_faults;
mod queued;
mod readiness;
mod refusals;
mod replicate;
mod server_answers;
mod suspect_owners;
mod tasks_end;
#[cfg(feature = "tls")]
mod tls;
mod unreachable;
mod unread_forwards;
mod whole_responses;
