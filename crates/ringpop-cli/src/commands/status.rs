//! `ringpop status`: a running member and how it sees the cluster.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ringpop::admin_client::{GetStatusResponse, MemberStatus};
use ringpop::swim::INTERNAL_PREFIX;
use serde::Serialize;

use super::overview::Overview;
use crate::admin::Admin;
use crate::args::StatusArgs;
use crate::cluster::{Cluster, status_name};
use crate::failure::Failure;
use crate::output::{Output, checksum, columns, printable};
use crate::watch;

pub(super) async fn run(args: StatusArgs) -> Result<(), Failure> {
    let admin = Admin::of(&args.target)?;
    watch::answer(&args.watch, Output::new(args.target.json), || async {
        let response = admin.status().await?;
        if args.local {
            return Ok(Report::from(response));
        }
        let cluster = Cluster::crawl_from(admin.clone(), response).await?;
        let overview = Some(Overview::new(&cluster));
        Ok(Report { cluster: overview, ..Report::from(cluster.first) })
    })
    .await
    .map(drop)
}

/// A member and how it sees the cluster.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    app: String,
    address: String,
    state: String,
    /// Whether the member is cut off from the others; empty when it does not
    /// tell, as members of earlier versions.
    isolation: String,
    uptime_ms: u64,
    membership_checksum: String,
    ring_checksum: String,
    /// How keys are placed; empty when it does not tell, as members of earlier
    /// versions.
    placement: String,
    /// Whether it was told to stop probing others.
    gossip_stopped: bool,
    problems: Vec<String>,
    members: Vec<Member>,
    counters: BTreeMap<String, u64>,
    /// The views of all members, when they were asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    cluster: Option<Overview>,
}

#[derive(Debug, Serialize)]
struct Member {
    address: String,
    identity: String,
    status: &'static str,
    incarnation: u64,
    points: u32,
    share: f64,
    damped: bool,
    /// The member that owns the keys of this one's identity, when it is another.
    identity_owner: Option<String>,
    labels: BTreeMap<String, String>,
}

impl From<GetStatusResponse> for Report {
    fn from(response: GetStatusResponse) -> Self {
        let counters = response.counters.into_iter();
        Self {
            app: response.app,
            address: response.address,
            state: response.state,
            isolation: response.isolation,
            uptime_ms: response.uptime_ms,
            membership_checksum: checksum(response.membership_checksum),
            ring_checksum: checksum(response.ring_checksum),
            placement: response.placement,
            gossip_stopped: response.gossip_stopped,
            problems: response.problems,
            members: response.members.into_iter().map(Member::from).collect(),
            counters: counters.map(|counter| (counter.name, counter.value)).collect(),
            cluster: None,
        }
    }
}

impl From<MemberStatus> for Member {
    fn from(member: MemberStatus) -> Self {
        let labels = member.labels.into_iter();
        Self {
            status: status_name(member.status),
            address: member.address,
            identity: member.identity,
            incarnation: member.incarnation,
            points: member.points,
            share: member.share,
            damped: member.damped,
            identity_owner: Some(member.identity_owner).filter(|owner| !owner.is_empty()),
            labels: labels.map(|label| (label.key, label.value)).collect(),
        }
    }
}

impl Member {
    /// The status, and why the member is kept off the ring in spite of it.
    fn standing(&self) -> String {
        let damped = if self.damped { ", damped" } else { "" };
        let owner = self.identity_owner.as_ref();
        let owner = owner.map(|owner| format!(", same identity as {}", printable(owner)));
        format!("{}{damped}{}", self.status, owner.unwrap_or_default())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let uptime = Duration::from_secs(self.uptime_ms / 1000);
        writeln!(
            f,
            "{} ({}) is {}, up {}",
            printable(&self.address),
            printable(&self.app),
            printable(&self.state),
            humantime::format_duration(uptime),
        )?;
        match self.isolation.as_str() {
            "" | "none" => {}
            isolation => writeln!(f, "isolation: {}", printable(isolation))?,
        }
        if self.gossip_stopped {
            writeln!(f, "gossip is stopped: it probes nobody")?;
        }
        writeln!(f, "membership checksum {}", self.membership_checksum)?;
        writeln!(f, "ring checksum       {}", self.ring_checksum)?;
        if !self.placement.is_empty() {
            writeln!(f, "placement           {}", printable(&self.placement))?;
        }
        for problem in &self.problems {
            writeln!(f, "problem: {}", printable(problem))?;
        }
        if let Some(cluster) = &self.cluster {
            writeln!(f, "\n{cluster}")?;
        }
        writeln!(f)?;
        f.write_str(&self.member_table())?;
        writeln!(f)?;
        let counters = self.counters.iter();
        let rows: Vec<_> = counters
            .filter(|(_, value)| **value > 0)
            .map(|(name, value)| [printable(name), value.to_string()])
            .collect();
        f.write_str(columns(&rows).trim_end())
    }
}

impl Report {
    fn member_table(&self) -> String {
        let head = ["ADDRESS", "IDENTITY", "STATUS", "INCARNATION", "SHARE", "LABELS"];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.members.iter().map(|member| {
            [
                printable(&member.address),
                printable(&member.identity),
                member.standing(),
                member.incarnation.to_string(),
                format!("{:.1} %", member.share * 100.0),
                label_list(&member.labels),
            ]
        }));
        columns(&rows)
    }
}

/// Labels of the library itself are shown in columns of their own.
pub(super) fn label_list(labels: &BTreeMap<String, String>) -> String {
    let public = labels.iter().filter(|(key, _)| !key.starts_with(INTERNAL_PREFIX));
    let pairs: Vec<_> = public.map(|(key, value)| printable(&format!("{key}={value}"))).collect();
    pairs.join(" ")
}

#[cfg(test)]
mod tests {
    use ringpop::admin_client::{Counter, Label};

    use super::*;

    fn report() -> Report {
        let member = |address: &str, status, share| MemberStatus {
            address: address.to_owned(),
            identity: address.to_owned(),
            status,
            incarnation: 1_700_000_000_000,
            labels: vec![Label { key: "zone".to_owned(), value: "a".to_owned() }],
            points: 100,
            share,
            damped: status == 1 && share == 0.0,
            identity_owner: if status == 2 { "127.0.0.1:7102".to_owned() } else { String::new() },
            ..MemberStatus::default()
        };
        Report::from(GetStatusResponse {
            app: "demo".to_owned(),
            address: "127.0.0.1:7100".to_owned(),
            state: "ready".to_owned(),
            isolation: "partial".to_owned(),
            membership_checksum: 0xab,
            ring_checksum: 0xcd,
            placement: "ring:100".to_owned(),
            gossip_stopped: true,
            members: vec![
                member("127.0.0.1:7100", 1, 1.0),
                member("127.0.0.1:7101", 99, 0.0),
                member("127.0.0.1:7102", 1, 0.0),
                member("127.0.0.1:7103", 2, 0.0),
            ],
            uptime_ms: 61_500,
            problems: vec!["look here".to_owned()],
            instance: 1,
            counters: vec![Counter { name: "pings_sent".to_owned(), value: 7 }],
        })
    }

    #[test]
    fn the_table_is_aligned() {
        let expected = "\
127.0.0.1:7100 (demo) is ready, up 1m 1s
isolation: partial
gossip is stopped: it probes nobody
membership checksum 00000000000000ab
ring checksum       00000000000000cd
placement           ring:100
problem: look here

ADDRESS         IDENTITY        STATUS                                    INCARNATION    SHARE    LABELS
127.0.0.1:7100  127.0.0.1:7100  alive                                     1700000000000  100.0 %  zone=a
127.0.0.1:7101  127.0.0.1:7101  unknown                                   1700000000000  0.0 %    zone=a
127.0.0.1:7102  127.0.0.1:7102  alive, damped                             1700000000000  0.0 %    zone=a
127.0.0.1:7103  127.0.0.1:7103  suspect, same identity as 127.0.0.1:7102  1700000000000  0.0 %    zone=a

pings_sent  7";
        assert_eq!(report().to_string(), expected);
    }

    #[test]
    fn programs_get_checksums_as_text() {
        let json = serde_json::to_value(report()).unwrap();
        assert_eq!(json["membership_checksum"], "00000000000000ab");
        assert_eq!(json["members"][0]["labels"]["zone"], "a");
        assert_eq!(
            (&json["members"][0]["damped"], &json["members"][2]["damped"]),
            (&false.into(), &true.into())
        );
        assert_eq!(json["counters"]["pings_sent"], 7);
    }
}
