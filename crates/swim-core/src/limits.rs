//! The bounds that hold under any configuration.
//!
//! No peer, broken or hostile, may make a member hold or do an unbounded amount of
//! anything. The numbers leave an order of magnitude above the needs of a healthy
//! cluster.

use std::time::Duration;

use crate::time::Instant;

/// Longest duration in a configuration: ten years. Multiplied by everything that
/// stretches durations, it stays far from overflow.
pub const DURATION_MAX: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// Latest time that the machine accepts, 292 years after the start: deadlines beyond
/// it still have room.
pub const INSTANT_MAX: Instant = Instant::from_start(Duration::from_nanos(u64::MAX / 2));

/// Longest address in bytes: a DNS name has at most 253, plus the port.
pub const ADDRESS_BYTES_MAX: usize = 262;

/// Largest message that is decoded, in bytes: the largest page that can be
/// configured, and as much again for the rest.
pub const MESSAGE_BYTES_MAX: usize = 32 << 20;

/// Longest application name in bytes.
pub const APP_BYTES_MAX: usize = 128;

/// Labels of one member, internal ones included: twice what Temporal's fork of
/// ringpop-go accepts.
pub const LABELS_MAX: usize = 32;

/// Labels of one member that an application may set: half of all, which leaves room
/// for those of the library.
///
/// This bound and the two below are the protocol's. They are the same at all
/// members and apply to the labels of *others*, whereas
/// [`label_limits`](crate::Config::label_limits) apply only to a member's own: if
/// each member judged others by its own setting, a cluster in which settings
/// differ, as during any rolling change of them, would never agree.
pub const PUBLIC_LABELS_MAX: usize = LABELS_MAX / 2;

/// Longest label key in bytes.
pub const LABEL_KEY_BYTES_MAX: usize = 256;

/// Longest label value in bytes.
pub const LABEL_VALUE_BYTES_MAX: usize = 1024;

/// Changes in one message. A page of 64 KiB holds about 1,000 changes without
/// labels.
pub const CHANGES_PER_MESSAGE_MAX: usize = 4096;

/// Changes that are put into one message; one more may be the suspicion of its
/// receiver.
pub(crate) const CHANGES_SENT_MAX: usize = CHANGES_PER_MESSAGE_MAX - 1;

/// How far ahead of this member's wall clock, in milliseconds, an incarnation
/// may be. Incarnations are milliseconds of the wall clock; 139 years leave room
/// for any clock that is wrong, also for one that begins in 1970. The bound moves
/// with time: no peer can push a member to where it has no higher incarnation left.
/// A refutation that is refused because clocks differ is accepted once the slower
/// clock has made up the difference.
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
/// as often, and that ends when the dead members are known to be gone.
pub const PROBES_PER_PERIOD_MAX: usize = 4;

/// Members that answered last. Helpers are drawn from them first: as many as one
/// indirect probe may ask.
pub const RESPONDERS_MAX: usize = HELPERS_MAX;

/// Removed members whose last incarnation is remembered. In a rolling update
/// of a cluster of 1,000 with new addresses, four generations fit.
pub const REMOVED_MEMBERS_MAX: usize = 4096;

/// Tombstones in one reply. Ten fit a datagram; the next reply carries more.
pub const REPLY_TOMBSTONES_MAX: usize = 10;

/// Protocol periods within which a reachable member is probed: about once in each,
/// and at random timing one in 150 is not within five. It then asks to be dialled
/// before it refutes a suspicion, which costs a round trip.
pub const CONTACT_PERIODS: u32 = 5;

/// Longest pause between two requests to be dialled of an unreachable member. It is
/// back within seconds once its address leads to it, and costs the cluster one failed
/// dial in that time.
pub const DIAL_BACK_PAUSE_MAX: Duration = Duration::from_secs(5);

/// Dial-backs that a member waits for at once.
pub const DIAL_BACKS_MAX: usize = 16;

/// Requests without an answer whose late answers are still taken. A failed probe
/// leaves four, its ping and three helpers; eight in a period are more than a
/// member starts. So answers may be some four periods late even then.
pub const LATE_ANSWERS_MAX: usize = 128;

/// Newcomers that only requests named, held until they are reached: at the rate of
/// their pings the last one waits 13 s. In a storm of invented members a real one,
/// which tries again in each period, soon finds a place.
pub const NEWCOMERS_MAX: usize = 256;

/// The same for one sender: one message leaves room for others.
pub const NEWCOMERS_OF_SOURCE_MAX: usize = 64;

/// Newcomers that answers of members named, held until they are reached or another
/// member names them: a cluster of 4,000 that starts at once learns of all. At most
/// 1 MiB with addresses and short labels.
pub const NEWCOMERS_OF_MEMBERS_MAX: usize = 4096;

/// The same for one member: one that lies leaves room for others.
pub const NEWCOMERS_OF_MEMBER_MAX: usize = 1024;

/// Interval between pings of newcomers that members named: 25 pings a second. Where
/// more come at once, a second answer or the list of a host that was joined is sooner
/// there than their own answers, for less: each ping of a newcomer opens a connection.
pub const NEWCOMER_OF_MEMBERS_INTERVAL: Duration = Duration::from_millis(40);

/// Such pings that may be sent at once.
pub const NEWCOMERS_OF_MEMBERS_BURST: u32 = 8;

/// Time between two second looks at the lists of the hosts that were joined, on
/// average; each is drawn between half of it and one and a half.
pub const SECOND_LOOK_INTERVAL: Duration = Duration::from_millis(300);

/// Second looks after a join: some seven seconds. By then a thousand members that start
/// together know nearly all of each other.
pub const SECOND_LOOKS_MAX: u32 = 24;

/// Newcomers that must be held for a second look. Fewer are pinged as soon.
pub const SECOND_LOOK_NEWCOMERS_MIN: usize = 8;

/// Time before a newcomer that did not answer is pinged again because a member names
/// it.
pub const NEWCOMER_PAUSE: Duration = Duration::from_secs(10);

/// Newcomers that did not answer and wait for a second member to name them: the last
/// ones, a quarter of all at most.
pub const NEWCOMERS_UNREACHED_MAX: usize = 1024;

/// Claims that a member is gone which wait for the answer of that member. Within the
/// time of a ping the dial budget allows for about 42.
pub const CLAIMS_MAX: usize = 64;

/// Last probes whose durations decide the adaptive period: as many as in ringpop-go.
pub(crate) const PROBE_DURATIONS_MAX: usize = 10;

/// Part of its ping timeout after which a helper sends a nack: the target was not
/// reached yet (Lifeguard, section IV.A). It arrives while the requester still
/// waits.
pub(crate) const NACK_PERCENT: u32 = 80;

/// Pings that a member makes for others at once.
pub const RELAYS_MAX: usize = 256;

/// How long a suspicion waits for `faulty_accusers_min` accusers, as a multiple of
/// its longest timeout: members that suspect the same are known long before.
pub const ACCUSERS_WAIT_FACTOR: u32 = 4;

/// Helpers of one indirect probe.
pub const HELPERS_MAX: usize = 16;

/// Addresses that `join` takes; further ones are ignored.
pub const JOIN_PEERS_MAX: usize = 4096;

/// Aliases that are remembered: as many as a join takes peers.
pub const ALIASES_MAX: usize = JOIN_PEERS_MAX;

/// Failures that a round of a join reports. A person reads a few; more say the
/// same.
pub const JOIN_FAILURES_MAX: usize = 16;

/// Longest text in bytes that a transport gives as the cause of a failure.
/// Longer ones are cut: an error of TLS with a name takes about 200.
pub const CAUSE_BYTES_MAX: usize = 512;

/// Members for which one member votes to be damped. More than a few at once
/// are a fault of the network or of the voter.
pub const VOTES_MAX: usize = 16;

/// Bytes of the label that carries votes: the change about a voter fits a datagram.
pub const VOTES_BYTES_MAX: usize = 512;

/// Largest part of the reachable members that is damped, in percent. The others
/// take over their load; they must bear a tenth more anyhow when machines fail.
pub const DAMPED_PERCENT_MAX: usize = 10;

/// Largest flap score that can be configured: with the longest half-life its decay
/// stays far from overflow.
pub const SCORE_MAX: u32 = 1_000_000;

/// Requests to addresses that only a stranger named, at once when none was made
/// lately. A few dozen processes that start together are dialled at once.
pub const STRANGER_DIALS_BURST: u32 = 32;

/// Interval after which one more such request is allowed: 20 a second, a few times
/// the other traffic of a member, and little to the host that is dialled.
pub const STRANGER_DIAL_INTERVAL: Duration = Duration::from_millis(50);

/// Attempts to merge with other partitions under way at once. A member dials at
/// most once in a [`DIAL_ROUND`], and an attempt at a silent host takes a
/// `join_timeout`, which is 5 s in the slowest preset.
pub const HEALS_MAX: usize = 8;

/// Time in which the members of a cluster together dial one address that is gone: a
/// hundred dead addresses in a list cost one dial a second, and each is still tried
/// within two minutes.
pub const DIAL_ROUND: Duration = Duration::from_secs(1);

/// Urgent dials: addresses that sent a request or are listed for the first time. One
/// that answers speaks for its whole partition.
pub const URGENT_DIALS_MAX: usize = 8;

/// Further dials of a partition until it is merged. Usually two suffice: one after
/// which members refute, and one that merges.
pub const FOLLOW_UPS_MAX: u32 = 8;

/// Faulty members that are dialled although discovery does not list them: the ones
/// that were lost last.
pub const REMEMBERED_MAX: usize = 64;

/// Members that were lost within two windows count as lost together. The last
/// suspicion of a cluster of 1,000 that loses half of its members ends within one.
pub const LOSS_WINDOW: Duration = Duration::from_secs(60);

/// Requests in a row without an answer before silence counts: after a process was
/// paused, one or two are open whose answers came meanwhile.
pub const UNANSWERED_MIN: u32 = 3;

/// Peers whose full syncs are watched for having an effect.
pub const WATCHED_SYNCS_MAX: usize = 64;

/// Full syncs in a row with one peer that changed nothing although views differ,
/// before they count as endless.
pub const FRUITLESS_SYNCS_MAX: u32 = 10;
