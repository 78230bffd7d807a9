//! What a member says of itself, as a message that others take in before gossip brings it.

use swim_core::wire::{self, pb};
use swim_core::{Address, Body, Change, Message, Node};

use crate::inner::Inner;

/// A ping that tells what this member says of itself, and what `other` does. `None` when the member
/// has stopped.
pub(super) async fn ping(inner: &Inner, other: Option<Address>) -> Option<pb::Message> {
    let app = inner.app.clone();
    let ping = move |node: &mut Node, _| {
        let member = node.local().clone();
        let other = other.and_then(|other| node.member(&other).cloned());
        let changes = std::iter::once(member.clone()).chain(other);
        let changes = changes.map(|member| Change { member, source: None }).collect();
        let body = Body::Ping { checksum: node.checksum(), changes };
        let (from, from_incarnation) = (member.address, member.incarnation);
        // The numbers of the machine grow from 1: these are never among them.
        let seq = u64::MAX - fastrand::u64(..u64::from(u32::MAX));
        Message { app: app.into(), from, from_incarnation, seq, body }
    };
    inner.handle.with(ping).await.ok().map(wire::to_proto)
}
