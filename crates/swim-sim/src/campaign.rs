//! Campaigns: a seed decides a cluster and everything that goes wrong in it;
//! all properties are checked meanwhile; then all faults end, and the cluster
//! must come to one view.

mod fault;
mod plan;
mod run;
mod shrink;

pub use fault::{Fault, Faults};
pub use plan::{Plan, Step};
pub use run::{Report, run, run_traced};
pub use shrink::shrink;
