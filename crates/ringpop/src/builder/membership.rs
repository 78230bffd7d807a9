//! Settings of this member in the cluster: its name and labels, its peers, the protocol.

use std::sync::Arc;
use std::time::Duration;

use ringpop_discovery::Discovery;
use swim_core::Config;

use super::Builder;
use crate::inner::Expected;

impl Builder {
    /// A stable name that places this member on the ring: it owns the same keys when it comes back
    /// at another address. It has 1 to 1,024 bytes, not only white space. Default: the address.
    pub fn identity(mut self, identity: impl Into<String>) -> Self {
        self.identity = Some(identity.into());
        self
    }

    /// Adds a label that all members see. Each key may be given once; a label
    /// `weight` or `zone` is the same as [`weight`](Self::weight) or
    /// [`zone`](Self::zone).
    ///
    /// There may be 5 labels, with keys of 1 to 32 bytes and values of up to 128. The weight, the
    /// zone and a [placement](Self::placement) other than rendezvous count among the 5 when they
    /// are set. [`ConfigBuilder::label_limits`](swim_core::ConfigBuilder::label_limits) raises
    /// these limits, up to 16 labels, 256 bytes and 1,024.
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.push((key.into(), value.into()));
        self
    }

    /// How much of the keys this member owns, relative to others: 0 to
    /// [`WEIGHT_MAX`](crate::limits::WEIGHT_MAX), default 1. Others need no
    /// configuration; the weight travels as a label.
    pub const fn weight(mut self, weight: u32) -> Self {
        self.weight = Some(weight);
        self
    }

    /// The failure domain of this member. It travels as a [label](Self::label) and is bound by the
    /// same limits: up to 128 bytes by default.
    pub fn zone(mut self, zone: impl Into<String>) -> Self {
        self.zone = Some(zone.into());
        self
    }

    /// How long discovery may have nobody to join, because its answer is empty,
    /// names only this member or does not resolve, before this member begins a
    /// cluster of its own; at most the join duration of the configuration.
    /// `None`: never, [`Ringpop::bootstrap`] fails instead. Default:
    /// [`ALONE_AFTER`](crate::limits::ALONE_AFTER).
    ///
    /// A member that starts alone goes on looking, and joins the others when
    /// discovery lists them. A fixed list that names only this member is not
    /// waited for.
    ///
    /// [`Ringpop::bootstrap`]: crate::Ringpop::bootstrap
    pub fn start_alone_after(mut self, wait: impl Into<Option<Duration>>) -> Self {
        self.alone_after = wait.into();
        self
    }

    /// Where the other members come from; an `Arc` of a source is one, too. Default: nowhere, a
    /// cluster of one.
    pub fn discovery(mut self, discovery: impl Discovery) -> Self {
        self.discovery = Some(Arc::new(discovery));
        self
    }

    /// Has [`Ringpop::bootstrap`] wait until `members` of them are reachable, this one included, or
    /// until the time `within` has passed since it began, which the log tells. A cluster that
    /// starts as a whole then moves each key once. Default: any member is enough.
    ///
    /// Others must be able to find this member meanwhile: where discovery lists only those that are
    /// ready, everybody waits for the whole time.
    ///
    /// [`Ringpop::bootstrap`]: crate::Ringpop::bootstrap
    pub const fn expect(mut self, members: usize, within: Duration) -> Self {
        self.expected = Some(Expected { members, within });
        self
    }

    /// The settings of the membership protocol. Default: [`Config::lan`].
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }
}
