//! Leases from stores that others wrote, as they are published: Consul, and the machinery of the
//! API server of Kubernetes.
//!
//! A program that is not installed skips its tests, which is said at the beginning of a line, and
//! so do tests that take longer than some seconds. `scenarios` has what both stores must do.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "../../../ringpop-discovery/tests/real/api_server.rs"]
mod api_server;
mod consul;
mod holder;
mod kubernetes;
#[path = "../../../swim-sim/tests/it/runs_all.rs"]
mod runs_all;
mod scenarios;
#[path = "../../../ringpop-discovery/tests/real/support.rs"]
mod support;
