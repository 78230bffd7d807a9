//! The members on the ring: the reachable ones without the damped ones.

use super::Node;
use crate::address::Address;
use crate::member::Member;

impl Node {
    /// The members that belong on the ring, in no particular order: those that
    /// are reachable and not damped.
    pub fn on_ring(&self) -> impl Iterator<Item = &Member> {
        let damped = |member: &&Member| self.is_damped(&member.address);
        self.members().filter(|member| member.is_reachable()).filter(move |m| !damped(m))
    }

    /// Whether a member is damped: kept off the ring for a while because it
    /// fails and comes back too often. See [`Damping`](crate::Damping).
    #[must_use]
    pub fn is_damped(&self, address: &Address) -> bool {
        self.core.ballots.is_damped(address)
    }

    /// The damped members, sorted. Members with equal checksums and equal
    /// settings damp the same ones.
    pub fn damped(&self) -> impl Iterator<Item = &Address> {
        self.core.ballots.damped().iter()
    }

    /// How often a member failed lately, as this member saw it: 0 for a
    /// steady one. See [`Damping`](crate::Damping).
    #[must_use]
    pub fn flap_score(&self, address: &Address) -> u32 {
        let Some(damping) = self.core.config.damping() else { return 0 };
        let slot = self.core.members.find(address);
        let score = slot.and_then(|slot| self.core.flaps.score(slot));
        score.map_or(0, |score| score.points(&damping, self.core.now).round() as u32)
    }
}
