//! The receiving end: the service `ringpop.forward.v1.Forward`.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use http::HeaderValue;
use tonic::{Request, Response, Status};

use super::generated::forward_server::{Forward, ForwardServer};
use super::generated::{HandleRequest, HandleResponse};
use super::{DirectReply, DirectRequest, check};
use crate::forwarder::Forwarder;
use crate::hop::arrival::Divergence;
use crate::limits::{DIRECT_BYTES_MAX, DIRECT_KEYS_MAX, KEYS_DIVERGED_HEADER};
use crate::options::ForStatedMember;
use crate::resolver::{Owner, Owners};
use crate::shared::Shared;
use crate::transport::PeerTransport;

/// Handles requests that other members forward to this one.
///
/// Code that handles requests of its own process calls the same function when
/// [`handle_or_forward`](Forwarder::handle_or_forward) gives the request back.
pub trait DirectHandler: Send + Sync + 'static {
    /// Handles a request for keys that this process owns.
    ///
    /// # Errors
    ///
    /// Whatever the sender should get.
    fn handle(
        &self,
        request: DirectRequest,
    ) -> impl Future<Output = Result<DirectReply, Status>> + Send;
}

/// The service behind [`Forwarder::direct_service`].
pub struct DirectService<H, T> {
    handler: H,
    shared: Arc<Shared<T>>,
}

impl<H, T> fmt::Debug for DirectService<H, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DirectService").finish_non_exhaustive()
    }
}

impl<T: PeerTransport> Forwarder<T> {
    /// The service that receives what [`handle_or_forward`](Self::handle_or_forward) sends. Add it
    /// to the server behind the [`layer`](Self::layer):
    /// `server().layer(forwarder.layer()).add_service(forwarder.direct_service(handler))`.
    pub fn direct_service<H: DirectHandler>(
        &self,
        handler: H,
    ) -> ForwardServer<DirectService<H, T>> {
        let service = DirectService { handler, shared: Arc::clone(self.shared()) };
        ForwardServer::new(service)
            .max_decoding_message_size(DIRECT_BYTES_MAX)
            .max_encoding_message_size(DIRECT_BYTES_MAX)
    }
}

#[tonic::async_trait]
impl<H: DirectHandler, T: PeerTransport> Forward for DirectService<H, T> {
    async fn handle(
        &self,
        request: Request<HandleRequest>,
    ) -> Result<Response<HandleResponse>, Status> {
        let is_stated = request.extensions().get::<ForStatedMember>().is_some();
        let request = DirectRequest::from_call(request);
        // The header that routes a request says nothing of the keys in it.
        check(&request, usize::from(!is_stated)..=DIRECT_KEYS_MAX)
            .inspect_err(|_| self.shared.counters.bad_direct_requests.add_one())?;
        self.verify(&request)?;
        let reply = self.handler.handle(request).await.map_err(|mut status| {
            // The handler has run. A status that it got from elsewhere must not say that it has
            // not.
            status.metadata_mut().remove(KEYS_DIVERGED_HEADER.as_str());
            status
        })?;
        let DirectReply { content_type, body } = reply;
        Ok(Response::new(HandleResponse { content_type, body }))
    }
}

impl<H, T> DirectService<H, T> {
    /// Checks that every key may be ours. The layer has checked the first, by which the request was
    /// routed.
    fn verify(&self, request: &DirectRequest) -> Result<(), Status> {
        let shared = &self.shared;
        if shared.settings.divergence == Divergence::Accept {
            return Ok(());
        }
        let n = shared.settings.policy.owners();
        for key in request.keys().iter().skip(1) {
            let mut owners = Owners::new();
            shared.resolver.owners(key.as_bytes(), n, &mut owners);
            if owners.contains(&Owner::Local) {
                continue;
            }
            shared.counters.keys_differed.add_one();
            let owner = match owners.first() {
                Some(Owner::Remote(peer)) => peer.address(),
                _ => "nobody",
            };
            let mut status = Status::failed_precondition(format!(
                "keys have diverged: {} sees {owner} as the owner of {key:?}; nothing was handled",
                shared.settings.name,
            ));
            let one = HeaderValue::from_static("1");
            status.metadata_mut().as_mut().insert(KEYS_DIVERGED_HEADER, one);
            return Err(status);
        }
        Ok(())
    }
}
