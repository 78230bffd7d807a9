//! From messages to JSON.

use serde::{Serialize, Serializer};
use swim_core::{Address, Body, Change, Labels, Message, Refusal, Status};

use super::{Endpoint, JOIN_ITSELF, NOT_READY, OTHER_APP};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Ping<'a> {
    checksum: u64,
    changes: Changes<'a>,
    source: &'a str,
    source_incarnation_number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Join<'a> {
    app: &'a str,
    source: &'a str,
    incarnation_number: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct PingReqAnswer<'a> {
    changes: Changes<'a>,
    ping_status: bool,
    target: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct JoinAnswer<'a> {
    app: &'a str,
    coordinator: &'a str,
    membership: Changes<'a>,
    membership_checksum: u64,
}

#[derive(Serialize)]
struct ErrorAnswer<'a> {
    r#type: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ChangeFields<'a> {
    address: &'a str,
    status: &'static str,
    incarnation_number: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    source_incarnation_number: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tombstone: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    labels: Option<LabelMap<'a>>,
}

/// Changes that are written one by one from where they are.
struct Changes<'a> {
    changes: &'a [Change],
    /// The change names no source. In the answers of the machine that is its own list; in its
    /// requests it is left open on purpose: nobody then leaves the change out as known to its
    /// source.
    unnamed: Option<(&'a str, u64)>,
}

/// Labels as a JSON object.
pub(crate) struct LabelMap<'a>(pub(crate) &'a Labels);

impl Serialize for Changes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer
            .collect_seq(self.changes.iter().map(|change| ChangeFields::of(change, self.unnamed)))
    }
}

impl Serialize for LabelMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter())
    }
}

impl<'a> ChangeFields<'a> {
    fn of(change: &'a Change, unnamed: Option<(&'a str, u64)>) -> Self {
        let Change { member, source } = change;
        // Members that do not know tombstones take one for a faulty member.
        let tombstone = member.status == Status::Tombstone;
        let status = if tombstone { Status::Faulty } else { member.status };
        let named = source.as_ref().map(|source| (source.address.as_str(), source.incarnation));
        let source = named.or(unnamed);
        Self {
            address: member.address.as_str(),
            status: status.as_str(),
            incarnation_number: member.incarnation,
            source: source.map(|(address, _)| address),
            source_incarnation_number: source.map(|(_, incarnation)| incarnation),
            tombstone: tombstone.then_some(true),
            labels: (!member.labels.is_empty()).then_some(LabelMap(&member.labels)),
        }
    }
}

/// Writes a request; `None` when Ringpop has none of this kind, which the
/// machine does not send under `Config::ringpop`.
#[must_use]
pub fn write_request(message: &Message) -> Option<(Endpoint, Vec<u8>)> {
    let Message { app, from, from_incarnation, body, .. } = message;
    let (source, incarnation) = (from.as_str(), *from_incarnation);
    Some(match body {
        Body::Ping { checksum, changes } => {
            let app = Some(&**app);
            (Endpoint::Ping, json(&ping(*checksum, changes, (source, incarnation), app, None)))
        }
        // The schema has no application in a ping-req.
        Body::PingReq { target, checksum, changes } => {
            let target = Some(target);
            (
                Endpoint::PingReq,
                json(&ping(*checksum, changes, (source, incarnation), None, target)),
            )
        }
        Body::Join { .. } => {
            (Endpoint::Join, json(&Join { app, source, incarnation_number: incarnation }))
        }
        Body::Ack { .. }
        | Body::PingReqAck { .. }
        | Body::JoinAck { .. }
        | Body::Sync(_)
        | Body::SyncAck { .. }
        | Body::Refused { .. } => return None,
    })
}

fn ping<'a>(
    checksum: u64,
    changes: &'a [Change],
    (source, source_incarnation_number): (&'a str, u64),
    app: Option<&'a str>,
    target: Option<&'a Address>,
) -> Ping<'a> {
    let changes = Changes { changes, unnamed: None };
    let target = target.map(Address::as_str);
    Ping { checksum, changes, source, source_incarnation_number, app, target }
}

/// Writes an answer: `Ok` when it serves the request, `Err` when it refuses.
///
/// # Errors
///
/// The refusal, as a body as well.
pub fn write_reply(message: &Message) -> Result<Vec<u8>, Vec<u8>> {
    let Message { app, from, from_incarnation, body, .. } = message;
    let sender = (from.as_str(), *from_incarnation);
    let own = |changes| Changes { changes, unnamed: Some(sender) };
    Ok(match body {
        Body::Ack { checksum, changes } => {
            let answer = ping(*checksum, &[], sender, Some(app), None);
            json(&Ping { changes: own(changes), ..answer })
        }
        Body::PingReqAck { target, reached, changes, .. } => json(&PingReqAnswer {
            changes: own(changes),
            ping_status: *reached,
            target: target.as_str(),
        }),
        Body::JoinAck { checksum, changes, .. } => json(&JoinAnswer {
            app,
            coordinator: from.as_str(),
            membership: own(changes),
            membership_checksum: *checksum,
        }),
        Body::Refused { reason } => return Err(refusal(*reason)),
        Body::Ping { .. }
        | Body::PingReq { .. }
        | Body::Join { .. }
        | Body::Sync(_)
        | Body::SyncAck { .. } => return Err(refusal(Refusal::Invalid)),
    })
}

/// A refusal under the types of ringpop-node, in words that all
/// implementations share.
fn refusal(reason: Refusal) -> Vec<u8> {
    let (kind, message) = match reason {
        Refusal::AppMismatch => {
            ("ringpop.invalid-join.app", format!("this member belongs to a {OTHER_APP}"))
        }
        Refusal::NotReady => {
            ("ringpop.not-ready", format!("node is {NOT_READY} to handle requests"))
        }
        Refusal::SelfAddress => {
            ("ringpop.self-join", format!("a member tried to {JOIN_ITSELF}; join another one"))
        }
        other => ("ringpop.refused", other.as_str().to_owned()),
    };
    error(kind, &message)
}

/// An error of the application as a body.
pub(crate) fn error(kind: &str, message: &str) -> Vec<u8> {
    json(&ErrorAnswer { r#type: kind, message })
}

pub(crate) fn json(value: &(impl Serialize + ?Sized)) -> Vec<u8> {
    serde_json::to_vec(value).expect("these types have text keys and no failing parts")
}
