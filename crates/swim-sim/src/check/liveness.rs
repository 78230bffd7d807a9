//! After the last fault all come to one view, and fall silent.
//!
//! Source: SWIM, section 4.3 (time-bounded completeness: successive probes of
//! one member are at most `2N - 1` periods apart), Lifeguard, section IV (how
//! far timeouts stretch), and `docs/protocol.md` for healing and joining. The
//! bound is a sum of the longest time that each step may take.

use std::time::Duration;

use swim_core::Config;

use crate::time::Nanos;

/// Passes over the addresses that are gone after which the parts of a cluster have met. With clocks
/// that differ a part dials another in one pass with probability `1 - 1/e`, and so does the other
/// one: ten pass in vain once in `e^20` times.
const PASSES: u32 = 10;

/// Dials that bring two parts together which met: rounds in which members refute,
/// and one that merges.
const FOLLOW_UPS: u32 = 8;

/// The longest that a fault holds a packet up.
const PACKET_MAX: Duration = Duration::from_secs(8);

/// How long agreement may take among so many hosts.
pub(crate) fn agreement_bound(config: &Config, hosts: u32) -> Nanos {
    let scale =
        if config.suspect_timeout_scaled() { libm::log10(f64::from(hosts)).max(1.0) } else { 1.0 };
    let stretch = config.awareness_max();
    let period = config.protocol_period() * stretch;
    let probe = (config.ping_timeout() + config.ping_req_timeout()) * stretch;
    let found = period.max(probe * u32::from(config.adaptive_period())) * (2 * hosts);
    let suspicion = config.suspect_timeout().mul_f64(scale) * config.suspect_timeout_max_factor();
    let join = config.join_delay_max() * 2 + config.join_duration_max();
    let pass = config.redial_period().max(Duration::from_secs(hosts.into()));
    let follow_up = config.protocol_period() * 10 + config.join_timeout() * 4;
    // Discovery may list hosts only after the last fault.
    let heal = config.heal_period() * 4 + pass * PASSES + follow_up * FOLLOW_UPS;
    let sync = config.sync_period().min(Duration::from_secs(60)) * 4;
    nanos(found + (probe + suspicion) * 2 + join + heal + sync)
}

/// How long the last news may go on to be spread among so many hosts.
pub(crate) fn silence_bound(config: &Config, hosts: u32) -> Nanos {
    let sends = config.piggyback_factor() * (hosts.max(1).ilog10() + 1);
    // A member sends at least one message in a period, stretched or not; a
    // change about one that pings it is left out of what it is told.
    let probe = config.ping_timeout() + config.ping_req_timeout();
    let period = config.protocol_period().max(probe * u32::from(config.adaptive_period()));
    nanos(period * (2 * sends + 2 * hosts) * 2)
}

/// How long a probe that began before the end of the last fault may take to
/// fail, and a packet that was held up to arrive. The probe keeps the timeouts
/// of the time at which it began, when its member may have been stretched as far
/// as it goes, however well the member is when all have agreed.
pub(crate) fn aftermath(config: &Config) -> Nanos {
    let probe = config.ping_timeout() + config.ping_req_timeout();
    nanos((config.protocol_period() + probe) * config.awareness_max() + PACKET_MAX)
}

/// How long changes go on by themselves: failed members are forgotten after
/// some time, unless that time is longer than any run.
pub(crate) fn memory_bound(config: &Config) -> Nanos {
    let faulty = config.faulty_timeout();
    let ends = faulty < Duration::from_secs(60 * 60);
    nanos(if ends { faulty + config.tombstone_timeout() } else { config.tombstone_timeout() })
}

fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
