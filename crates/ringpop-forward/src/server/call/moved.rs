//! Streams whose key moves to another owner while they run.

use std::sync::Arc;

use http::{HeaderMap, HeaderValue, Response};
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use crate::body::UntilMoved;
use crate::limits::MOVED_TO_HEADER;
use crate::options::ForStatedMember;
use crate::resolver::{Owner, Peer};
use crate::server::answer::is_grpc;
use crate::server::call::Call;
use crate::server::ownership::Lost;
use crate::shared::Shared;

impl<T> Shared<T> {
    /// Ends a stream whose key has moved to `owner`.
    pub(crate) fn moved(&self, owner: Option<&Owner>) -> Status {
        self.counters.streams_moved.add_one();
        let address = self.address_of(owner);
        let message =
            format!("the key of this stream has moved to {address}; begin the stream again");
        let mut metadata = HeaderMap::new();
        // Names are visible ASCII, and so are the addresses of peers.
        if let Ok(address) = HeaderValue::from_str(address) {
            metadata.insert(MOVED_TO_HEADER, address);
        }
        Status::with_metadata(Code::Aborted, message, MetadataMap::from_headers(metadata))
    }
}

impl<T> Call<T> {
    /// Tells the handler of a stream in this process whose key it is. Resolves when the key moves,
    /// if the call is to end with that.
    pub(crate) fn follow_here(&mut self) -> Option<Lost> {
        if self.via.is_stated {
            self.head.extensions.insert(ForStatedMember);
        }
        let ownership = self.ownership.take()?.handled_by(Owner::Local);
        let lost = self.route.end_when_moved.then(|| ownership.lost());
        self.head.extensions.insert(ownership);
        lost
    }

    /// Resolves when the key of a stream that `owner` handles moves, if the call is to end with
    /// that.
    pub(crate) fn follow_at(&mut self, owner: Arc<Peer>) -> Option<Lost> {
        let ownership = self.ownership.take().filter(|_| self.route.end_when_moved)?;
        Some(ownership.handled_by(Owner::Remote(owner)).lost())
    }

    /// Answers a call whose key has moved to `owner` before its handler answered.
    pub(crate) fn answer_moved(&self, owner: Option<&Owner>) -> Response<Body> {
        self.answer(self.shared.moved(owner))
    }
}

/// Ends the stream of a response when `lost` resolves.
pub(crate) fn until_moved<T: Send + Sync + 'static>(
    response: Response<Body>,
    lost: Option<Lost>,
    shared: Arc<Shared<T>>,
) -> Response<Body> {
    let has_ended = response.headers().contains_key(Status::GRPC_STATUS);
    let Some(lost) = lost.filter(|_| !has_ended) else { return response };
    let is_grpc = is_grpc(response.headers());
    response.map(|body| Body::new(UntilMoved::new(body, lost, shared, is_grpc)))
}
