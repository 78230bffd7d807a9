//! Every default and every bound of this crate, with how each number was chosen.

use std::time::Duration;

/// Points of a node per unit of weight, where nothing else is asked for.
///
/// With a hash that spreads ideally, the shares of `n` equal nodes deviate by about `1 /
/// sqrt(points)`: 100 points give a standard deviation of 10 % and a busiest node 15 % (10 nodes)
/// to 36 % (1,000 nodes) above the mean. That is where most implementations have settled (100 in
/// Ringpop, 160 in Ketama and nginx); the README has the table for other targets.
pub const DEFAULT_POINTS_PER_WEIGHT_UNIT: u32 = 100;

/// Points that a ring may have, unless its builder allows more: 8,388,608.
///
/// It is Envoy's `max_ring_size` as well. A ring of this size takes about 130 MB; a mistaken weight
/// of a million must not take the process down.
pub const POINTS_MAX_DEFAULT: u32 = 1 << 23;

/// The most points that [`RingBuilder::max_points`](crate::RingBuilder::max_points) can allow:
/// 268,435,456.
///
/// Positions of points are `u32`; this leaves room for every sum of them, at about 4.5 GB for the
/// ring.
pub const POINTS_MAX: u32 = 1 << 28;

/// The most nodes in one ring: 16,777,216, far beyond any membership list, so that node indices can
/// be `u32`.
pub const NODES_MAX: usize = 1 << 24;

/// Points that a walk looks at before it starts a bitmap of the owners it has seen.
///
/// Up to here it looks back over the points it has passed, which needs no memory and is faster: a
/// look back over 128 owners reads eight cache lines. A walk on a healthy ring ends after about as
/// many points as it wants owners.
pub(crate) const WALK_LOOKBACK: usize = 128;

/// The longest quarantine: 24 hours. A backend that stays dead for longer is a matter for
/// discovery.
pub const QUARANTINE_WINDOW_MAX: Duration = Duration::from_secs(24 * 60 * 60);

/// The part of the listed backends that may be in quarantine at the same time, in percent: what
/// Envoy and gRPC's outlier detection (proposal A50) allow.
pub const QUARANTINED_PERCENT_DEFAULT: u8 = 10;

/// How many listed backends are never in quarantine at the same time. Without the last one no
/// request is served at all.
pub const MIN_ELIGIBLE_DEFAULT: usize = 1;

/// The part of the listed backends that has to be out of quarantine for it to be looked at, in
/// percent; Envoy's panic threshold.
pub const PANIC_PERCENT_DEFAULT: u8 = 50;

/// Points that a ring may have beyond its limit when its scheme divides a number of points among
/// all nodes: one, by the rounding of the last sum, as in Envoy and gRPC.
pub(crate) const ROUNDING_POINTS: u32 = 1;

/// Backends whose local health is remembered, unless asked for otherwise: 65,536, more than any
/// client talks to, at about 100 bytes each.
pub const TRACKED_BACKENDS_DEFAULT: usize = 65_536;

/// The most backends that one list from discovery may have: 1,048,576. A longer list is refused as
/// a whole, because a part of it would be a wrong membership.
pub const DISCOVERED_BACKENDS_MAX: usize = 1 << 17;

/// Places of a key by [`LocalRendezvous`](crate::LocalRendezvous): shares deviate 0.27 times as
/// much as on the ring, and the busiest of 1,000 nodes of 100 points has 1.08 times the mean on
/// average (1.11 with bad luck). With three places these are 0.32 and 1.10, with five 0.24 and
/// 1.07. Each place costs a search, about 10 ns at that size.
pub(crate) const LOCAL_RENDEZVOUS_PLACES: usize = 4;

/// Entries of the table of [`Maglev`](crate::Maglev) unless asked for otherwise: the smaller one of
/// the paper, and Envoy's.
pub const MAGLEV_TABLE_SIZE: u32 = 65_537;

/// The most entries of such a table: the largest prime below 2^24. It takes 64 MiB.
pub const MAGLEV_TABLE_SIZE_MAX: u32 = 16_777_213;

/// Numbers that a key tries by [`Jump`](crate::Jump) and
/// [`SpreadMinimizing`](crate::SpreadMinimizing) before it takes the next that is not vacant. While
/// half of them are taken, all tries fail for one key in 10^19.
pub(crate) const PROBES_MAX: u32 = 64;

/// The fewest points of an ordinal of [`SpreadMinimizing`](crate::SpreadMinimizing). With fewer,
/// what one node leaves falls to too few others.
pub const SPREAD_POINTS_MIN: u32 = 16;

/// The most points of such an ordinal: shares are even to a hundredth of a percent.
pub const SPREAD_POINTS_MAX: u32 = 8_192;

/// Places on which it is counted how many keys move, where no formula says it: the standard error
/// is below 0.15 % of all keys, and two lookups of each take a hundredth of a second.
pub(crate) const MOVED_SAMPLE: u32 = 1 << 17;
