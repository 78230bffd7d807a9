//! The body of `/admin/stats`. Its schema allows no other fields.

use std::collections::VecDeque;
use std::time::{Duration, SystemTime};

use serde::Serialize;
use swim_core::Member;

use crate::body::LabelMap;
use crate::counters::TransportStats;
use crate::view::View;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report<'a> {
    /// Ringpop lets applications add figures of their own.
    hooks: Option<()>,
    membership: MembershipReport<'a>,
    process: ProcessReport,
    protocol: ProtocolReport,
    ring: RingReport<'a>,
    version: &'static str,
    /// Milliseconds since the Unix epoch.
    timestamp: u64,
    /// Milliseconds.
    uptime: u64,
    tchannel_version: &'static str,
}

#[derive(Serialize)]
struct MembershipReport<'a> {
    checksum: u32,
    members: Vec<MemberReport<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct MemberReport<'a> {
    address: &'a str,
    status: &'static str,
    incarnation_number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<LabelMap<'a>>,
}

#[derive(Serialize)]
struct ProcessReport {
    memory: MemoryReport,
    pid: u32,
}

/// Bytes; 0 where the system does not tell.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
struct MemoryReport {
    rss: u64,
    heap_total: u64,
    heap_used: u64,
}

/// Times in milliseconds, rates in calls each second since the start.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProtocolReport {
    timing: Timing,
    protocol_rate: f64,
    client_rate: f64,
    server_rate: f64,
    total_rate: f64,
}

#[derive(Serialize)]
struct RingReport<'a> {
    checksum: u32,
    servers: Vec<&'a str>,
}

/// The last pings that were answered.
#[derive(Debug, PartialEq, Serialize)]
struct Timing {
    r#type: &'static str,
    min: f64,
    max: f64,
    sum: f64,
    variance: f64,
    mean: f64,
    std_dev: f64,
    count: usize,
    median: f64,
    p75: f64,
    p95: f64,
    p99: f64,
    p999: f64,
}

pub(super) fn report<'a>(
    view: &'a View,
    counters: &TransportStats,
    period: Duration,
    timings: &VecDeque<Duration>,
    uptime: Duration,
) -> Report<'a> {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let rate = |calls: u64| calls as f64 / uptime.as_secs_f64().max(1.0);
    Report {
        hooks: None,
        membership: MembershipReport {
            checksum: view.membership_checksum,
            members: view.members.iter().map(MemberReport::of).collect(),
        },
        process: ProcessReport { memory: MemoryReport::now(), pid: std::process::id() },
        protocol: ProtocolReport {
            timing: Timing::of(timings),
            protocol_rate: ms(period),
            client_rate: rate(counters.calls),
            server_rate: rate(counters.requests),
            total_rate: rate(counters.calls + counters.requests),
        },
        ring: RingReport {
            checksum: view.ring_checksum,
            servers: view.ring.nodes().iter().map(|node| node.id()).collect(),
        },
        version: env!("CARGO_PKG_VERSION"),
        timestamp: whole_ms(since_epoch.unwrap_or_default()),
        uptime: whole_ms(uptime),
        tchannel_version: env!("CARGO_PKG_VERSION"),
    }
}

impl<'a> MemberReport<'a> {
    fn of(member: &'a Member) -> Self {
        Self {
            address: member.address.as_str(),
            status: member.status.as_str(),
            incarnation_number: member.incarnation,
            labels: (!member.labels.is_empty()).then_some(LabelMap(&member.labels)),
        }
    }
}

impl MemoryReport {
    fn now() -> Self {
        std::fs::read_to_string("/proc/self/status")
            .map(|status| Self::parse(&status))
            .unwrap_or_default()
    }

    /// From the form of Linux: one field in each line, sizes in KiB.
    fn parse(status: &str) -> Self {
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            kib.unwrap_or(0) * 1024
        };
        Self { rss: field("VmRSS:"), heap_total: field("VmData:"), heap_used: field("RssAnon:") }
    }
}

impl Timing {
    fn of(timings: &VecDeque<Duration>) -> Self {
        let mut sorted: Vec<f64> = timings.iter().copied().map(ms).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        let count = sorted.len();
        let sum: f64 = sorted.iter().sum();
        let mean = if count == 0 { 0.0 } else { sum / count as f64 };
        let squares: f64 = sorted.iter().map(|value| (value - mean).powi(2)).sum();
        // Of a sample, as in the other implementations.
        let variance = if count < 2 { 0.0 } else { squares / (count - 1) as f64 };
        let at = |part: f64| {
            let place = (part * count as f64) as usize;
            sorted.get(place.min(count.saturating_sub(1))).copied().unwrap_or(0.0)
        };
        Self {
            r#type: "histogram",
            min: at(0.0),
            max: at(1.0),
            sum,
            variance,
            mean,
            std_dev: variance.sqrt(),
            count,
            median: at(0.5),
            p75: at(0.75),
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
        }
    }
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn whole_ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_bytes() {
        let status =
            "Name:\ttestpop\nVmRSS:\t    8640 kB\nRssAnon:\t     900 kB\nVmData:\t 1200 kB\n";
        let expected =
            MemoryReport { rss: 8640 << 10, heap_total: 1200 << 10, heap_used: 900 << 10 };
        assert_eq!(MemoryReport::parse(status), expected);
        assert_eq!(MemoryReport::parse("no such lines"), MemoryReport::default());
    }

    #[test]
    fn timings_are_summarized() {
        let timings: VecDeque<Duration> = (1..=100).map(Duration::from_millis).collect();
        let timing = Timing::of(&timings);
        assert_eq!((timing.count, timing.min, timing.max), (100, 1.0, 100.0));
        assert_eq!((timing.mean, timing.sum), (50.5, 5050.0));
        assert_eq!((timing.median, timing.p95, timing.p999), (51.0, 96.0, 100.0));
        assert!((timing.variance - 841.666).abs() < 0.001, "{}", timing.variance);
        let none = Timing::of(&VecDeque::new());
        assert_eq!((none.count, none.max, none.mean, none.std_dev), (0, 0.0, 0.0, 0.0));
    }
}
