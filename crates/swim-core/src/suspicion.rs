//! How long a suspect has to refute: Lifeguard's dynamic suspicion timeout
//! (Dadgar, Phillips, Currey, section IV.B).
//!
//! A suspicion starts with a long timeout, because the accuser may be the unhealthy
//! one. Each further accuser shortens it, on a logarithmic scale.

use std::time::Duration;

use crate::address::Address;
use crate::time::Instant;

/// The suspicion of one member at one incarnation.
#[derive(Clone, Debug)]
pub(crate) struct Suspicion {
    pub(crate) started: Instant,
    /// The members that raised or confirmed it, each once.
    pub(crate) accusers: Vec<Address>,
}

/// The bounds of a suspicion timeout in a cluster of some size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
    /// Confirmations that bring the timeout down to `min`.
    pub(crate) confirmations: usize,
}

impl Suspicion {
    pub(crate) fn new(started: Instant, accuser: Address) -> Self {
        Self { started, accusers: vec![accuser] }
    }

    /// Counts a confirmation; `false` when it is none, because its source was
    /// counted already or enough were.
    pub(crate) fn confirm(&mut self, accuser: &Address, confirmations: usize) -> bool {
        if self.accusers.len() > confirmations || self.accusers.contains(accuser) {
            return false;
        }
        self.accusers.push(accuser.clone());
        true
    }

    /// When the suspect becomes faulty, unless more accusers confirm it.
    pub(crate) fn deadline(&self, bounds: Bounds) -> Instant {
        self.started + timeout(bounds, self.accusers.len() - 1)
    }
}

/// `max(min, max - (max - min) * ln(c + 1) / ln(k + 1))` after `c` of `k`
/// confirmations.
pub(crate) fn timeout(bounds: Bounds, confirmed: usize) -> Duration {
    let Bounds { min, max, confirmations } = bounds;
    if confirmed >= confirmations {
        return min;
    }
    let done = ((confirmed + 1) as f64).ln() / ((confirmations + 1) as f64).ln();
    max.saturating_sub(max.saturating_sub(min).mul_f64(done)).max(min)
}

/// The bounds among `members` reachable members, this one and the suspect
/// included: both grow with `log10` of the cluster when `scaled` (memberlist),
/// and with too few members to confirm the timeout is `min` from the start.
pub(crate) fn bounds(
    base: Duration,
    scaled: bool,
    max_factor: u32,
    confirmations: usize,
    members: usize,
) -> Bounds {
    let scale = if scaled { (members.max(1) as f64).log10().max(1.0) } else { 1.0 };
    let min = base.mul_f64(scale);
    let max = min.saturating_mul(max_factor);
    // Neither the suspect nor the first accuser confirms.
    let enough = members >= confirmations + 2;
    Bounds { min, max, confirmations: if enough { confirmations } else { 0 } }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(duration: Duration) -> f64 {
        (duration.as_secs_f64() * 100.0).round() / 100.0
    }

    /// The setting of the paper's experiments: alpha 5, beta 6, K 3, N 128,
    /// one second.
    #[test]
    fn the_timeout_decays_as_published() {
        let bounds = bounds(Duration::from_secs(5), true, 6, 3, 128);
        let decay: Vec<f64> = (0..=3).map(|c| seconds(timeout(bounds, c))).collect();
        assert_eq!(decay, [63.22, 36.88, 21.47, 10.54]);
    }

    /// The table of memberlist's LAN settings: mult 4, max mult 6.
    #[test]
    fn the_bounds_grow_with_the_logarithm() {
        for (members, min, max) in
            [(3, 4.0, 24.0), (10, 4.0, 24.0), (100, 8.0, 48.0), (1000, 12.0, 72.0)]
        {
            let bounds = bounds(Duration::from_secs(4), true, 6, 2, members);
            assert_eq!((seconds(bounds.min), seconds(bounds.max)), (min, max));
        }
    }

    #[test]
    fn too_few_members_to_confirm_start_at_the_minimum() {
        let few = bounds(Duration::from_secs(4), true, 6, 3, 4);
        assert_eq!(timeout(few, 0), Duration::from_secs(4));
        let enough = bounds(Duration::from_secs(4), true, 6, 3, 5);
        assert_eq!(timeout(enough, 0), Duration::from_secs(24));
    }

    #[test]
    fn each_member_confirms_once() {
        let address = |i: u32| Address::new(&format!("a:{i}")).unwrap();
        let mut suspicion = Suspicion::new(Instant::ZERO, address(0));
        assert!(!suspicion.confirm(&address(0), 3));
        assert!(suspicion.confirm(&address(1), 3));
        assert!(!suspicion.confirm(&address(1), 3));
        assert!(suspicion.confirm(&address(2), 3));
        assert!(suspicion.confirm(&address(3), 3));
        assert!(!suspicion.confirm(&address(4), 3), "three were wanted");
    }
}
