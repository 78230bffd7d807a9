//! Counters of all that the machine does, drops, refuses or retries.

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// How often things happened since the start of the [`Node`](crate::Node).
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[doc = $doc])* pub $name: u64,)*
        }

        impl Stats {
            /// All counters by name, in order of declaration.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }

            /// What each counter counts, by name, in order of declaration: the text of its field.
            pub fn descriptions() -> impl Iterator<Item = (&'static str, &'static str)> {
                [$((stringify!($name), concat!($($doc),*)),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Pings sent: probes, pings for others, and announcements of a leave.
    pings_sent,
    /// Pings received and answered.
    pings_received,
    /// Ping-reqs sent.
    ping_reqs_sent,
    /// Ping-reqs received and served.
    ping_reqs_received,
    /// Probes that got no answer and led to a suspicion.
    probes_failed,
    /// Probes that no helper answered and that led to nothing.
    probes_inconclusive,
    /// Periods without a probe because too many were under way.
    probes_skipped,
    /// Probes that were answered on the second path only.
    probes_second_path,
    /// Nacks: answers of this member as a helper that it has not reached the target
    /// yet.
    nacks_sent,
    /// Requests to be dialled that this member sent because it was suspected and no
    /// other had reached it lately.
    dial_backs_sent,
    /// Times that this member was taken for faulty and no other reached it.
    unreachable,
    /// Newcomers: unknown or gone members that a message called alive, held until
    /// they are reached.
    newcomers_held,
    /// Newcomers that answered and became members.
    newcomers_reached,
    /// Newcomers that did not answer and were dropped.
    newcomers_unreached,
    /// Changes about newcomers that were dropped because too many were held.
    newcomers_omitted,
    /// Claims in requests that a reachable member is gone, which a ping of that member
    /// checked.
    claims_checked,
    /// Of these, the wrong ones: the member answered and is not gone.
    claims_refuted,
    /// Claims that counted as suspicions because there were too many to check.
    claims_unchecked,
    /// Requests to addresses that only a stranger named.
    stranger_dials,
    /// Requests to such addresses that were omitted because there were too many.
    stranger_dials_omitted,
    /// Answers that came after their request was given up. Their changes are
    /// applied.
    late_answers,
    /// Suspicions of others that confirmed a known suspicion.
    suspicions_confirmed,
    /// Changes received in messages.
    changes_received,
    /// Changes received that took effect.
    changes_applied,
    /// Changes received about a removed member that were not newer than its
    /// tombstone.
    changes_about_removed,
    /// Changes sent in messages.
    changes_sent,
    /// Changes about this member that it refuted.
    refuted,
    /// Members removed from the list when their tombstone expired.
    members_removed,
    /// Removed members that were dropped from the cache of removed members because
    /// it was full.
    removed_members_dropped,
    /// Join requests sent.
    joins_sent,
    /// Join requests answered.
    joins_received,
    /// Join requests that failed.
    joins_failed,
    /// Rounds over all peers without success that were followed by another.
    joins_retried,
    /// Peers and hosts that were ignored because too many were given.
    peers_dropped,
    /// Full syncs started.
    syncs_started,
    /// Full syncs that ran to their end.
    syncs_completed,
    /// Full syncs that ended early: no answer, an invalid one, or given up.
    syncs_failed,
    /// Full syncs left out because enough were under way.
    syncs_omitted,
    /// Steps of full syncs answered.
    syncs_received,
    /// Times that full syncs with a peer went on without effect
    /// (see [`Event::SyncEndless`](crate::Event::SyncEndless)).
    syncs_endless,
    /// Attempts to compare member lists with another partition.
    heal_attempts,
    /// Attempts that failed.
    heal_failures,
    /// Times that this member lost contact to most of the others, or to all.
    isolated,
    /// Messages of another application.
    rejected_app,
    /// Messages that claimed this member's own address.
    rejected_self,
    /// Requests that came before this member had joined.
    rejected_not_ready,
    /// Replies to no request of this member, open or given up lately.
    rejected_replies,
    /// Messages or changes with a field out of bounds.
    rejected_invalid,
    /// Messages or changes with an incarnation too far ahead of the wall clock.
    rejected_clock,
    /// Requests refused because too many were under way.
    rejected_busy,
    /// Changes about new members that the full list could not take.
    rejected_members_full,
    /// Changes whose labels were dropped because they exceed what the protocol
    /// allows.
    rejected_labels,
    /// Requests that the transport could not deliver.
    undelivered,
    /// Failures of members with enough accusers to count for damping.
    flaps,
    /// Votes for damping a member that this member cast.
    damp_votes_cast,
    /// Votes that it withdrew.
    damp_votes_withdrawn,
    /// Votes that it could not cast because it has too many.
    damp_votes_omitted,
    /// Members that were damped.
    damped,
    /// Damped members that belong on the ring again, or were removed.
    undamped,
    /// Bursts of changes that were reported as one.
    view_changes,
    /// Bursts of changes that cancelled each other out.
    view_changes_undone,
}
