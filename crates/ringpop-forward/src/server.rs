//! Calls in this process: let in, handled here or forwarded, and answered.

pub(crate) mod answer;
pub(crate) mod call;
pub(crate) mod deadline;
pub(crate) mod drain;
pub(crate) mod explain;
pub(crate) mod layer;
pub(crate) mod local;
pub(crate) mod ownership;

#[cfg(test)]
#[path = "server/drain/tests.rs"]
mod drain_tests;
