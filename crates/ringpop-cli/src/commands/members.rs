//! `ringpop members`: the members as one of them sees them.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ringpop::admin_client::{self, GetMembersRequest, Status, Suspicion};
use serde::Serialize;

use super::labels::public;
use super::status::label_list;
use crate::admin::{Admin, Client};
use crate::args::{MemberStatus, MembersArgs};
use crate::cluster::status_name;
use crate::failure::Failure;
use crate::limits::ANSWER_TIMEOUT;
use crate::output::{Output, checksum, columns, printable};
use crate::watch;

pub(super) async fn run(args: MembersArgs) -> Result<(), Failure> {
    let admin = Admin::of(&args.target)?;
    watch::answer(&args.watch, Output::new(args.target.json), || async {
        let statuses = args.status.iter().map(|status| proto(*status).into()).collect();
        let call = |mut client: Client, request| async move { client.get_members(request).await };
        let answer = admin.ask(ANSWER_TIMEOUT, GetMembersRequest { statuses }, call).await?;
        Ok(Members {
            membership_checksum: checksum(answer.membership_checksum),
            members: answer.members.into_iter().map(Member::from).collect(),
        })
    })
    .await
    .map(drop)
}

const fn proto(status: MemberStatus) -> Status {
    match status {
        MemberStatus::Alive => Status::Alive,
        MemberStatus::Suspect => Status::Suspect,
        MemberStatus::Faulty => Status::Faulty,
        MemberStatus::Leave => Status::Leave,
        MemberStatus::Tombstone => Status::Tombstone,
    }
}

#[derive(Debug, Serialize)]
struct Members {
    membership_checksum: String,
    members: Vec<Member>,
}

#[derive(Debug, Serialize)]
struct Member {
    address: String,
    identity: String,
    status: &'static str,
    /// How long the member that is asked has seen that status.
    since_ms: u64,
    /// The member that gave it that status.
    source: String,
    /// How the member that is asked learned of it, and from whom.
    cause: String,
    from: String,
    incarnation: u64,
    weight: u32,
    share: f64,
    labels: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    suspicion: Option<Suspected>,
}

#[derive(Debug, Serialize)]
struct Suspected {
    accusers: Vec<String>,
    since_ms: u64,
    remaining_ms: u64,
}

impl From<Suspicion> for Suspected {
    fn from(suspicion: Suspicion) -> Self {
        let Suspicion { accusers, since_ms, remaining_ms } = suspicion;
        Self { accusers, since_ms, remaining_ms }
    }
}

impl From<admin_client::MemberStatus> for Member {
    fn from(member: admin_client::MemberStatus) -> Self {
        Self {
            status: status_name(member.status),
            address: member.address,
            identity: member.identity,
            since_ms: member.since_ms,
            source: member.source,
            cause: member.cause,
            from: member.from,
            incarnation: member.incarnation,
            weight: member.weight,
            share: member.share,
            labels: public(member.labels),
            suspicion: member.suspicion.map(Suspected::from),
        }
    }
}

impl Member {
    /// By whom and how, in few words.
    fn origin(&self) -> String {
        let by = |text: &str| if text.is_empty() { String::new() } else { format!(" {text}") };
        let passed_on = if self.from.is_empty() || self.from == self.source {
            String::new()
        } else {
            format!(" via {}", self.from)
        };
        printable(format!("{}{}{passed_on}", self.cause, by(&self.source)).trim())
    }

    fn shown_status(&self) -> String {
        match &self.suspicion {
            Some(Suspected { accusers, remaining_ms, .. }) => {
                let accusers = accusers.len();
                let remaining = rounded(*remaining_ms);
                format!("{} ({accusers} accusers, faulty in {remaining})", self.status)
            }
            None => self.status.to_owned(),
        }
    }
}

/// To whole seconds, or to milliseconds when it is less than one.
fn rounded(ms: u64) -> String {
    let ms = if ms < 1000 { ms } else { ms / 1000 * 1000 };
    humantime::format_duration(Duration::from_millis(ms)).to_string()
}

impl fmt::Display for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let head = ["ADDRESS", "IDENTITY", "STATUS", "SINCE", "BY", "WEIGHT", "LABELS"];
        let mut rows = vec![head.map(str::to_owned)];
        rows.extend(self.members.iter().map(|member| {
            [
                printable(&member.address),
                printable(&member.identity),
                member.shown_status(),
                rounded(member.since_ms),
                member.origin(),
                member.weight.to_string(),
                label_list(&member.labels),
            ]
        }));
        f.write_str(columns(&rows).trim_end())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suspect_is_shown_with_its_accusers_and_its_time() {
        let member = admin_client::MemberStatus {
            address: "b:1".to_owned(),
            identity: "b:1".to_owned(),
            status: Status::Suspect.into(),
            since_ms: 2345,
            source: "c:1".to_owned(),
            cause: "gossip".to_owned(),
            from: "d:1".to_owned(),
            weight: 1,
            suspicion: Some(Suspicion {
                accusers: vec!["c:1".to_owned(), "d:1".to_owned()],
                since_ms: 2345,
                remaining_ms: 900,
            }),
            ..admin_client::MemberStatus::default()
        };
        let members = vec![Member::from(member)];
        let members = Members { membership_checksum: checksum(1), members };
        let expected = "\
ADDRESS  IDENTITY  STATUS                                 SINCE  BY                  WEIGHT  LABELS
b:1      b:1       suspect (2 accusers, faulty in 900ms)  2s     gossip c:1 via d:1  1";
        assert_eq!(members.to_string(), expected);
    }
}
