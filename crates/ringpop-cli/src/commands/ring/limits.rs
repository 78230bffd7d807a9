//! Every limit of `ringpop ring`, with how the number was chosen.

/// Largest file of backends in bytes: 100,000 backends, the most that a member remembers as
/// members, with 160 bytes each.
pub(super) const BACKENDS_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Largest file of tokens in bytes: two million tokens of 32 bytes, which `pick` holds in memory
/// with their owners.
pub(super) const TOKENS_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Most ranges that `diff --ranges` shows, at about a hundred bytes each.
pub(super) const RANGES_MAX: usize = 1_000_000;

/// Largest ring that `plan` lays out as a sample, in points. It takes a tenth of a second.
pub(super) const SAMPLE_POINTS_MAX: u64 = 1 << 20;

/// Bytes that a point of a ring takes at most, as the ring library documents it.
pub(super) const POINT_BYTES_MAX: u64 = 20;

/// Bytes that a backend takes at most by rendezvous: the hash of its name and its index in vectors
/// with room to grow, and a group of its own when no other one has its weight.
pub(super) const NODE_BYTES_MAX: u64 = 40;

/// Bytes that a number takes at most by jump: an index in a vector with room to grow.
pub(super) const NUMBER_BYTES_MAX: u64 = 8;

/// Bytes that a point of spread-minimizing placement takes at most, with what further numbers are
/// computed of.
pub(super) const SPREAD_POINT_BYTES_MAX: u64 = 48;

/// Most backends of a picture. With more, an arc of the inner ring is thinner than a third of a
/// pixel.
pub(super) const PICTURE_BACKENDS_MAX: usize = 4_000;

/// Most backends whose bars are drawn. More do not fit a picture that a screen shows at once; of
/// longer lists the busiest and the idlest are drawn.
pub(super) const PICTURE_BARS_MAX: usize = 60;

/// Most arcs of the circle that are drawn one by one. With more, an arc is thinner than a line, so
/// the circle is cut in this many cells of half a degree, and each has the colour of the backend
/// that owns most of it.
pub(super) const PICTURE_ARCS_MAX: usize = 720;

/// Points of each number of a backend by spread-minimizing placement: shares are even to 0.2 %.
pub(super) const SPREAD_POINTS: u32 = 512;
