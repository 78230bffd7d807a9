//! Figures of other implementations. They were recorded beforehand and are printed for comparison;
//! no bar depends on them.
//!
//! Machine: two shared virtual cores, Linux 6.18, all processes on loopback. ringpop-go with its
//! defaults (suspicion 5 s) in processes of its own, memberlist with its LAN settings in one
//! process. A cluster has converged when every process lists all others as alive, and in ringpop-go
//! with one checksum.

/// From the start of five processes until they have one view, in milliseconds.
pub(crate) const GO_CONVERGED_MS: f64 = 436.0;
/// The same for memberlist: all see all.
pub(crate) const MEMBERLIST_CONVERGED_MS: f64 = 210.0;

/// From `kill -9` until all others have the process as faulty, in milliseconds.
pub(crate) const GO_FAULTY_MS: f64 = 5_468.0;
/// The same for memberlist: dead everywhere.
pub(crate) const MEMBERLIST_FAULTY_MS: f64 = 5_990.0;

/// From the end of a partition into two and two until there is one view again, in milliseconds.
pub(crate) const GO_HEALED_MS: f64 = 10_300.0;

/// Resident memory of one of five processes, in MiB.
pub(crate) const GO_MEMORY_MIB: f64 = 14.0;

/// Processor time of an idle member of five, in per cent of a core.
pub(crate) const GO_IDLE_PERCENT: f64 = 0.4;
/// The same for one of fifty members of memberlist in one process.
pub(crate) const MEMBERLIST_IDLE_PERCENT: f64 = 0.05;

/// How the source of such a figure is printed.
pub(crate) const GO: &str = "ringpop-go (recorded)";
/// How the source of such a figure is printed.
pub(crate) const MEMBERLIST: &str = "memberlist (recorded)";
