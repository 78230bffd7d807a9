//! The driver, its network in memory and its UDP transport, each by what an application
//! or a peer sees of them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod discovery;
#[cfg(unix)]
mod examples;
mod limits;
mod network;
mod queues;
mod support;
