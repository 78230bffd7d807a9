//! Events as JSON. The field `type` says which fields follow.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{checksum, labels, some, status_name, withdrawn};
use crate::generated as proto;
use crate::generated::watch_events_response::Event as Told;

#[derive(Debug, Serialize)]
pub(in crate::http_admin) struct Event {
    unix_ms: u64,
    #[serde(flatten)]
    kind: Kind,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Kind {
    Member(MemberChanged),
    Ring {
        added: Vec<String>,
        removed: Vec<String>,
        updated: Vec<String>,
        checksum_before: String,
        checksum_after: String,
    },
    State {
        state: String,
    },
    Problem {
        began: bool,
        text: String,
    },
    OffRing {
        address: String,
        /// Why; nothing any more.
        reason: Option<String>,
    },
    Missed {
        events: u64,
    },
    Membership {
        name: String,
        text: String,
    },
    Identity {
        identity: String,
        owner: String,
        others: Vec<String>,
    },
}

#[derive(Debug, Serialize)]
struct MemberChanged {
    address: String,
    identity: String,
    before: Option<&'static str>,
    after: Option<&'static str>,
    incarnation: u64,
    labels: BTreeMap<String, String>,
    source: Option<String>,
    cause: Option<String>,
    from: Option<String>,
}

impl Event {
    /// `None` for an event that a newer member tells and that has no form here.
    pub(in crate::http_admin) fn told(event: proto::WatchEventsResponse) -> Option<Self> {
        let kind = match event.event? {
            Told::MemberChanged(changed) => Kind::Member(MemberChanged {
                before: status_name(changed.before),
                after: status_name(changed.after),
                address: changed.address,
                identity: changed.identity,
                incarnation: changed.incarnation,
                labels: labels(changed.labels),
                source: some(changed.source),
                cause: some(changed.cause),
                from: some(changed.from),
            }),
            Told::RingChanged(changed) => Kind::Ring {
                added: changed.added,
                removed: changed.removed,
                updated: changed.updated,
                checksum_before: checksum(changed.checksum_before),
                checksum_after: checksum(changed.checksum_after),
            },
            Told::State(state) => Kind::State { state },
            Told::Problem(problem) => Kind::Problem { began: problem.began, text: problem.text },
            Told::OffRing(changed) => Kind::OffRing {
                address: changed.address,
                reason: changed.off_ring.as_ref().map(withdrawn),
            },
            Told::Missed(events) => Kind::Missed { events },
            Told::Membership(event) => Kind::Membership { name: event.name, text: event.text },
            Told::IdentityShared(shared) => Kind::Identity {
                identity: shared.identity,
                owner: shared.owner,
                others: shared.others,
            },
        };
        Some(Self { unix_ms: event.unix_ms, kind })
    }
}
