//! The settings of flap damping.

use std::time::Duration;

use super::bounds::{ConfigError, at_least, within};
use crate::limits::{HELPERS_MAX, SCORE_MAX};

/// Damping of members that fail and come back again and again: they are kept
/// off the ring for a while. Otherwise keys would move with each of their failures.
///
/// Each member keeps a *score* for each other one. It rises by `penalty` with
/// each failure that has at least `quorum` distinct accusers, be it at once or in
/// suspicions that were refuted one after the other, and halves in each
/// `half_life`. A member whose score reaches `suppress_limit`
/// gets a vote, until the score falls to `reuse_limit` or `duration_max` is
/// over. Votes are gossiped as a label of the voter, and a member
/// for which at least `quorum` reachable members vote is *damped*: it
/// stays a member and is probed, but does not belong on the ring. At most a
/// tenth of the reachable members is damped: a cluster of fewer than ten damps
/// none.
///
/// All members of a cluster must have the same `quorum`.
///
/// ```
/// use swim_core::{Config, Damping};
///
/// let damping = Damping { quorum: 5, ..Damping::default() };
/// let config = Config::builder().damping(Some(damping)).build()?;
/// assert_eq!(config.damping(), Some(damping));
/// # Ok::<(), swim_core::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Damping {
    /// Points that one failure adds to a score. 1 to `score_max`. Default 1,500: in
    /// ringpop-node a failure and a return cost three updates of 500.
    pub penalty: u32,
    /// The score from which on a member gets a vote. At least `reuse_limit`
    /// plus 1, at most `score_max`. Default 5,000 as in ringpop-node: four
    /// failures in quick succession.
    pub suppress_limit: u32,
    /// The score at which the vote is withdrawn. At least 1. Default 2,500 as
    /// in ringpop-node.
    pub reuse_limit: u32,
    /// The largest score, which bounds how long it takes to decay. At most
    /// 1,000,000. Default 10,000 as in ringpop-node.
    pub score_max: u32,
    /// The time in which a score halves. At least 1 s. Default 5 minutes as in
    /// ringpop-node.
    pub half_life: Duration,
    /// Longest time that a vote lasts, whatever the score. After it the score is
    /// reset. At least 1 s. Default 1 hour as in ringpop-node.
    pub duration_max: Duration,
    /// Distinct accusers that make a failure count, and votes that damp a member.
    /// 2 to 16. Default 3 as in ringpop-node.
    pub quorum: usize,
}

impl Damping {
    /// The defaults, usable in constants.
    pub const DEFAULT: Self = Self {
        penalty: 1_500,
        suppress_limit: 5_000,
        reuse_limit: 2_500,
        score_max: 10_000,
        half_life: Duration::from_secs(5 * 60),
        duration_max: Duration::from_secs(60 * 60),
        quorum: 3,
    };

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let second = Duration::from_secs(1);
        let [penalty, suppress, reuse, max] =
            [self.penalty, self.suppress_limit, self.reuse_limit, self.score_max]
                .map(|score| score as usize);
        within("damping.score_max", max, 2, SCORE_MAX as usize)?;
        within("damping.penalty", penalty, 1, max)?;
        within("damping.reuse_limit", reuse, 1, max - 1)?;
        within("damping.suppress_limit", suppress, reuse + 1, max)?;
        at_least("damping.half_life", self.half_life, second)?;
        at_least("damping.duration_max", self.duration_max, second)?;
        within("damping.quorum", self.quorum, 2, HELPERS_MAX)
    }
}

impl Default for Damping {
    fn default() -> Self {
        Self::DEFAULT
    }
}
