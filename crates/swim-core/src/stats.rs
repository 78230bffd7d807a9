//! Counters of everything that is done, dropped, refused or retried.

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// How often things happened since the start of the [`Node`](crate::Node).
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Stats {
            $($(#[$doc])* pub $name: u64,)*
        }

        impl Stats {
            /// All counters by name, in order of declaration.
            pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }
    };
}

counters! {
    /// Pings sent: direct probes, for others, and to tell of a leave.
    pings_sent,
    /// Pings received and answered.
    pings_received,
    /// Ping-reqs sent.
    ping_reqs_sent,
    /// Ping-reqs received and taken on.
    ping_reqs_received,
    /// Probes that got no answer and led to a suspicion.
    probes_failed,
    /// Probes that no helper answered and that led to nothing.
    probes_inconclusive,
    /// Periods without a probe because too many were under way.
    probes_skipped,
    /// Probes that were answered on the second path only.
    probes_second_path,
    /// Answers of this member as a helper that a target was not reached so far.
    nacks_sent,
    /// Requests to be dialled that this member sent, because it was suspected and
    /// nobody had reached it lately.
    dial_backs_sent,
    /// Times that this member was taken for faulty and nobody reached it.
    unreachable,
    /// Members new here, or gone, that a request called alive and that were held
    /// until reached.
    newcomers_held,
    /// Newcomers that answered and became members.
    newcomers_reached,
    /// Newcomers that did not answer and were dropped.
    newcomers_unreached,
    /// Statements about such members that were left out, because there were too many.
    newcomers_omitted,
    /// Claims in requests that a reachable member is gone, about which the member itself
    /// was asked.
    claims_checked,
    /// Of these, those that were not so: the member answered and is not gone.
    claims_refuted,
    /// Such claims that counted as suspicions, because there were too many to ask.
    claims_unchecked,
    /// Requests to addresses that only a stranger named.
    stranger_dials,
    /// The same, left out because there were too many.
    stranger_dials_omitted,
    /// Answers that came after their request was given up. What they say is
    /// taken.
    late_answers,
    /// Suspicions of others that confirmed a suspicion known here.
    suspicions_confirmed,
    /// Changes received in messages.
    changes_received,
    /// Changes received that replaced what was known.
    changes_applied,
    /// Changes received about a forgotten member that were no newer than what
    /// was forgotten.
    changes_about_removed,
    /// Changes sent in messages.
    changes_sent,
    /// Statements about this member that it contradicted.
    refuted,
    /// Members forgotten after their tombstone.
    members_removed,
    /// Forgotten members of whom nothing is remembered any more, because
    /// there were too many.
    removed_members_dropped,
    /// Join requests sent.
    joins_sent,
    /// Join requests answered.
    joins_received,
    /// Join requests that failed.
    joins_failed,
    /// Rounds over all peers that brought no join and were followed by another.
    joins_retried,
    /// Peers and hosts that were left out because more were given than are taken.
    peers_dropped,
    /// Full syncs started.
    syncs_started,
    /// Full syncs that ran to their end.
    syncs_completed,
    /// Full syncs that ended before: no answer, a wrong one, or given up.
    syncs_failed,
    /// Full syncs left out because enough were under way.
    syncs_omitted,
    /// Steps of full syncs answered.
    syncs_received,
    /// Times that full syncs with a peer were found not to come to an end.
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
    /// Replies that no request waited for, nor had waited for lately.
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
    /// Failures of members that enough others have seen to count for damping.
    flaps,
    /// Votes for damping a member that this member cast.
    damp_votes_cast,
    /// Votes that it withdrew.
    damp_votes_withdrawn,
    /// Votes that it could not cast because it has too many.
    damp_votes_omitted,
    /// Members that were damped.
    damped,
    /// Damped members that belong on the ring again, or are forgotten.
    undamped,
    /// Bursts of changes that were told of as one.
    view_changes,
    /// Bursts of changes after which everything was as before.
    view_changes_undone,
}
