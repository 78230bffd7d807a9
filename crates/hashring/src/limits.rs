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
pub const DEFAULT_MAX_POINTS: u32 = 1 << 23;

/// The most points that [`RingBuilder::max_points`](crate::RingBuilder::max_points) can allow:
/// 268,435,456.
///
/// Positions of points are `u32`; this leaves room for every sum of them, at about 4.5 GB for the
/// ring.
pub const MAX_POINTS: u32 = 1 << 28;

/// The most nodes in one ring: 16,777,216, far beyond any membership list, so that node indices can
/// be `u32`.
pub const MAX_NODES: usize = 1 << 24;

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
pub const DISCOVERED_BACKENDS_MAX: usize = 1 << 20;
