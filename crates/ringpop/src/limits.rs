//! Names, defaults and bounds of this crate, and how they were chosen.

use std::ops::RangeInclusive;
use std::time::Duration;

/// Label that carries the weight of a member on the ring: a decimal number up
/// to [`WEIGHT_MAX`]; 1 when absent or unreadable, 0 keeps the member off the
/// ring.
pub const WEIGHT_LABEL: &str = "weight";

/// Label that names the failure domain of a member.
pub const ZONE_LABEL: &str = "zone";

/// Label that carries the placement that a member asks for, as text such as `ring:100`; no label
/// stands for rendezvous in every version. A value that a member cannot read has no vote there.
pub const PLACEMENT_LABEL: &str = "ring-placement";

/// Label of a planned change of a member's weight: the weight to come, such as `3`, and once it is
/// agreed the instant by the clock of that member, `3@1790000000123` in milliseconds of the Unix
/// epoch.
pub const NEXT_WEIGHT_LABEL: &str = "ring-next";

/// Label with the version of a member, which [`Builder::version`](crate::Builder::version) sets.
pub const VERSION_LABEL: &str = "version";

/// Label of a member that took over the place of another one on the ring: the address of that one,
/// when that was in milliseconds of the Unix epoch, and the identity by which the member is placed
/// instead of its own, with spaces between them.
pub const PLACE_LABEL: &str = "ring-place";

/// Label of a member that stands by in a roll: it owns nothing and takes over the place of the next
/// member of another version that leaves.
pub const STANDBY_LABEL: &str = "ring-standby";

/// How long a new member stands by for a member of another version to leave, by default: the pause
/// between two steps of a roll, in which a new process starts and becomes ready.
pub const ROLL_WAIT: Duration = Duration::from_secs(60);

/// Longest such time that can be set. A member that waits in vain owns nothing as long.
pub const ROLL_WAIT_MAX: Duration = Duration::from_secs(60 * 60);

/// How often a member in a roll looks whether its time is over, beside each change of the view.
pub(crate) const ROLL_LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// How long another member may have the place of this one before this one takes a free place: a
/// leave that was begun ends sooner, or shows as a planned move.
pub(crate) const PLACE_LOST_PATIENCE: Duration = Duration::from_secs(5);

/// Members that stand by which a leaving one asks, one after the other, to take its place over: a
/// leave waits no longer for those that do not answer than two of their timeouts.
pub(crate) const SUCCESSORS_ASKED_MAX: usize = 2;

/// Requests to take a place over that wait at a member that stands by; it grants one.
pub(crate) const PLACE_OFFERS_MAX: usize = 4;

/// How far ahead an agreed switch may be: longer than the slowest round trip that still counts as
/// an answer, and a pause that nobody notices when a clock is wrong.
pub const SWITCH_LEAD_MAX: Duration = Duration::from_secs(2);

/// How far ahead the instant of a switch is at least, beside two of the slowest round trips:
/// members on a busy machine hear of it in time, and a leave takes no longer than anybody notices.
pub(crate) const SWITCH_LEAD_MIN: Duration = Duration::from_millis(30);

/// How long state may be handed over in one planned move, by default: a gigabyte over a common
/// network, and a third of what Kubernetes gives a process to stop.
pub const HAND_OFF_LIMIT: Duration = Duration::from_secs(10);

/// Shortest such time that can be set: a few round trips.
pub const HAND_OFF_LIMIT_MIN: Duration = Duration::from_millis(10);

/// Longest such time that can be set. A member that joins owns nothing until then.
pub const HAND_OFF_LIMIT_MAX: Duration = Duration::from_secs(10 * 60);

/// How long after a switch an old owner still passes on what is written: requests that came before
/// it end within this time, or are slow ones.
pub const HAND_OFF_GRACE: Duration = Duration::from_secs(1);

/// Calls that wait for the end of a move by default: those that a thousand callers have under way.
/// Each holds its request in memory.
pub const MOVING_CALLS: usize = 1_000;

/// Most such calls that can be set.
pub const MOVING_CALLS_MAX: usize = 100_000;

/// Beyond its deadline, a planned move whose end nobody announces is over after the longest lead of
/// a switch and this time, in which gossip tells of the end.
pub(crate) const MOVE_END_MARGIN: Duration = Duration::from_secs(5);

/// Largest chunk of state that one member sends another, in bytes: a value of the largest message
/// of gRPC's default, with room for its key.
pub const HAND_OFF_CHUNK_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Largest message with a chunk.
pub(crate) const HAND_OFF_MESSAGE_BYTES_MAX: usize = HAND_OFF_CHUNK_BYTES_MAX + 64 * 1024;

/// Bytes that the entries of a map have in one chunk: enough for the throughput of a connection,
/// and a connection that breaks costs no more than this.
pub(crate) const HAND_OFF_CHUNK_BYTES: usize = 256 * 1024;

/// Bytes of state that one member sends in one planned move.
pub const HAND_OFF_BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// Chunks of one member that are under way at a time: one is read while the next ones travel.
pub const HAND_OFF_CHUNKS_UNDER_WAY_MAX: usize = 4;

/// How long a chunk may take before it is sent again on another connection.
pub(crate) const GIVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Shortest pause before a chunk is sent again: the receiver may hear of the move a moment later.
pub(crate) const GIVE_PAUSE_MIN: Duration = Duration::from_millis(10);

/// Longest such pause.
pub(crate) const GIVE_PAUSE_MAX: Duration = Duration::from_millis(500);

/// Connections of planned moves that are open at a time.
pub(crate) const MOVE_CHANNELS_MAX: usize = 1024;

/// Other members with which a planned move is agreed. In larger clusters they follow one after the
/// other: asking all takes as long as gossip does.
pub const MOVE_MEMBERS_MAX: usize = 1024;

/// Mean pause of a member whose planned move comes after another one, before it looks again: longer
/// than two switches without state.
pub(crate) const MOVE_RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Members that are asked at a time.
pub(crate) const ANNOUNCED_AT_ONCE_MAX: usize = 64;

/// How long a member may take to answer an announcement, or to tell its clock. Nobody waits longer
/// for one that does not answer: it follows by gossip.
pub(crate) const ANNOUNCE_TIMEOUT: Duration = Duration::from_secs(1);

/// How long a member that hears of a plan waits until it sees the one that plans: a newcomer is
/// dialled first. Shorter than [`ANNOUNCE_TIMEOUT`].
pub(crate) const MOVER_SEEN_LIMIT: Duration = Duration::from_millis(800);

/// Planned moves in which a member has a part at a time. They follow one another as a rule.
pub(crate) const MOVES_UNDER_WAY_MAX: usize = 64;

/// Locks of a map whose entries move: more than cores that write at a time.
pub(crate) const MAP_SHARDS: usize = 64;

/// Clocks of others that a member remembers: one for each change of weight that is planned at a
/// time, and many more.
pub(crate) const PEER_CLOCKS_MAX: usize = 4096;
/// Label of a member whose health check fails: since when, in milliseconds of the Unix epoch by its
/// own clock.
pub const UNHEALTHY_LABEL: &str = "ring-unhealthy";

/// Label of a member that is drained: since when, as in [`UNHEALTHY_LABEL`].
pub const DRAINING_LABEL: &str = "ring-draining";

/// Label with the evictions that a member was asked for, and the one of itself.
pub const EVICTIONS_LABEL: &str = "ring-evictions";

/// Label of a member that warms up: the step, such as `2/5`, and with it the part of its weight
/// that counts.
pub const WARMING_LABEL: &str = "ring-warming";

/// Labels that a member sets by itself, beyond the limits on those of the application: the four of
/// members off the ring, those of a planned weight, of a place, of the gossip port and of beacons.
pub(crate) const OWN_LABELS_MAX: usize = 8;

/// The largest part of the members, as a divisor, that failing health checks keep off the ring:
/// half of them. A check that fails at more members than that tells more of the check, or of what
/// all members depend on, than of the members; Envoy's panic threshold is the same.
pub const UNHEALTHY_PART_MAX: usize = 2;

/// Longest time of an eviction. Stop a member that is to stay away for longer.
pub const EVICTION_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Shortest time of an eviction: beyond the seconds that it may take to reach all members.
pub const EVICTION_MIN: Duration = Duration::from_secs(1);

/// Evictions that one member holds: as many as fit in a label with the longest usual addresses.
/// Others take further ones.
pub const EVICTIONS_MAX: usize = 8;

/// How often a member looks whether what it holds about evictions is still needed, beside each
/// change of its view.
pub(crate) const EVICTIONS_LOOK_INTERVAL: Duration = Duration::from_secs(60);

/// Times that a health check may have, for its interval and for its answer. More often than each
/// 10 ms, it is load; less often than each hour, nobody waits for it.
pub(crate) const HEALTH_CHECK_TIMES: RangeInclusive<Duration> =
    Duration::from_millis(10)..=Duration::from_secs(60 * 60);

/// Checks in a row that turn a member: one that takes more than a hundred turns never.
pub(crate) const HEALTH_CHECK_COUNT_MAX: u32 = 100;

/// Longest slow start: an hour. Each of its steps is a change of the ring.
pub(crate) const SLOW_START_MAX: Duration = Duration::from_secs(60 * 60);

/// Steps of a slow start, and so changes of the ring for each member that comes back.
pub const SLOW_START_STEPS_MAX: u32 = 20;

/// Hooks of a member: each point has some, and their times add up.
pub(crate) const HOOKS_MAX: usize = 32;

/// Longest time of a hook.
pub(crate) const HOOK_LIMIT_MAX: Duration = Duration::from_secs(10 * 60);

/// Slots of leases: some for each member of a cluster of 1,000.
pub const LEASE_SLOTS_MAX: u32 = 4096;

/// Times that leases may last. Shorter ones end with each pause of a process or its store.
pub const LEASE_TTL: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(3600);

/// Calls to a store of leases that a member has under way for slots: a member that takes a thousand
/// over does not flood the store.
pub(crate) const LEASE_CALLS_MAX: usize = 16;

/// Shortest pause before a session at a store is asked for again; pauses double up to the time of a
/// lease.
pub(crate) const LEASE_PAUSE_MIN: Duration = Duration::from_millis(100);

/// Rings that are kept for handles of owned keys: a handle that nobody checks for longer ends.
pub const OWNED_RINGS_MAX: usize = 64;

/// Bytes of those rings: some ten classic rings of 1,000 members with 100 points each, which are
/// the largest usual ones.
pub(crate) const OWNED_RINGS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Label of a member that takes gossip on a port of its own: the port, on the host of its address.
pub const GOSSIP_PORT_LABEL: &str = "gossip-port";

/// Largest weight. A member chooses its own weight; the bound keeps it from flooding the rings of
/// all others with points.
pub const WEIGHT_MAX: u32 = 100;

/// Points for each unit of weight where a placement that has points names no number: as in
/// Ringpop.
pub const POINTS_PER_WEIGHT_UNIT: u32 = 100;

/// Most points for each unit of weight. The shares of equal members then deviate
/// by 1 %, and a ring still has room for 1,024 members of weight one.
pub const POINTS_PER_WEIGHT_UNIT_MAX: u32 = 8192;

/// Points of all members together: 8,388,608, about 130 MB. That is room for
/// 83,886 members of weight one, or 838 of the largest weight, with 100 points for
/// each unit. Beyond it the largest weights count for less.
pub const RING_POINTS_MAX: u32 = hashring::limits::POINTS_MAX_DEFAULT;

/// How long discovery may have nobody to join before a member starts alone: as the driver does.
pub const ALONE_AFTER: Duration = swim_driver::limits::ALONE_AFTER;

/// How long everything is still served and forwarded by default after a member
/// has begun to stop: long enough for clients that watch the health service.
/// Load balancers that ask every few seconds need more.
pub const LAME_DUCK: Duration = Duration::from_secs(1);

/// How long a member may take to stop whose server has ended.
pub(crate) const SERVER_ENDED_LIMIT: Duration = Duration::from_secs(5);

/// Routed methods that are looked for among the services at the start. Tables
/// that are longer are made by a generator, which does not mistype.
pub(crate) const ROUTES_ASKED_MAX: usize = 1024;

/// How long a member waits for an answer at its own advertised address: shorter than anybody
/// notices, longer than a round trip.
pub(crate) const SELF_CHECK_TIMEOUT: Duration = Duration::from_secs(1);

/// How long before its end a certificate is warned of: enough to order one, to
/// roll it out, and to drop everything else for it.
#[cfg(feature = "tls")]
pub(crate) const CERTIFICATE_WARNINGS: [Duration; 3] = [
    Duration::from_secs(30 * 24 * 60 * 60),
    Duration::from_secs(7 * 24 * 60 * 60),
    Duration::from_secs(24 * 60 * 60),
];

/// Largest part of its life, as a divisor, that a certificate is warned of before
/// its end. Tools renew those that live for days when a third is left.
#[cfg(feature = "tls")]
pub(crate) const CERTIFICATE_WARNING_PART: u32 = 3;

/// Membership requests that this member has open at others. The machine opens
/// far fewer; a further one counts as undelivered.
pub(crate) const CALLS_MAX: usize = 1024;

/// Largest membership message that a member takes, in bytes: eight of the
/// default pages. It is the same at all members, whatever their own
/// `message_bytes_max`: what one may send, every other takes.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Largest `message_bytes_max` of this transport: a message may carry a page and
/// as much again for what goes along.
pub const PAGE_BYTES_MAX: usize = (MESSAGE_BYTES_MAX - 64 * 1024) / 2;

/// Gossip connections that are kept, to members only; the one of a member that is
/// gone is closed at once, and the one that was used least recently makes room.
pub(crate) const CHANNELS_MAX: usize = 16 * 1024;

/// Events that a slow listener may lag behind before it misses some, which it
/// is told.
pub(crate) const EVENTS_MAX: usize = 4096;

/// Bytes of rings that are no longer in use and that events keep for listeners that have not seen
/// them: twenty classic rings of 1,000 members with 100 points each, and more than
/// `EVENTS_MAX` of the default placement with 500.
pub const MOVES_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Rings beside the main one. Each costs a merge for each change of a member that is on it.
pub const RINGS_MAX: usize = 16;

/// Longest name of a ring in bytes: it stands in logs and events.
pub const RING_NAME_BYTES_MAX: usize = 64;

/// Bytes of the subrings of one ring that are kept until it changes, about: 16,000 tenants of
/// eight members. Those that have no room are chosen again each time.
pub const SUBRINGS_BYTES_MAX: usize = 16 * 1024 * 1024;

/// How long a gossip connection may take to open. Shorter than the ping timeout of the presets,
/// which tells an unreachable host from a slow one.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_millis(400);

/// A gossip connection whose peer does not answer an HTTP/2 ping within this time is closed:
/// half-open ones heal.
pub(crate) const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Interval of those pings.
pub(crate) const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);

/// Beyond the longest timeout of the machine, a membership request is given up
/// by the transport as well.
pub(crate) const CALL_TIMEOUT_MARGIN: Duration = Duration::from_secs(1);

/// Readers of the events of one member at a time. Each holds a place in a queue that all share;
/// a dashboard for each person of a team, and some more.
pub(crate) const ADMIN_READERS_MAX: usize = 64;

/// How often a refused command is told in the log; all are counted.
pub(crate) const ADMIN_LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Largest request of administration in bytes: a key of [`LOOKUP_KEY_BYTES_MAX`], twice over.
pub(crate) const ADMIN_REQUEST_BYTES_MAX: usize = 128 * 1024;

/// Names and organisations that may be authorised to give commands. Groups are named by a pattern.
pub(crate) const ADMIN_NAMES_MAX: usize = 64;

/// Shortest token for commands in bytes: 96 bits in base 64, which nobody guesses.
pub(crate) const ADMIN_TOKEN_BYTES_MIN: usize = 16;

/// Longest token for commands in bytes, as long as signed tokens are.
pub(crate) const ADMIN_TOKEN_BYTES_MAX: usize = 1024;

/// Labels that one command sets and removes. A member may have fewer.
pub(crate) const ADMIN_LABELS_MAX: usize = 64;

/// Longest directives for the log in bytes: a level for each of some tens of modules.
pub(crate) const ADMIN_LOG_DIRECTIVES_BYTES_MAX: usize = 1024;

/// How long a member waits, on command, for others to confirm that it has left: several times the
/// longest timeout of a ping. The rest learns it by gossip.
pub(crate) const ADMIN_LEAVE_LIMIT: Duration = Duration::from_secs(5);

/// How long a member that comes back on command looks for the others. Operators wait for it; a
/// command that failed is given again.
pub(crate) const ADMIN_REJOIN_LIMIT: Duration = Duration::from_secs(30);

/// How long a healing on command may take: ten hosts that do not answer take ten seconds.
pub(crate) const HEAL_LIMIT: Duration = Duration::from_secs(60);

/// Largest number of owners that the admin service looks up for one key.
pub(crate) const LOOKUP_OWNERS_MAX: usize = 64;

/// Longest key that the admin service looks up, in bytes.
pub(crate) const LOOKUP_KEY_BYTES_MAX: usize = 64 * 1024;

/// How often a client that watches the ring hears that nothing has changed: a few bytes for each
/// client, and soon enough for it to see that a member is silent.
pub const RING_WATCH_HEARTBEAT: Duration = Duration::from_secs(5);

/// How long a client waits for a sign of the member whose ring it watches: two signs may be lost or
/// late.
pub const RING_WATCH_SILENCE_MAX: Duration = Duration::from_secs(12);

/// Clients that may watch the ring of one member. Each costs a stream and a reference to a ring.
pub const RING_WATCHERS_MAX: usize = 10_000;

/// Bytes of a whole ring as it is told to clients: 100,000 members with long names.
pub const RING_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Shortest pause of a client after no member told it the ring.
pub(crate) const RING_CLIENT_PAUSE_MIN: Duration = Duration::from_millis(50);

/// Longest such pause: a cluster that is back is found within it.
pub(crate) const RING_CLIENT_PAUSE_MAX: Duration = Duration::from_secs(2);

/// A client logs at most once in this time that no member tells it the ring.
pub(crate) const RING_CLIENT_LOG_INTERVAL: Duration = Duration::from_secs(30);

/// How long a request for the plain list of the ring may wait for a change: shorter than most
/// proxies wait for an answer.
#[cfg(feature = "ring-list")]
pub const RING_LIST_WAIT_MAX: Duration = Duration::from_secs(30);

/// Requests for the plain list of the ring that may wait for a change at a time. Each costs a task
/// and its connection.
#[cfg(feature = "ring-list")]
pub const RING_LIST_WAITERS_MAX: usize = 1024;

/// Members that are asked for their checksum at a time: a thousand answer within a second, and no
/// process needs more descriptors for it.
pub(crate) const CHECKSUMS_AT_ONCE_MAX: usize = 32;

/// How long one member may take to tell its checksum. It does nothing for it, so one that takes
/// longer is stuck or far away.
pub(crate) const CHECKSUM_ANSWER_LIMIT: Duration = Duration::from_secs(1);

/// How long all members together may take: shorter than a person waits, and with 32 at a time
/// enough for 100 that do not answer at all. Those that were not asked are told.
pub(crate) const CHECKSUMS_LIMIT: Duration = Duration::from_secs(4);

/// How old an answer for all members may be: many watchers cost no more than one.
pub(crate) const CHECKSUMS_INTERVAL: Duration = Duration::from_millis(500);

/// Connections that stay open for asking after checksums, beside those of gossip. Where more are
/// needed, some are opened anew for each comparison.
pub(crate) const CHECKSUM_CHANNELS_MAX: usize = 128;

/// How often a member compares its view with those of a few others: a split is to be seen within
/// five seconds.
pub(crate) const AGREEMENT_INTERVAL: Duration = Duration::from_secs(1);

/// Members that are asked then. Two each second go through a small cluster in seconds, and of two
/// halves of a large one they miss the other half in one of 16 cases after two seconds.
pub(crate) const AGREEMENT_ASKED_MAX: usize = 2;

/// For how long the view of another member may differ at least before it is a problem. It is twice
/// the time in which a change reaches 99 of 100 members of such a cluster, if that is longer.
pub(crate) const AGREEMENT_PATIENCE_MIN: Duration = Duration::from_millis(2500);

/// For how long it may differ at most.
pub(crate) const AGREEMENT_PATIENCE_MAX: Duration = Duration::from_secs(30);

/// Changes of the own view within that time up to which views are compared. With more of them,
/// views differ all the time.
pub(crate) const AGREEMENT_CHANGES_MAX: usize = 5;

/// Requests of administration over HTTP at a time; streams of events have their own bound, and
/// browsers open six connections each.
#[cfg(feature = "http-admin")]
pub(crate) const HTTP_ADMIN_REQUESTS_MAX: usize = 64;

/// How long an answer over HTTP may take that changes nothing: more than a comparison of all
/// members.
#[cfg(feature = "http-admin")]
pub(crate) const HTTP_ADMIN_READ_LIMIT: Duration = Duration::from_secs(6);

/// How long a command over HTTP may take: somewhat more than a healing does at most.
#[cfg(feature = "http-admin")]
pub(crate) const HTTP_ADMIN_COMMAND_LIMIT: Duration = Duration::from_secs(65);

/// How often a stream of events says something while nothing happens: browsers and proxies notice
/// a broken connection by it.
#[cfg(feature = "http-admin")]
pub(crate) const HTTP_ADMIN_HEARTBEAT: Duration = Duration::from_secs(5);

/// Largest answer of a member that is passed on as JSON, in bytes: 100,000 members with labels, as
/// many as a member remembers.
#[cfg(feature = "http-admin")]
pub(crate) const HTTP_ADMIN_ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of the page with all its files: it loads in a moment over any line.
#[cfg(all(test, feature = "http-admin"))]
pub(crate) const HTTP_ADMIN_PAGE_BYTES_MAX: usize = 200_000;

/// Time that a beacon may be under way and still be believed. What took longer shows a clock that
/// is wrong, or a member that stood still.
pub(crate) const BEACON_AGE_MAX: Duration = Duration::from_secs(120);

/// How far a beacon may come from the future: clocks that are kept by NTP differ by less.
pub(crate) const BEACON_AHEAD_MAX: Duration = Duration::from_millis(50);

/// Beacons of others that the measured times are taken from, the latest ones.
pub(crate) const BEACONS_KEPT_MAX: usize = 1024;

/// Shortest time between two beacons of the whole cluster. Each is a change that every member gets.
pub const BEACON_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Label with the time of the latest beacon of a member, in microseconds of the Unix epoch.
pub const BEACON_LABEL: &str = "propagation-beacon";

/// Keys with a counter of their own: every key of more than 0.4 % of the calls is found.
pub(crate) const HOT_KEYS_COUNTED_MAX: usize = 256;

/// Bytes of a hot key that are kept to show it; most keys are shorter.
pub(crate) const HOT_KEY_BYTES_MAX: usize = 64;

/// How long calls are counted together. Answers cover this window and the one before: a person sees
/// the keys that are hot now, with enough calls to compare them.
pub(crate) const HOT_KEYS_WINDOW: Duration = Duration::from_secs(30);

/// Hot keys that are told when nobody says how many: as many as a screen has room for.
pub(crate) const HOT_KEYS_TOLD: usize = 10;

/// Most hot keys that are told.
pub(crate) const HOT_KEYS_TOLD_MAX: usize = 100;
