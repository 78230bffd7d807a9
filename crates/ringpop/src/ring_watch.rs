//! The ring, told to processes that are no members.

pub(crate) mod watchers;

use std::pin::Pin;
use std::sync::{Arc, Weak};

use futures_util::stream::{Stream, unfold};
use hashring::Node;
use ringpop_forward::{Owner, Resolver as _};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::sleep;
use tonic::{Request, Response, Status};

use crate::generated as proto;
use crate::generated::ring_watch_server::RingWatch;
use crate::inner::Inner;
use crate::limits::RING_WATCH_HEARTBEAT;
use crate::state::State;
use crate::view::MemberRing;

/// The gRPC service that tells the ring.
#[derive(Debug)]
pub(crate) struct WatchService {
    member: Weak<Inner>,
}

impl WatchService {
    pub(crate) const fn new(member: Weak<Inner>) -> Self {
        Self { member }
    }
}

type Answers = Pin<Box<dyn Stream<Item = Result<proto::WatchResponse, Status>> + Send>>;

#[tonic::async_trait]
impl RingWatch for WatchService {
    type WatchStream = Answers;

    async fn watch(
        &self,
        request: Request<proto::WatchRequest>,
    ) -> Result<Response<Answers>, Status> {
        let proto::WatchRequest { app, ring_checksum } = request.into_inner();
        let inner = self.member.upgrade().ok_or_else(stopped)?;
        if app != inner.app {
            return Err(Status::failed_precondition(format!(
                "this is a member of the application {:?}, not of {app:?}",
                inner.app
            )));
        }
        if inner.lifecycle.state() != State::Ready {
            return Err(Status::unavailable("this member is not ready: ask another one"));
        }
        let place = inner.ring_watchers.enter()?;
        let told =
            Told { member: Weak::clone(&self.member), ring: None, ring_checksum, _place: place };
        let answers = unfold(Some(told), async |told| {
            let mut told = told?;
            match told.next().await {
                Ok(answer) => Some((Ok(answer), Some(told))),
                Err(status) => Some((Err(status), None)),
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

fn stopped() -> Status {
    Status::unavailable("this member has stopped: ask another one")
}

/// What one watcher knows.
struct Told {
    member: Weak<Inner>,
    /// `None` before the first answer.
    ring: Option<Arc<MemberRing>>,
    ring_checksum: u64,
    _place: OwnedSemaphorePermit,
}

impl Told {
    /// Waits for the next answer. What changes while nobody asks for it is one answer.
    async fn next(&mut self) -> Result<proto::WatchResponse, Status> {
        let inner = self.member.upgrade().ok_or_else(stopped)?;
        if self.ring.is_some() {
            tokio::select! {
                biased;
                () = inner.lifecycle.reached(State::Draining) => return Err(stopped()),
                () = inner.views.changed(self.ring_checksum) => {}
                () = sleep(RING_WATCH_HEARTBEAT) => {}
            }
        }
        let view = inner.views.load();
        let (ring, ring_checksum) = (&view.ring, view.ring_checksum);
        let mut answer = proto::WatchResponse {
            ring_checksum,
            placement: ring.placement().to_string(),
            ..Default::default()
        };
        match &self.ring {
            Some(before) => describe_change(before, ring, &mut answer),
            None if self.ring_checksum == ring_checksum => {}
            None => {
                answer.whole = true;
                answer.members = ring.nodes().iter().map(|node| member(node)).collect();
            }
        }
        self.ring = Some(Arc::clone(ring));
        self.ring_checksum = ring_checksum;
        Ok(answer)
    }
}

/// Finds what differs between two rings, whose members are sorted by address.
pub(crate) fn describe_change(
    before: &MemberRing,
    after: &MemberRing,
    answer: &mut proto::WatchResponse,
) {
    let mut former = before.nodes().iter().peekable();
    for node in after.nodes() {
        while let Some(gone) = former.next_if(|former| former.id() < node.id()) {
            answer.removed.push(gone.id().to_owned());
        }
        match former.next_if(|former| former.id() == node.id()) {
            Some(same) if Arc::ptr_eq(same, node) => {}
            Some(same) if same.identity() == node.identity() && same.weight() == node.weight() => {}
            _ => answer.members.push(member(node)),
        }
    }
    answer.removed.extend(former.map(|gone| gone.id().to_owned()));
}

pub(crate) fn member(node: &Node<Owner>) -> proto::RingMember {
    proto::RingMember {
        address: node.id().to_owned(),
        identity: node.identity().to_owned(),
        weight: node.weight(),
    }
}
