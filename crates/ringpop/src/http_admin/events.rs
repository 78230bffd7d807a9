//! Events of a member as server-sent events.

use std::convert::Infallible;

use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::{Stream, StreamExt as _};
use tonic::{Status, Streaming};

use super::answers;
use crate::generated as proto;
use crate::limits::HTTP_ADMIN_HEARTBEAT;

/// Passes events on until the member begins to stop. A slow reader misses some, which it is told.
pub(super) fn stream(
    events: Streaming<proto::WatchEventsResponse>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let events = events.take_while(|event| std::future::ready(event.is_ok()));
    let events = events.filter_map(|event| std::future::ready(told(event).map(Ok)));
    Sse::new(events).keep_alive(KeepAlive::new().interval(HTTP_ADMIN_HEARTBEAT))
}

fn told(event: Result<proto::WatchEventsResponse, Status>) -> Option<Event> {
    let told = answers::Event::told(event.ok()?)?;
    Some(Event::default().data(serde_json::to_string(&told).ok()?))
}
