//! The settings of a member: presets, a builder, and the checks of values.

use std::time::Duration;

use crate::labels::LabelLimits;
use crate::limits;

mod bounds;
mod coalescing;
mod damping;
mod setting;

pub use bounds::{ConfigError, check_app};
use bounds::{at_least, within};
pub use coalescing::Coalescing;
pub use damping::Damping;
use setting::SettingField;
pub use setting::{Setting, SettingError};

/// The settings of a [`Node`](crate::Node). Made by a preset or by
/// [`Config::builder`], which checks every value.
///
/// ```
/// use std::time::Duration;
/// use swim_core::Config;
///
/// let config = Config::builder().suspect_timeout(Duration::from_secs(3)).build()?;
/// assert_eq!(config.suspect_timeout(), Duration::from_secs(3));
///
/// let error = Config::builder().protocol_period(Duration::ZERO).build().unwrap_err();
/// assert_eq!(error.to_string(), "protocol_period is 0ns, it must be at least 1ms");
/// # Ok::<(), swim_core::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    fields: ConfigBuilder,
}

/// Sets the values of a [`Config`]. Starts from a preset.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a builder does nothing until `build` is called"]
pub struct ConfigBuilder {
    protocol_period: Duration,
    ping_timeout: Duration,
    ping_req_timeout: Duration,
    ping_req_helpers: usize,
    inconclusive_probes_max: u32,
    suspicion_probes: usize,
    probes_max: usize,
    adaptive_period: bool,
    shared_rounds: bool,
    awareness_max: u32,
    late_acks: bool,
    second_path: bool,
    buddy: bool,
    suspect_timeout: Duration,
    suspect_timeout_scaled: bool,
    suspect_timeout_max_factor: u32,
    suspect_confirmations: usize,
    faulty_accusers_min: usize,
    faulty_timeout: Duration,
    tombstone_timeout: Duration,
    piggyback_factor: u32,
    repeat_to_source: bool,
    message_bytes_max: usize,
    join_size: usize,
    join_parallelism: usize,
    join_timeout: Duration,
    join_delay_min: Duration,
    join_delay_max: Duration,
    join_duration_max: Duration,
    sync_jobs_max: usize,
    sync_timeout: Duration,
    sync_period: Duration,
    sync_whole_list: bool,
    leave_pings_max: usize,
    leave_pings_percent: usize,
    heal_period: Duration,
    heal_probability_base: u32,
    heal_failures_max: usize,
    verify_claims: bool,
    redial_period: Duration,
    members_max: usize,
    label_limits: LabelLimits,
    damping: Option<Damping>,
    coalescing: Option<Coalescing>,
}

/// Declares for each field the setter and the getter under one doc text.
macro_rules! fields {
    ($($(#[$doc:meta])* $field:ident: $type:ty;)*) => {
        impl ConfigBuilder {
            $($(#[$doc])* pub const fn $field(mut self, value: $type) -> Self {
                self.$field = value;
                self
            })*
        }

        impl Config {
            $($(#[$doc])* #[must_use] pub const fn $field(&self) -> $type {
                self.fields.$field
            })*

            /// The settings by the names of their fields, in order of declaration. Those that
            /// are more than one value, [`label_limits`](Self::label_limits),
            /// [`damping`](Self::damping) and [`coalescing`](Self::coalescing), are not among
            /// them.
            pub fn settings(&self) -> impl Iterator<Item = (&'static str, Setting)> {
                let all = [$((stringify!($field), self.fields.$field.to_setting()),)*];
                all.into_iter().filter_map(|(name, value)| Some((name, value?)))
            }
        }

        impl ConfigBuilder {
            /// Sets the field of this name, one of [`Config::settings`].
            ///
            /// # Errors
            ///
            /// When there is no such field, or it takes another kind of value. Whether the value
            /// is within its bounds is checked by [`build`](Self::build).
            pub fn set(mut self, name: &str, value: Setting) -> Result<Self, SettingError> {
                match name {
                    $(stringify!($field) => self.$field.take_setting(name, value)?,)*
                    _ => return Err(SettingError::Unknown { name: name.to_owned() }),
                }
                Ok(self)
            }
        }
    };
}

fields! {
    /// Time between the starts of two probes. Shorter detects failures sooner
    /// and costs more messages. At least 1 ms; LAN 200 ms.
    protocol_period: Duration;
    /// How long a ping may take before helpers are asked. Should exceed the
    /// round trip under load. At least 1 ms; LAN 500 ms.
    ping_timeout: Duration;
    /// How long the helpers may take. Longer than `ping_timeout`, because a
    /// helper waits that long for the target. LAN 1.5 s.
    ping_req_timeout: Duration;
    /// Helpers that are asked to ping a member that did not answer: `k` of the
    /// SWIM paper. A member that nobody answered asks 16. 0 to 16; 3 everywhere.
    ping_req_helpers: usize;
    /// Inconclusive probes of one member in a row before it is suspected all the
    /// same: probes in which neither a full set of helpers nor any other member
    /// answered. Such a probe says more about the prober than about the target; but
    /// when most of a cluster is gone, the members that remain must find out. LAN 1;
    /// Ringpop has no such bound.
    inconclusive_probes_max: u32;
    /// Further members that are probed at once when a probe ends in a suspicion while
    /// others answer, at most once in a period: they hear of it as soon, and so all
    /// suspicions end together. 0 to 32; 3 everywhere, the others of a cluster of
    /// five, and 0 in Ringpop.
    suspicion_probes: usize;
    /// Probes under way at once; while there are that many, a period starts
    /// none. A period starts one, and four while most members are gone. 1 to 32;
    /// 32 everywhere, 1 in Ringpop, where a slow probe delays the next.
    probes_max: usize;
    /// Whether the period grows to twice the median duration of the last ten
    /// probes, as in Ringpop. Elsewhere `awareness_max` does that job.
    adaptive_period: bool;
    /// Whether members share the order of their probes by the wall clock: each
    /// member is then probed once in each period, and a failure meets a probe within
    /// two. All members should have the same period; one whose clock or period
    /// differs probes as if at random. Off in Ringpop, where each member goes round
    /// its own list.
    shared_rounds: bool;
    /// Lifeguard: signs that this member itself is slow stretch the period and
    /// timeout of its probes up to this factor. 1 switches it off; 8 as in the
    /// paper.
    awareness_max: u32;
    /// Whether a helper may answer a ping-req twice: after 80 % of its ping
    /// timeout that the target was not reached so far, and later that it was.
    /// On for datagrams; off for transports on which a request has one answer,
    /// where the answer after 80 % is the last.
    late_acks: bool;
    /// Whether the driver offers a second path for probes, such as TCP beside
    /// UDP: a ping marked [`Path::Second`](crate::Path::Second) is emitted
    /// along with the ping-reqs. Off everywhere.
    second_path: bool;
    /// Lifeguard's buddy system: whether a request to a suspect always carries the
    /// suspicion, however often that was sent already. The suspect then refutes at
    /// the first contact. On except in Ringpop.
    buddy: bool;
    /// How long a suspect member has at least to refute before it is faulty.
    /// LAN 4 s.
    suspect_timeout: Duration;
    /// Whether `suspect_timeout` is multiplied by `max(1, log10(n))` with `n`
    /// reachable members: gossip takes that much longer to reach the suspect. On
    /// except in Ringpop.
    suspect_timeout_scaled: bool;
    /// Lifeguard: a suspicion starts with this multiple of its timeout, which
    /// confirmations by other members shorten. 1 switches it off. 6 as in
    /// memberlist.
    suspect_timeout_max_factor: u32;
    /// Lifeguard: confirmations that bring the timeout down to its minimum.
    /// 0 to 16; 3 as in the paper.
    suspect_confirmations: usize;
    /// Distinct accusers that a suspect needs before it is faulty, at most as many as
    /// there are alive members. With fewer it stays suspect, for up to four times the
    /// longest suspicion. 1 to 16; 1 everywhere: more trades speed for accuracy.
    faulty_accusers_min: usize;
    /// How long a faulty member, or one that left, is remembered before its
    /// tombstone is spread. 24 h everywhere.
    faulty_timeout: Duration;
    /// How long a tombstone is kept before the member is forgotten. Must
    /// outlast the spreading of the tombstone. 60 s everywhere.
    tombstone_timeout: Duration;
    /// A change is piggybacked `factor * ceil(log10(n + 1))` times, `n` being
    /// the number of other reachable members. 1 to 1,000; 15 everywhere, as in Ringpop.
    piggyback_factor: u32;
    /// Whether a ping or ping-req repeats to a member the changes that it is the
    /// source of. Off, since it knows them; on in Ringpop, which leaves them out
    /// of answers only.
    repeat_to_source: bool;
    /// Bytes of changes in one message in the encoding of feature `wire`.
    /// Datagram transports set their packet budget less 512 bytes or so for
    /// the header. A single change that is larger is sent alone. 512 bytes to
    /// 16 MiB; 60 KiB everywhere.
    message_bytes_max: usize;
    /// Members that a join wants answers from, at most as many as there are
    /// other peers. 1 to 1,000; 3 everywhere.
    join_size: usize;
    /// Join requests under way at once for each answer that is still wanted.
    /// 1 to 100; 2 everywhere.
    join_parallelism: usize;
    /// How long a peer may take to answer a join request. 1 s everywhere.
    join_timeout: Duration;
    /// First pause after all peers were tried in vain; it doubles each time,
    /// and the actual pause is drawn between the last and the next bound. 100 ms.
    join_delay_min: Duration;
    /// Longest pause between two rounds over the peers. LAN 5 s.
    join_delay_max: Duration;
    /// How long a join may take as a whole before it fails. 120 s everywhere.
    join_duration_max: Duration;
    /// Full syncs that a member runs at once; further ones are left out and
    /// counted. 1 to 1,000; 5 everywhere, as in Ringpop.
    sync_jobs_max: usize;
    /// How long one step of a full sync may take. LAN 1 s.
    sync_timeout: Duration;
    /// Time after which the next difference between two views leads to a full sync,
    /// whatever gossip still has to send: it repairs what gossip missed. A day or
    /// more means hardly ever. At least 100 ms; LAN 30 s.
    sync_period: Duration;
    /// Whether a full sync is Ringpop's: the answer to a ping or ping-req
    /// carries the whole list, or as much as `message_bytes_max` allows, and
    /// to a ping a join request follows that asks for the peer's list in
    /// return. Off except in Ringpop: digests cost only the difference, but other
    /// implementations of Ringpop do not know them.
    sync_whole_list: bool;
    /// Most members to which a leave or an eviction is announced directly.
    /// 0 to 1,000; 16 everywhere.
    leave_pings_max: usize;
    /// The same as a part of the reachable members, in percent. 0 to 100; 100
    /// everywhere, 40 in Ringpop.
    leave_pings_percent: usize;
    /// Time between chances to ask discovery for hosts of other partitions. 30 s
    /// everywhere. A member that is alone asks once in each `redial_period`.
    heal_period: Duration;
    /// At each chance each of `n` members asks with probability `base / n`: the
    /// cluster as a whole asks about `base` times. 0 switches healing off; 3
    /// everywhere, as in Ringpop.
    heal_probability_base: u32;
    /// Failed attempts after which a healing that was asked for by
    /// [`Node::heal`](crate::Node::heal) gives up. 1 to 1,000; 10 everywhere.
    heal_failures_max: usize;
    /// Whether a member checks claims about members by direct contact. An unknown or
    /// gone member comes onto the ring once this member has reached it, or two members
    /// named it in answers; a member that a request calls faulty or left is pinged
    /// before it goes off the ring. Neither a stranger nor a single lying member can
    /// then put invented members on the ring, or take real ones off it. A member whose
    /// requests are answered while none arrives doubts that others reach it. Off in
    /// Ringpop, which believes every sender; on elsewhere.
    verify_claims: bool;
    /// Time in which the members of a cluster together dial each address that is
    /// gone once, to find out whether it is back. With more such addresses than
    /// seconds it takes longer: a cluster dials at most one address a second. At
    /// least 100 ms; 3 s everywhere, 30 s in Ringpop.
    redial_period: Duration;
    /// Most members in the list, whatever their status; changes about
    /// further ones are refused and counted. At least 2; 100,000 everywhere.
    members_max: usize;
    /// Number and length of the labels that this member may give itself: 5 labels
    /// with keys of 32 bytes and values of 128 everywhere; at most 16, 256 and
    /// 1,024. In the crate `ringpop` zone and weight count among them. Members
    /// with different limits work together: the labels of others are bounded by
    /// [`limits`](crate::limits) only.
    label_limits: LabelLimits;
    /// Flap damping: members that fail and come back again and again are kept off
    /// the ring for a while. `None`, off, everywhere.
    damping: Option<Damping>;
    /// When [`Event::ViewChanged`](crate::Event::ViewChanged) reports a burst of
    /// changes as one. `None`, off, everywhere.
    coalescing: Option<Coalescing>;
}

impl Config {
    /// Starts from [`Config::lan`].
    pub const fn builder() -> ConfigBuilder {
        Self::lan().fields
    }

    /// For members in one data centre. The default.
    #[must_use]
    pub const fn lan() -> Self {
        Self {
            fields: ConfigBuilder {
                protocol_period: Duration::from_millis(200),
                ping_timeout: Duration::from_millis(500),
                ping_req_timeout: Duration::from_millis(1500),
                ping_req_helpers: 3,
                inconclusive_probes_max: 1,
                suspicion_probes: 3,
                probes_max: limits::PROBES_MAX,
                adaptive_period: false,
                shared_rounds: true,
                awareness_max: 8,
                late_acks: false,
                second_path: false,
                buddy: true,
                suspect_timeout: Duration::from_secs(4),
                suspect_timeout_scaled: true,
                suspect_timeout_max_factor: 6,
                suspect_confirmations: 3,
                faulty_accusers_min: 1,
                faulty_timeout: Duration::from_secs(24 * 60 * 60),
                tombstone_timeout: Duration::from_secs(60),
                piggyback_factor: 15,
                repeat_to_source: false,
                message_bytes_max: 60 * 1024,
                join_size: 3,
                join_parallelism: 2,
                join_timeout: Duration::from_secs(1),
                join_delay_min: Duration::from_millis(100),
                join_delay_max: Duration::from_secs(5),
                join_duration_max: Duration::from_secs(120),
                sync_jobs_max: 5,
                sync_timeout: Duration::from_secs(1),
                sync_period: Duration::from_secs(30),
                sync_whole_list: false,
                leave_pings_max: 16,
                leave_pings_percent: 100,
                heal_period: Duration::from_secs(30),
                heal_probability_base: 3,
                heal_failures_max: 10,
                verify_claims: true,
                redial_period: Duration::from_secs(3),
                members_max: 100_000,
                label_limits: LabelLimits { count: 5, key_bytes: 32, value_bytes: 128 },
                damping: None,
                coalescing: None,
            },
        }
    }

    /// For members that are far apart: everything takes longer.
    #[must_use]
    pub const fn wan() -> Self {
        let mut config = Self::lan();
        config.fields.protocol_period = Duration::from_secs(1);
        config.fields.ping_timeout = Duration::from_secs(3);
        config.fields.ping_req_timeout = Duration::from_secs(8);
        config.fields.suspect_timeout = Duration::from_secs(20);
        config.fields.join_timeout = Duration::from_secs(5);
        config.fields.sync_timeout = Duration::from_secs(5);
        config
    }

    /// For processes on one machine, such as a development cluster.
    #[must_use]
    pub const fn local() -> Self {
        let mut config = Self::lan();
        config.fields.ping_timeout = Duration::from_millis(300);
        config.fields.ping_req_timeout = Duration::from_millis(900);
        config.fields.suspect_timeout = Duration::from_secs(2);
        config.fields.join_delay_max = Duration::from_secs(1);
        config
    }

    /// The timings and rules of ringpop-go, without Lifeguard.
    #[must_use]
    pub const fn ringpop() -> Self {
        let mut config = Self::lan();
        config.fields.ping_timeout = Duration::from_millis(1500);
        config.fields.ping_req_timeout = Duration::from_secs(5);
        config.fields.inconclusive_probes_max = u32::MAX;
        config.fields.suspicion_probes = 0;
        config.fields.probes_max = 1;
        config.fields.adaptive_period = true;
        config.fields.shared_rounds = false;
        config.fields.awareness_max = 1;
        config.fields.buddy = false;
        config.fields.verify_claims = false;
        config.fields.suspect_timeout = Duration::from_secs(5);
        config.fields.suspect_timeout_scaled = false;
        config.fields.suspect_timeout_max_factor = 1;
        config.fields.suspect_confirmations = 0;
        config.fields.redial_period = Duration::from_secs(30);
        config.fields.sync_period = Duration::from_secs(24 * 60 * 60);
        config.fields.sync_whole_list = true;
        config.fields.repeat_to_source = true;
        config.fields.leave_pings_max = 1000;
        config.fields.leave_pings_percent = 40;
        config.fields.join_delay_max = Duration::from_secs(60);
        config
    }

    /// A builder that starts from this configuration.
    pub fn to_builder(&self) -> ConfigBuilder {
        self.fields.clone()
    }
}

impl Default for Config {
    fn default() -> Self {
        Self::lan()
    }
}

impl Default for ConfigBuilder {
    fn default() -> Self {
        Config::builder()
    }
}

impl ConfigBuilder {
    /// Checks the values.
    ///
    /// # Errors
    ///
    /// When a value is out of its range; the error names field, value and bound.
    pub fn build(self) -> Result<Config, ConfigError> {
        self.check_probes()?;
        self.check_statuses()?;
        self.check_joins()?;
        self.check_rest()?;
        Ok(Config { fields: self })
    }

    fn check_probes(&self) -> Result<(), ConfigError> {
        let ms = Duration::from_millis(1);
        at_least("protocol_period", self.protocol_period, ms)?;
        at_least("ping_timeout", self.ping_timeout, ms)?;
        at_least("ping_req_timeout", self.ping_req_timeout, self.ping_timeout)?;
        within("ping_req_helpers", self.ping_req_helpers, 0, limits::HELPERS_MAX)?;
        within("probes_max", self.probes_max, 1, limits::PROBES_MAX)?;
        within("suspicion_probes", self.suspicion_probes, 0, limits::PROBES_MAX)?;
        within("awareness_max", self.awareness_max as usize, 1, 1000)?;
        Ok(())
    }

    fn check_statuses(&self) -> Result<(), ConfigError> {
        let ms = Duration::from_millis(1);
        at_least("suspect_timeout", self.suspect_timeout, ms)?;
        let factor = self.suspect_timeout_max_factor as usize;
        within("suspect_timeout_max_factor", factor, 1, 1000)?;
        within("suspect_confirmations", self.suspect_confirmations, 0, limits::HELPERS_MAX)?;
        within("faulty_accusers_min", self.faulty_accusers_min, 1, limits::HELPERS_MAX)?;
        at_least("faulty_timeout", self.faulty_timeout, ms)?;
        at_least("tombstone_timeout", self.tombstone_timeout, ms)?;
        Ok(())
    }

    fn check_joins(&self) -> Result<(), ConfigError> {
        let ms = Duration::from_millis(1);
        within("join_size", self.join_size, 1, 1000)?;
        within("join_parallelism", self.join_parallelism, 1, 100)?;
        at_least("join_timeout", self.join_timeout, ms)?;
        at_least("join_delay_min", self.join_delay_min, ms)?;
        at_least("join_delay_max", self.join_delay_max, self.join_delay_min)?;
        at_least("join_duration_max", self.join_duration_max, self.join_timeout)?;
        Ok(())
    }

    fn check_rest(&self) -> Result<(), ConfigError> {
        let ms = Duration::from_millis(1);
        within("piggyback_factor", self.piggyback_factor as usize, 1, 1000)?;
        within("message_bytes_max", self.message_bytes_max, 512, 16 << 20)?;
        within("sync_jobs_max", self.sync_jobs_max, 1, 1000)?;
        at_least("sync_timeout", self.sync_timeout, ms)?;
        at_least("sync_period", self.sync_period, ms * 100)?;
        within("leave_pings_max", self.leave_pings_max, 0, 1000)?;
        within("leave_pings_percent", self.leave_pings_percent, 0, 100)?;
        at_least("heal_period", self.heal_period, ms * 100)?;
        within("heal_probability_base", self.heal_probability_base as usize, 0, 1000)?;
        within("heal_failures_max", self.heal_failures_max, 1, 1000)?;
        at_least("redial_period", self.redial_period, ms * 100)?;
        within("members_max", self.members_max, 2, u32::MAX as usize)?;
        within("label_limits.count", self.label_limits.count, 0, limits::PUBLIC_LABELS_MAX)?;
        let LabelLimits { key_bytes, value_bytes, .. } = self.label_limits;
        within("label_limits.key_bytes", key_bytes, 1, limits::LABEL_KEY_BYTES_MAX)?;
        within("label_limits.value_bytes", value_bytes, 0, limits::LABEL_VALUE_BYTES_MAX)?;
        self.damping.map_or(Ok(()), |damping| damping.check())?;
        self.coalescing.map_or(Ok(()), |coalescing| coalescing.check())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn presets_pass_their_own_checks() {
        for config in [Config::lan(), Config::wan(), Config::local(), Config::ringpop()] {
            assert_eq!(config.to_builder().build(), Ok(config));
        }
    }

    #[test]
    fn errors_name_field_value_and_bound() {
        let error = Config::builder().ping_req_helpers(17).build().unwrap_err();
        assert_eq!(error.to_string(), "ping_req_helpers is 17, it must be between 0 and 16");
        let error = Config::builder().ping_req_timeout(Duration::from_millis(1)).build();
        assert_eq!(
            error.unwrap_err().to_string(),
            "ping_req_timeout is 1ms, it must be at least 500ms"
        );
    }
}
