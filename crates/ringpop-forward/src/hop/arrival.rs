//! What a member does with a request that another member sent to it: one table, without input or
//! output.
//!
//! Two members that see different rings disagree about owners for a moment. The receiver therefore
//! looks the key up by itself, and then handles the request, sends it on, or refuses it before a
//! handler saw it, so its sender can look again.

/// What a receiver does with forwarded requests when its view differs from that of the sender.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Divergence {
    /// Handle a request that cannot be forwarded on, whichever member owns its key. Always an
    /// answer, and at the worst the answer of a process that has no business with the key.
    /// ringpop-go does this.
    Accept,
    /// Handle a request that cannot be forwarded on if this process is one of the owners that the
    /// key's [retries](crate::RetryTarget) may come to, and refuse the rest.
    #[default]
    AcceptOwned,
    /// Refuse every request whose sender sees another ring, even if it came to the right place.
    /// Nothing is handled by two opinions, and while a ring changes, calls wait until members
    /// agree. ringpop-node does this.
    Refuse,
}

/// A forwarded request, as its receiver sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Arrival {
    /// How often it was forwarded, this time included.
    pub(crate) hops: u8,
    /// After how many hops a request is not forwarded again.
    pub(crate) hops_max: u8,
    /// It has been here before.
    pub(crate) was_here: bool,
    /// Sender and receiver know their epochs, and they differ.
    pub(crate) epoch_differs: bool,
    /// The sender chose this process among so many owners: one, or more when earlier owners had
    /// failed.
    pub(crate) chosen_among: usize,
    /// The place of this process among the owners of the key, 0 for the first.
    pub(crate) rank: Option<usize>,
    /// Somebody owns the key, as far as this process knows.
    pub(crate) has_owner: bool,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Handle,
    SendOn,
    Refuse(Disagreement),
}

/// Why a receiver refuses what a sender thinks is right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disagreement {
    /// The rings differ, and policy is to refuse that.
    Ring,
    /// The key is not ours, and the request has come far enough.
    Owner,
    /// The request has been here before.
    Loop,
}

impl Disagreement {
    /// As the header of the refusal says it.
    pub(crate) const fn token(self) -> &'static str {
        match self {
            Self::Ring => "ring-differs",
            Self::Owner => "not-owner",
            Self::Loop => "loop",
        }
    }

    /// Whether a refusal says that members disagree. `reason` is the value of its header.
    pub(crate) fn is_in(reason: &[u8]) -> bool {
        [Self::Ring, Self::Owner, Self::Loop].iter().any(|d| d.token().as_bytes() == reason)
    }
}

impl Arrival {
    /// The sender meant this process, and it is right as far as we can tell.
    pub(crate) fn is_owned(&self) -> bool {
        self.rank.is_some_and(|rank| rank < self.chosen_among.max(1))
    }
}

/// The table. The order of the rows matters: the first that applies decides.
pub(crate) fn judge(policy: Divergence, arrival: &Arrival) -> Verdict {
    if policy == Divergence::Refuse && arrival.epoch_differs {
        return Verdict::Refuse(Disagreement::Ring);
    }
    if arrival.is_owned() {
        return Verdict::Handle;
    }
    if arrival.hops < arrival.hops_max && !arrival.was_here && arrival.has_owner {
        return Verdict::SendOn;
    }
    match policy {
        Divergence::Accept => Verdict::Handle,
        // Retries of the first owner's failure would come here, too.
        Divergence::AcceptOwned if arrival.rank.is_some() => Verdict::Handle,
        _ if arrival.was_here => Verdict::Refuse(Disagreement::Loop),
        _ => Verdict::Refuse(Disagreement::Owner),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::Disagreement::{Loop, Owner, Ring};
    use super::Verdict::{Handle, Refuse, SendOn};
    use super::*;

    const FIRST_HOP: Arrival = Arrival {
        hops: 1,
        hops_max: 2,
        was_here: false,
        epoch_differs: false,
        chosen_among: 1,
        rank: None,
        has_owner: true,
    };

    #[test]
    fn what_is_ours_is_handled_whatever_the_sender_sees() {
        for policy in [Divergence::Accept, Divergence::AcceptOwned] {
            for epoch_differs in [false, true] {
                let ours = Arrival { rank: Some(0), epoch_differs, ..FIRST_HOP };
                assert_eq!(judge(policy, &ours), Handle);
            }
        }
        let other_ring = Arrival { rank: Some(0), epoch_differs: true, ..FIRST_HOP };
        assert_eq!(judge(Divergence::Refuse, &other_ring), Refuse(Ring));
    }

    #[test]
    fn a_next_owner_handles_what_was_sent_to_it_as_one() {
        let second = Arrival { rank: Some(1), ..FIRST_HOP };
        assert_eq!(judge(Divergence::AcceptOwned, &second), SendOn);
        let meant = Arrival { chosen_among: 3, ..second };
        assert_eq!(judge(Divergence::AcceptOwned, &meant), Handle);
        let beyond = Arrival { rank: Some(3), ..meant };
        assert_eq!(judge(Divergence::AcceptOwned, &beyond), SendOn);
    }

    #[test]
    fn after_its_last_hop_a_request_is_handled_or_refused_by_policy() {
        let last = Arrival { hops: 2, ..FIRST_HOP };
        let circle = Arrival { was_here: true, ..FIRST_HOP };
        let nobodys = Arrival { has_owner: false, ..FIRST_HOP };
        for (arrival, disagreement) in [(last, Owner), (circle, Loop), (nobodys, Owner)] {
            assert_eq!(judge(Divergence::Accept, &arrival), Handle);
            assert_eq!(judge(Divergence::AcceptOwned, &arrival), Refuse(disagreement));
            assert_eq!(judge(Divergence::Refuse, &arrival), Refuse(disagreement));
            let next_owner = Arrival { rank: Some(2), ..arrival };
            assert_eq!(judge(Divergence::AcceptOwned, &next_owner), Handle);
        }
    }

    #[test]
    fn refusals_are_told_from_others_by_their_token() {
        for disagreement in [Ring, Owner, Loop] {
            assert!(Disagreement::is_in(disagreement.token().as_bytes()));
        }
        assert!(!Disagreement::is_in(b"draining"));
    }

    proptest! {
        #[test]
        fn no_request_is_forwarded_beyond_its_limit_or_in_circles(
            hops in 1..=u8::MAX, hops_max in 1..8_u8, was_here: bool, epoch_differs: bool, chosen_among in 0..20_usize,
            rank in proptest::option::of(0..16_usize), has_owner: bool,
        ) {
            let arrival = Arrival { hops, hops_max, was_here, epoch_differs, chosen_among, rank, has_owner };
            for policy in [Divergence::Accept, Divergence::AcceptOwned, Divergence::Refuse] {
                let verdict = judge(policy, &arrival);
                prop_assert!(verdict != SendOn || (hops < hops_max && !was_here));
                prop_assert!(policy != Divergence::Accept || !matches!(verdict, Refuse(_)));
                let strange = policy != Divergence::Accept && rank.is_none();
                prop_assert!(!strange || verdict != Handle, "handled without being an owner");
            }
        }
    }
}
