//! Deliberate bugs, one of which may be switched on at run time.
//!
//! They exist for one purpose: the tests of the simulator show that each of
//! its checkers finds the bugs that it is there for. Without the feature `mutations`,
//! which nothing but those tests asks for, `active` is `false` at compile
//! time and no trace of them is left.

#[cfg(feature = "mutations")]
use std::cell::Cell;

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "mutations"), allow(dead_code, reason = "nothing is switched on"))]
pub enum Mutation {
    /// At equal incarnation an alive change wins over any other.
    AliveWins,
    /// A member does not refute that it is suspect or faulty.
    NoRefutation,
    /// A member applies changes about itself.
    BelievesItsEnd,
    /// The incarnation of a refutation is the wall clock alone, as in Ringpop.
    WallClockOnly,
    /// A suspicion never comes to its end.
    EndlessSuspicion,
    /// A suspicion ends the moment it begins.
    HastySuspicion,
    /// A full sync applies every alive change, however old.
    ResurrectingSync,
    /// A change is piggybacked for ever.
    LeakingPiggyback,
    /// A page of the member list holds the whole list.
    UnboundedPage,
    /// The end of a suspicion is not reported.
    LostEvent,
    /// A change by a full sync is reported twice.
    RepeatedEvent,
    /// A member answers a suspicion of another in its name.
    RefutesForOthers,
    /// The checksum leaves incarnations out.
    BlindChecksum,
    /// A healing suspects at one incarnation with the labels of another.
    MixedLabels,
}

#[cfg(feature = "mutations")]
thread_local! {
    static ACTIVE: Cell<Option<Mutation>> = const { Cell::new(None) };
}

/// Switches a bug on for all machines of this thread, or all bugs off.
#[cfg(feature = "mutations")]
pub fn activate(mutation: Option<Mutation>) {
    ACTIVE.set(mutation);
}

/// Whether a bug is switched on.
#[cfg(feature = "mutations")]
pub(crate) fn active(mutation: Mutation) -> bool {
    ACTIVE.get() == Some(mutation)
}

#[cfg(not(feature = "mutations"))]
pub(crate) const fn active(_: Mutation) -> bool {
    false
}
