//! What `node` tells, as lines for people and objects for programs.

use std::fmt;

use ringpop::swim::{self, Address, Member, Status};
use ringpop::{Event, RingChange};
use serde::Serialize;

use crate::output::{checksum, printable};

/// Something that happened to a member or its cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum NodeEvent {
    /// The ports are taken and served.
    Listening {
        app: String,
        address: String,
        http: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        admin_http: Option<String>,
        pid: u32,
    },
    /// The member entered another state of its life.
    State { state: &'static str },
    /// No peer let the member in; it tries again.
    JoinRetrying { rounds: u32, reason: String, delay_ms: u64 },
    /// The member is part of the cluster.
    Joined { members: usize, duration_ms: u64 },
    /// The record of a member changed; `null` stands for none.
    Member {
        address: String,
        identity: String,
        before: Option<&'static str>,
        after: Option<&'static str>,
        incarnation: u64,
    },
    /// The member lost contact to most of the others, or to all, or has it again.
    Isolation { isolation: &'static str, others: usize, lost: usize },
    /// Keys have other owners.
    Ring {
        added: Vec<String>,
        removed: Vec<String>,
        updated: Vec<String>,
        checksum: String,
        /// The placement, when it is another one than before: most keys moved.
        #[serde(skip_serializing_if = "Option::is_none")]
        placement: Option<String>,
    },
    /// Live members claim one identity; all but the owner get no keys.
    IdentityShared { identity: String, owner: String, others: Vec<String> },
    /// A person should look after something.
    Problem { began: bool, text: String },
    /// Events came faster than they could be told.
    Missed { events: u64 },
}

/// An event and when it happened.
#[derive(Debug, Serialize)]
pub(super) struct Stamped<'a> {
    /// Milliseconds since the member began to listen.
    pub(super) elapsed_ms: u64,
    #[serde(flatten)]
    pub(super) event: &'a NodeEvent,
}

impl NodeEvent {
    /// The events that are worth a line; the counters of `ringpop status` have the rest.
    pub(super) fn from_member(event: Event) -> Option<Self> {
        match event {
            Event::Membership(event) => Self::from_membership(event),
            Event::RingChanged(change) => Some(Self::from_ring(&change)),
            Event::IdentityShared(shared) => Some(Self::IdentityShared {
                identity: shared.identity,
                owner: shared.owner.to_string(),
                others: shared.others.iter().map(ToString::to_string).collect(),
            }),
            Event::StateChanged(state) => Some(Self::State { state: state.as_str() }),
            Event::ProblemBegan(problem) => {
                Some(Self::Problem { began: true, text: problem.to_string() })
            }
            Event::ProblemEnded(problem) => {
                Some(Self::Problem { began: false, text: problem.to_string() })
            }
            Event::Missed(events) => Some(Self::Missed { events }),
            _ => None,
        }
    }

    fn from_membership(event: swim::Event) -> Option<Self> {
        match event {
            swim::Event::MemberChanged { before, after, .. } => {
                Self::from_change(before.as_ref(), after.as_ref())
            }
            swim::Event::JoinRetrying { rounds, delay, failure, .. } => Some(Self::JoinRetrying {
                rounds,
                reason: failure.to_string(),
                delay_ms: millis(delay),
            }),
            swim::Event::JoinComplete { duration, members, .. } => {
                Some(Self::Joined { members, duration_ms: millis(duration) })
            }
            swim::Event::IsolationChanged { isolation, others, lost, .. } => {
                Some(Self::Isolation { isolation: isolation.as_str(), others, lost })
            }
            _ => None,
        }
    }

    fn from_change(before: Option<&Member>, after: Option<&Member>) -> Option<Self> {
        let member = after.or(before)?;
        let status = |member: &Member| Status::as_str(member.status);
        Some(Self::Member {
            address: member.address.to_string(),
            identity: member.identity().to_owned(),
            before: before.map(status),
            after: after.map(status),
            incarnation: member.incarnation,
        })
    }

    fn from_ring(change: &RingChange) -> Self {
        let texts = |addresses: &[Address]| addresses.iter().map(ToString::to_string).collect();
        Self::Ring {
            added: texts(&change.added),
            removed: texts(&change.removed),
            updated: texts(&change.updated),
            checksum: checksum(change.checksum_after),
            placement: change.placement_before.map(|_| change.placement.to_string()),
        }
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    duration.as_millis().try_into().unwrap_or(u64::MAX)
}

impl fmt::Display for Stamped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, millis) = (self.elapsed_ms / 1000, self.elapsed_ms % 1000);
        write!(f, "{seconds:4}.{millis:03}  {}", self.event)
    }
}

impl fmt::Display for NodeEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listening { app, address, http, admin_http, pid } => {
                write!(f, "listening  {address}, application {app}, process {pid}")?;
                http.as_ref().map_or(Ok(()), |http| write!(f, ", http://{http}"))?;
                let page = admin_http.as_ref();
                page.map_or(Ok(()), |page| write!(f, ", dashboard http://{page}"))
            }
            Self::State { state } => write!(f, "state      {state}"),
            Self::JoinRetrying { rounds, reason, delay_ms } => write!(
                f,
                "waiting    after {rounds} rounds over the peers: {}; next in {delay_ms} ms",
                printable(reason)
            ),
            Self::Joined { members, duration_ms } => {
                write!(f, "joined     {members} members after {duration_ms} ms")
            }
            Self::Member { address, identity, before, after, incarnation } => {
                write!(f, "member     {}", printable(address))?;
                if identity != address {
                    write!(f, " ({})", printable(identity))?;
                }
                let (before, after) = (before.unwrap_or("unknown"), after.unwrap_or("forgotten"));
                write!(f, " {before} -> {after}, incarnation {incarnation}")
            }
            Self::Isolation { isolation, others, lost } => {
                write!(f, "isolation  {isolation}, {others} others, {lost} lost lately")
            }
            Self::Ring { added, removed, updated, checksum, placement } => {
                f.write_str("ring      ")?;
                for (sign, addresses) in [('+', added), ('-', removed), ('~', updated)] {
                    for address in addresses {
                        write!(f, " {sign}{}", printable(address))?;
                    }
                }
                write!(f, ", checksum {checksum}")?;
                placement.as_ref().map_or(Ok(()), |name| write!(f, ", placement {name}"))
            }
            Self::IdentityShared { identity, owner, others } => {
                let (identity, owner) = (printable(identity), printable(owner));
                write!(f, "identity   {identity} belongs to {owner} and is claimed as well by")?;
                others.iter().try_for_each(|other| write!(f, " {}", printable(other)))
            }
            Self::Problem { began: true, text } => write!(f, "problem    {}", printable(text)),
            Self::Problem { began: false, text } => write!(f, "over       {}", printable(text)),
            Self::Missed { events } => write!(f, "missed     {events} events"),
        }
    }
}

#[cfg(test)]
mod tests {
    use ringpop::swim::{IDENTITY_LABEL, Labels};

    use super::*;

    fn line(event: &NodeEvent) -> String {
        let elapsed_ms = 12_345;
        Stamped { elapsed_ms, event }.to_string()
    }

    #[test]
    fn a_change_is_told_with_what_was_before() {
        let address = Address::new("a:1").unwrap();
        let labels = Labels::new([(IDENTITY_LABEL, "worker\u{1b}")]).unwrap();
        let before = Member::new(address, Status::Alive, 7, labels);
        let mut after = before.clone();
        after.status = Status::Faulty;
        let change = |before, after| line(&NodeEvent::from_change(before, after).unwrap());
        assert_eq!(
            change(Some(&before), Some(&after)),
            "  12.345  member     a:1 (worker\\u{1b}) alive -> faulty, incarnation 7"
        );
        assert!(change(None, Some(&after)).contains("unknown -> faulty"));
        assert!(change(Some(&after), None).contains("faulty -> forgotten"));
    }

    #[test]
    fn programs_get_one_flat_object() {
        let event = NodeEvent::Joined { members: 5, duration_ms: 90 };
        let json = serde_json::to_value(Stamped { elapsed_ms: 100, event: &event }).unwrap();
        let expected = serde_json::json!({
            "event": "joined", "elapsed_ms": 100, "members": 5, "duration_ms": 90
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn a_ring_change_names_who_came_and_went() {
        let texts = |list: &[&str]| list.iter().map(ToString::to_string).collect();
        let event = |placement: Option<&str>| NodeEvent::Ring {
            added: texts(&["a:1", "b:1"]),
            removed: texts(&["c:1"]),
            updated: texts(&[]),
            checksum: checksum(255),
            placement: placement.map(str::to_owned),
        };
        let expected = "  12.345  ring       +a:1 +b:1 -c:1, checksum 00000000000000ff";
        assert_eq!(line(&event(None)), expected);
        assert_eq!(line(&event(Some("ring:200"))), format!("{expected}, placement ring:200"));
    }
}
