//! From JSON to messages.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::value::RawValue;
use swim_core::limits::CHANGES_PER_MESSAGE_MAX;
use swim_core::{Address, Body, Change, Labels, Member, Message, Refusal, Source, Status};

use super::{BodyError, Endpoint, Envelope, JOIN_ITSELF, NOT_READY, OTHER_APP};

/// A message, and how much of its body was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The message.
    pub message: Message,
    /// Changes that could not be read or that were too many, and labels that
    /// exceed all bounds.
    pub dropped: usize,
    /// Changes of a member list beyond what one message may carry.
    pub rest: Vec<Change>,
}

/// A ping or a ping-req.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ping<'a> {
    #[serde(borrow)]
    source: Cow<'a, str>,
    // ringpop-node left it out in its first versions.
    source_incarnation_number: Option<u64>,
    checksum: u64,
    #[serde(borrow)]
    changes: Vec<&'a RawValue>,
    app: Option<String>,
    target: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Join<'a> {
    app: String,
    #[serde(borrow)]
    source: Cow<'a, str>,
    incarnation_number: u64,
}

/// The answer to a ping or a ping-req. ringpop-node gives to a ping nothing but
/// the changes.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PingAnswer<'a> {
    #[serde(borrow)]
    changes: Vec<&'a RawValue>,
    checksum: Option<u64>,
    source_incarnation_number: Option<u64>,
    ping_status: Option<bool>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct JoinAnswer<'a> {
    app: Option<String>,
    #[serde(borrow)]
    membership: Vec<&'a RawValue>,
    membership_checksum: Option<u64>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ChangeFields<'a> {
    #[serde(borrow)]
    address: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    incarnation_number: u64,
    source: Option<Cow<'a, str>>,
    source_incarnation_number: Option<u64>,
    tombstone: Option<bool>,
    labels: Option<BTreeMap<String, String>>,
}

/// Reads a request. Its sender is whom the body names as its source; `seq` is
/// the number by which the answer will be found.
///
/// # Errors
///
/// When the body is not of the form that the endpoint wants. Nothing of it
/// counts then.
pub fn read_request(
    endpoint: Endpoint,
    body: &[u8],
    app: &std::sync::Arc<str>,
    seq: u64,
) -> Result<Read, BodyError> {
    if endpoint == Endpoint::Join {
        let Join { app, source, incarnation_number } = serde_json::from_slice(body)?;
        let from = Address::verbatim(&source)?;
        let body = Body::Join { cursor: None, nonce: 0 };
        let message =
            Message { app: app.into(), from, from_incarnation: incarnation_number, seq, body };
        return Ok(Read { message, dropped: 0, rest: Vec::new() });
    }
    let ping: Ping<'_> = serde_json::from_slice(body)?;
    let from = Address::verbatim(&ping.source)?;
    let (mut changes, mut dropped) = read_changes(&ping.changes);
    dropped += changes.split_off(changes.len().min(CHANGES_PER_MESSAGE_MAX)).len();
    let checksum = ping.checksum;
    let body = if endpoint == Endpoint::Ping {
        Body::Ping { checksum, changes }
    } else {
        let target = Address::verbatim(ping.target.as_deref().unwrap_or_default())?;
        Body::PingReq { target, checksum, changes }
    };
    // An empty name is none: ringpop-go sends it where it has nothing to say.
    let app = ping.app.filter(|name| !name.is_empty()).map_or_else(|| app.clone(), Into::into);
    let from_incarnation = ping.source_incarnation_number.unwrap_or(0);
    Ok(Read {
        message: Message { app, from, from_incarnation, seq, body },
        dropped,
        rest: Vec::new(),
    })
}

/// Reads the answer to `request`. `own_checksum` stands in where the answer
/// gives none.
///
/// # Errors
///
/// When the body is not of the form that belongs to the request.
pub fn read_reply(
    request: &Body,
    body: &[u8],
    envelope: Envelope,
    own_checksum: u64,
) -> Result<Read, BodyError> {
    if matches!(request, Body::Join { .. }) {
        return read_join_reply(body, envelope, own_checksum);
    }
    let answer: PingAnswer<'_> = serde_json::from_slice(body)?;
    let (mut changes, mut dropped) = read_changes(&answer.changes);
    dropped += changes.split_off(changes.len().min(CHANGES_PER_MESSAGE_MAX)).len();
    let body = if let Body::PingReq { target, .. } = request {
        // Nothing that is not said to be reached was.
        let reached = answer.ping_status.unwrap_or(false);
        Body::PingReqAck { target: target.clone(), reached, pending: false, changes }
    } else {
        Body::Ack { checksum: answer.checksum.unwrap_or(own_checksum), changes }
    };
    let message = envelope.seal(answer.source_incarnation_number, body);
    Ok(Read { message, dropped, rest: Vec::new() })
}

fn read_join_reply(
    body: &[u8],
    mut envelope: Envelope,
    own_checksum: u64,
) -> Result<Read, BodyError> {
    let answer: JoinAnswer<'_> = serde_json::from_slice(body)?;
    if let Some(app) = answer.app.filter(|app| **app != *envelope.app) {
        envelope.app = app.into();
        let message = envelope.seal(None, Body::Refused { reason: Refusal::AppMismatch });
        return Ok(Read { message, dropped: 0, rest: Vec::new() });
    }
    let (mut changes, dropped) = read_changes(&answer.membership);
    let rest = changes.split_off(changes.len().min(CHANGES_PER_MESSAGE_MAX));
    let checksum = answer.membership_checksum.unwrap_or(own_checksum);
    let body = Body::JoinAck { checksum, changes, next: None };
    Ok(Read { message: envelope.seal(None, body), dropped, rest })
}

/// Reads by which words the application of a peer refuses. Types and fields of
/// errors differ between implementations, the words agree in part.
#[must_use]
pub fn read_refusal(body: &[u8], mut envelope: Envelope) -> Message {
    let text = String::from_utf8_lossy(body);
    let reason = if text.contains(OTHER_APP) {
        envelope.app = "another application".into();
        Refusal::AppMismatch
    } else if text.contains(NOT_READY) {
        Refusal::NotReady
    } else if text.contains(JOIN_ITSELF) {
        Refusal::SelfAddress
    } else {
        Refusal::Invalid
    };
    envelope.seal(None, Body::Refused { reason })
}

impl Envelope {
    fn seal(self, from_incarnation: Option<u64>, body: Body) -> Message {
        let Self { app, from, seq } = self;
        Message { app, from, from_incarnation: from_incarnation.unwrap_or(0), seq, body }
    }
}

/// Reads changes; gives how many things were left out as well.
fn read_changes(raw: &[&RawValue]) -> (Vec<Change>, usize) {
    let mut dropped = 0;
    let mut changes = Vec::with_capacity(raw.len());
    for raw in raw {
        match read_change(raw.get(), &mut dropped) {
            Some(change) => changes.push(change),
            None => dropped += 1,
        }
    }
    (changes, dropped)
}

fn read_change(text: &str, dropped: &mut usize) -> Option<Change> {
    let fields: ChangeFields<'_> = serde_json::from_str(text).ok()?;
    let address = Address::verbatim(&fields.address).ok()?;
    let named = Status::ALL.into_iter().find(|status| status.as_str() == fields.status)?;
    // For members that do not know tombstones, they are sent as faulty with a mark.
    let status = match (named, fields.tombstone) {
        (Status::Faulty, Some(true)) => Status::Tombstone,
        (status, _) => status,
    };
    // Labels beyond all bounds must not hide what happened to the member.
    let labels = Labels::new(fields.labels.unwrap_or_default()).unwrap_or_else(|_| {
        *dropped += 1;
        Labels::default()
    });
    let source = fields.source.and_then(|source| Address::verbatim(&source).ok());
    let incarnation = fields.source_incarnation_number.unwrap_or(0);
    Some(Change {
        member: Member::new(address, status, fields.incarnation_number, labels),
        source: source.map(|address| Source { address, incarnation }),
    })
}
