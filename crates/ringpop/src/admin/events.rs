//! Events as the administration service tells them.

use std::pin::Pin;
use std::task::{Context, Poll};

use swim_core::{Address, Event as SwimEvent, Member};
use tokio::sync::OwnedSemaphorePermit;
use tokio_stream::Stream;
use tonic::Status;

use super::members::{labels, off_ring, status};
use crate::clock::unix_ms;
use crate::event::{Event, Events};
use crate::generated as proto;
use crate::generated::watch_events_response::Event as Told;
use crate::move_event::MoveEvent;
use crate::state::State;
use crate::status_changes::named;

/// The events of a member until it begins to stop: a reader must not hold up its end.
///
/// A reader that is slow holds nothing up either. Its events wait in the queue that all listeners
/// share, and those that fall out of it are told by their number.
#[derive(Debug)]
pub(crate) struct EventStream {
    events: Events,
    is_over: bool,
    /// One of the places for readers.
    _place: OwnedSemaphorePermit,
}

impl EventStream {
    pub(super) const fn new(events: Events, place: OwnedSemaphorePermit) -> Self {
        Self { events, is_over: false, _place: place }
    }
}

impl Stream for EventStream {
    type Item = Result<proto::WatchEventsResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if self.is_over {
                return Poll::Ready(None);
            }
            let event = match Pin::new(&mut self.events).poll_next(cx) {
                Poll::Ready(Some(event)) => event,
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            };
            self.is_over = matches!(event, Event::StateChanged(State::Draining | State::Stopped));
            if let Some(event) = told(event) {
                let (unix_ms, event) = (unix_ms(), Some(event));
                return Poll::Ready(Some(Ok(proto::WatchEventsResponse { unix_ms, event })));
            }
        }
    }
}

/// An event as it travels; `None` for those that only the driver of the machine needs.
fn told(event: Event) -> Option<Told> {
    Some(match event {
        Event::Membership(SwimEvent::MemberChanged { before, after, source, cause }) => {
            let (cause, from) = named(&cause);
            let changed = changed(before.as_ref(), after.as_ref())?;
            Told::MemberChanged(proto::MemberChanged {
                source: source.map(|source| source.to_string()).unwrap_or_default(),
                cause: cause.to_owned(),
                from: from.map(ToString::to_string).unwrap_or_default(),
                ..changed
            })
        }
        Event::Membership(event) => {
            let (name, text) = sentence(&event)?;
            Told::Membership(proto::MembershipEvent { name: name.to_owned(), text })
        }
        Event::RingChanged(change) => Told::RingChanged(proto::RingChanged {
            added: texts(&change.added),
            removed: texts(&change.removed),
            updated: texts(&change.updated),
            checksum_before: change.checksum_before,
            checksum_after: change.checksum_after,
        }),
        Event::OffRingChanged { address, off } => Told::OffRing(proto::OffRingChanged {
            address: address.to_string(),
            off_ring: off.map(|off| off_ring(&off)),
        }),
        // Operators see the main ring; the rings beside it are the application's.
        Event::NamedRingChanged { .. } => return None,
        Event::PlannedMove(MoveEvent { mover, weight, step }) => {
            Told::Membership(proto::MembershipEvent {
                name: "planned_move".to_owned(),
                text: format!("the move of {mover} to weight {weight} {step}"),
            })
        }
        Event::LeasesLost { reason, leases } => Told::Membership(proto::MembershipEvent {
            name: "leases_lost".to_owned(),
            text: format!("{leases} leases were lost: {reason}"),
        }),
        Event::IdentityShared(shared) => Told::IdentityShared(proto::IdentityShared {
            identity: shared.identity,
            owner: shared.owner.to_string(),
            others: texts(&shared.others),
        }),
        Event::StateChanged(state) => Told::State(state.as_str().to_owned()),
        Event::ProblemBegan(problem) => {
            Told::Problem(proto::ProblemChanged { began: true, text: problem.to_string() })
        }
        Event::ProblemEnded(problem) => {
            Told::Problem(proto::ProblemChanged { began: false, text: problem.to_string() })
        }
        Event::Missed(events) => Told::Missed(events),
    })
}

fn texts(addresses: &[Address]) -> Vec<String> {
    addresses.iter().map(ToString::to_string).collect()
}

fn changed(before: Option<&Member>, after: Option<&Member>) -> Option<proto::MemberChanged> {
    let member = after.or(before)?;
    let known = |member: Option<&Member>| member.map_or(0, |member| status(member.status).into());
    Some(proto::MemberChanged {
        address: member.address.to_string(),
        identity: member.identity().to_owned(),
        before: known(before),
        after: known(after),
        incarnation: member.incarnation,
        labels: labels(&member.labels),
        ..proto::MemberChanged::default()
    })
}

/// The name of an event and a sentence for people.
fn sentence(event: &SwimEvent) -> Option<(&'static str, String)> {
    Some(match event {
        SwimEvent::Refuted { member, from, incarnation } => {
            let from = from.as_ref().map_or_else(String::new, |from| format!(" of {from}"));
            let status = member.status;
            ("refuted", format!("refuted{from} that it is {status}, incarnation {incarnation}"))
        }
        SwimEvent::JoinRetrying { rounds, delay, failure, .. } => (
            "join_retrying",
            format!("joined nobody in {rounds} rounds ({failure}), tries again in {delay:?}"),
        ),
        SwimEvent::JoinComplete { duration, members, .. } => {
            ("join_complete", format!("joined after {duration:?}, knows {members} members"))
        }
        SwimEvent::JoinFailed { duration, failure, .. } => {
            ("join_failed", format!("joined nobody in {duration:?}: {failure}"))
        }
        SwimEvent::ProbeFailed { target, helpers, conclusive } => {
            let end = if *conclusive { "it is suspect" } else { "no helper answered either" };
            let text = format!("{target} did not answer, asked {helpers} helpers: {end}");
            ("probe_failed", text)
        }
        SwimEvent::SyncEnded { peer, applied, complete } => {
            let end = if *complete { "ended" } else { "broke off" };
            ("sync_ended", format!("a full sync with {peer} {end} and brought {applied} changes"))
        }
        SwimEvent::Rejected { from, reason } => {
            ("rejected", format!("refused a message of {from}: {reason:?}"))
        }
        SwimEvent::HealEnded { contacted, failures } => {
            let contacted = contacted.len();
            let text = format!("healed with {contacted} members, {failures} did not answer");
            ("heal_ended", text)
        }
        SwimEvent::Unreachable { address } => {
            ("unreachable", format!("nobody reaches this member at {address}"))
        }
        SwimEvent::ReachableAgain { address, duration } => {
            ("reachable_again", format!("reached at {address} again after {duration:?}"))
        }
        SwimEvent::Damped { address, voters } => {
            let voters = voters.len();
            ("damped", format!("{address} is kept off the ring by {voters} votes"))
        }
        SwimEvent::Undamped { address, why } => {
            ("undamped", format!("{address} is no longer kept off the ring: {why:?}"))
        }
        SwimEvent::ViewChanged { joined, left, updated, changes, .. } => {
            let [joined, left, updated] = [joined, left, updated].map(Vec::len);
            let text =
                format!("{joined} joined, {left} left, {updated} updated by {changes} changes");
            ("view_changed", text)
        }
        SwimEvent::IsolationChanged { isolation, others, lost, .. } => {
            let text =
                format!("isolation is {isolation}: {others} others left, lost {lost} lately");
            ("isolation_changed", text)
        }
        SwimEvent::SyncEndless { peer, syncs } => {
            ("sync_endless", format!("{syncs} full syncs with {peer} brought nothing"))
        }
        SwimEvent::LeaveComplete { acknowledged, told } => {
            ("leave_complete", format!("left: {acknowledged} of {told} members confirmed"))
        }
        // `HealWanted` only has the driver ask discovery.
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::sync::Semaphore;
    use tokio_stream::StreamExt as _;

    use super::*;
    use crate::event::Listeners;
    use crate::limits::EVENTS_MAX;

    fn stream(listeners: &Listeners) -> EventStream {
        let place = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
        EventStream::new(listeners.subscribe(), place)
    }

    async fn next(stream: &mut EventStream) -> Option<Told> {
        stream.next().await.map(|told| told.unwrap().event.unwrap())
    }

    #[tokio::test]
    async fn a_slow_reader_is_told_how_many_it_missed() {
        let (listeners, _open) = Listeners::new();
        let mut stream = stream(&listeners);
        for _ in 0..EVENTS_MAX + 7 {
            listeners.tell(Event::StateChanged(State::Ready));
        }
        assert_eq!(next(&mut stream).await, Some(Told::Missed(7)));
        assert_eq!(next(&mut stream).await, Some(Told::State("ready".to_owned())));
    }

    #[tokio::test]
    async fn the_stream_ends_when_the_member_begins_to_stop() {
        let (listeners, _open) = Listeners::new();
        let mut stream = stream(&listeners);
        listeners.tell(Event::Membership(SwimEvent::HealWanted));
        listeners.tell(Event::StateChanged(State::Draining));
        listeners.tell(Event::Missed(1));
        assert_eq!(next(&mut stream).await, Some(Told::State("draining".to_owned())));
        assert_eq!(next(&mut stream).await, None);
    }
}
