//! The bounds that hold whatever the configuration says.
//!
//! They exist so that no peer, broken or hostile, can make a member hold or do
//! an unbounded amount of anything. The numbers leave an order of magnitude
//! above what a healthy cluster needs.

use std::time::Duration;

use crate::time::Instant;

/// Longest duration in a configuration: ten years are for ever, and multiplied by
/// everything that stretches them far from overflow.
pub const DURATION_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// Latest time that is believed, 292 years after the start: deadlines beyond it can still be told
/// apart.
pub const INSTANT_MAX: Instant = Instant::from_start(Duration::from_nanos(u64::MAX / 2));

/// Longest address in bytes: a DNS name has at most 253, plus the port.
pub const ADDRESS_BYTES_MAX: usize = 262;

/// Longest application name in bytes.
pub const APP_BYTES_MAX: usize = 128;

/// Labels of one member, internal ones included: twice what Temporal's fork of
/// ringpop-go accepts.
pub const LABELS_MAX: usize = 32;

/// Labels of one member that an application may set: half of all, so that
/// those of the library always find room.
///
/// This bound and the two below are the protocol's. They are the same at all
/// members and bind what a member says of *others*, whereas
/// [`label_limits`](crate::Config::label_limits) bind only what it says of
/// itself: if each member judged others by its own setting, a cluster in which
/// settings differ, as in any rolling change of them, would never agree.
pub const PUBLIC_LABELS_MAX: usize = LABELS_MAX / 2;

/// Longest label key in bytes.
pub const LABEL_KEY_BYTES_MAX: usize = 256;

/// Longest label value in bytes.
pub const LABEL_VALUE_BYTES_MAX: usize = 1024;

/// Changes in one message. A page of 64 KiB holds about 1,000 changes without
/// labels.
pub const CHANGES_PER_MESSAGE_MAX: usize = 4096;

/// Changes that are put into one message; one is kept free for a suspect that
/// is told so.
pub(crate) const CHANGES_SENT_MAX: usize = CHANGES_PER_MESSAGE_MAX - 1;

/// How far ahead of this member's wall clock, in milliseconds, an incarnation
/// may be. Incarnations are milliseconds of the wall clock; 139 years leave room
/// for any clock that is wrong, also for one that begins in 1970. The bound moves
/// with time, so that nobody can push a member to where it has no higher
/// incarnation left: a refutation that is refused, because clocks differ, is
/// accepted when the slower clock has made up the difference.
pub const INCARNATION_AHEAD_MAX: u64 = 1 << 42;

/// Latest wall clock that is believed, in milliseconds since the Unix epoch: it
/// keeps all incarnations far from overflow.
pub const UNIX_MS_MAX: u64 = 1 << 62;

/// Buckets of the membership digest. With 128 buckets the digests take 1 KiB,
/// which fits one datagram.
pub const BUCKETS_MAX: usize = 128;

/// Probes under way at once; a further one is skipped. A period begins one probe,
/// and up to four while most members are gone. A failed one lasts five periods
/// where a helper answers, ten where none does: these are 20 to 40.
pub const PROBES_MAX: usize = 32;

/// Probes that a period begins while most members are silent and some are not.
/// A member then looks for each of `n` others within `n / 4` periods, 50 s among
/// 1,000. It sends 16 messages in a period, each survivor pings for the others
/// as often, and that ends when those who are gone are known to be.
pub const PROBES_PER_PERIOD_MAX: usize = 4;

/// Members that answered last, from whom helpers are drawn first: as many as
/// one indirect probe may ask.
pub const RESPONDERS_MAX: usize = HELPERS_MAX;

/// Forgotten members whose last incarnation is remembered. In a rolling update
/// of a cluster of 1,000 with new addresses, four generations fit.
pub const REMOVED_MEMBERS_MAX: usize = 4096;

/// Tombstones that one message is answered with. Ten fit a datagram; who needs
/// more asks again.
pub const REPLY_TOMBSTONES_MAX: usize = 10;

/// Protocol periods in which a member that others reach hears from one of them: each
/// member is probed about once in a period, and at random timing one in 150 is not
/// for so long. It then asks to be dialled before it contradicts a suspicion, which
/// costs a round trip.
pub const CONTACT_PERIODS: u32 = 5;

/// Longest pause between two requests of a member that nobody reaches to be
/// dialled: it is back within seconds when its address leads to it, and costs the
/// cluster one failed dial in so long.
pub const DIAL_BACK_PAUSE_MAX: Duration = Duration::from_secs(5);

/// Dial-backs that a member waits for at once.
pub const DIAL_BACKS_MAX: usize = 16;

/// Requests without an answer whose late answers are still taken. A failed probe
/// leaves four, its ping and three helpers; eight in a period are more than a
/// member starts. So answers may be some four periods late even then.
pub const LATE_ANSWERS_MAX: usize = 128;
/// Members that are new here, named by requests only, and held until they are
/// reached: at the rate at which they are pinged, the last waits 13 s. In a storm of
/// invented ones a real one, which tries again in each period, finds a place soon.
pub const NEWCOMERS_MAX: usize = 256;

/// The same as named by one sender, so that one message leaves room for others.
pub const NEWCOMERS_OF_SOURCE_MAX: usize = 64;

/// Members that are new here, named by answers of members, and held until they are
/// reached or another member says the same: a cluster of 4,000 that starts at once
/// learns of all. At most 1 MiB with addresses and short labels.
pub const NEWCOMERS_OF_MEMBERS_MAX: usize = 4096;

/// The same as named by one member, so that one that lies leaves room for others.
pub const NEWCOMERS_OF_MEMBER_MAX: usize = 1024;

/// One ping of a newcomer that a member named in each of these intervals: 250 a second, so
/// that a cluster of 1,000 that starts at once knows itself within seconds; 25 KB a second
/// at most.
pub const NEWCOMER_OF_MEMBERS_INTERVAL: Duration = Duration::from_millis(4);

/// How long one that did not answer is not pinged again because a member names it.
pub const NEWCOMER_PAUSE: Duration = Duration::from_secs(10);

/// Of these, those that did not answer and wait for another member's word: a quarter
/// at most, the last ones.
pub const NEWCOMERS_UNREACHED_MAX: usize = 1024;

/// Claims in requests that a member is gone, which wait for the answer of that member
/// at once. Within the time of a ping the budget of dials allows for about 42.
pub const CLAIMS_MAX: usize = 64;

/// Pings that a member makes for others at once.
pub const RELAYS_MAX: usize = 256;

/// How long a suspicion waits for the observers that a member wants, as a
/// multiple of its longest timeout: members that are alive and suspect the same
/// have said so long before.
pub const ACCUSERS_WAIT_FACTOR: u32 = 4;

/// Helpers of one indirect probe.
pub const HELPERS_MAX: usize = 16;

/// Addresses that `join` takes; further ones are ignored.
pub const JOIN_PEERS_MAX: usize = 4096;

/// Addresses of which is remembered that a member answers there that advertises
/// another one: as many as a join takes.
pub const ALIASES_MAX: usize = JOIN_PEERS_MAX;

/// Failures that a round of a join tells about. A person reads a few; more
/// say the same.
pub const JOIN_FAILURES_MAX: usize = 16;

/// Longest text in bytes that a transport gives as the cause of a failure.
/// Longer ones are cut: an error of TLS with a name takes about 200.
pub const CAUSE_BYTES_MAX: usize = 512;

/// Members for which one member votes to be damped. More than a few at once
/// are a fault of the network or of the voter.
pub const VOTES_MAX: usize = 16;

/// Bytes of the label that carries votes, so that a voter's statement fits a
/// datagram.
pub const VOTES_BYTES_MAX: usize = 512;

/// Part of the reachable members that is damped at most, in percent. The
/// others take over the load of damped ones; a tenth more is what they must be
/// able to bear anyhow when machines fail.
pub const DAMPED_PERCENT_MAX: usize = 10;

/// Largest flap score that can be configured: with the longest half-life it
/// still decays in a time that can be told.
pub const SCORE_MAX: u32 = 1_000_000;

/// Requests to addresses that only a stranger named: so many at once, when none
/// was made lately. A handful of processes that start together are dialled at
/// once.
pub const STRANGER_DIALS_BURST: u32 = 32;

/// One more such request in each of these intervals: 20 a second, a few times
/// what a member sends anyhow, and nothing to the host that is dialled.
pub const STRANGER_DIAL_INTERVAL: Duration = Duration::from_millis(50);
/// Attempts to merge with other partitions under way at once. A member dials at
/// most once in a [`DIAL_ROUND`], and an attempt at a silent host takes a
/// `join_timeout`, which is 5 s in the slowest preset.
pub const HEALS_MAX: usize = 8;

/// In each such time the members of a cluster together dial one address that is
/// gone: a hundred dead addresses in a list cost one dial a second, and each is
/// still tried within two minutes.
pub const DIAL_ROUND: Duration = Duration::from_secs(1);

/// Addresses that a member dials out of turn, because they spoke or are listed
/// for the first time. One that answers speaks for its whole partition.
pub const URGENT_DIALS_MAX: usize = 8;

/// Times that a partition which was met is dialled again until it is merged. Two
/// are the rule: one in which members refute, and one that merges.
pub const FOLLOW_UPS_MAX: u32 = 8;

/// Faulty members that are dialled although discovery does not list them: those
/// that were lost last, at most so many.
pub const REMEMBERED_MAX: usize = 64;

/// Members that were lost within two such times count as lost together. The last
/// suspicion of a cluster of 1,000 that loses half of its members ends within it.
pub const LOSS_WINDOW: Duration = Duration::from_secs(60);

/// Requests in a row without an answer before silence counts: after a process
/// stood still, one or two are open that were answered while it did.
pub const UNANSWERED_MIN: u32 = 3;

/// Peers whose full syncs are watched for coming to an end.
pub const WATCHED_SYNCS_MAX: usize = 64;

/// Full syncs in a row with one peer that brought nothing although views differ,
/// before they count as endless.
pub const FRUITLESS_SYNCS_MAX: u32 = 10;
