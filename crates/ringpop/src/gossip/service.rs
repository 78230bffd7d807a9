//! Incoming membership requests.

use swim_core::wire;
use tonic::{Request, Response, Status};

use super::driver::Handle;
use crate::generated::membership_server::Membership;

/// The gRPC service of the membership protocol: every request is answered with
/// what the machine replies.
#[derive(Debug)]
pub(crate) struct MembershipService(Handle);

impl MembershipService {
    pub(crate) const fn new(handle: Handle) -> Self {
        Self(handle)
    }
}

#[tonic::async_trait]
impl Membership for MembershipService {
    async fn exchange(
        &self,
        request: Request<wire::pb::Message>,
    ) -> Result<Response<wire::pb::Message>, Status> {
        let decoded = match wire::from_proto(request.into_inner()) {
            Ok(decoded) => decoded,
            Err(error) => {
                self.0.malformed().await;
                return Err(Status::invalid_argument(error.to_string()));
            }
        };
        if decoded.message.is_reply() {
            self.0.malformed().await;
            return Err(Status::invalid_argument("a reply is not a request"));
        }
        match self.0.request(decoded).await {
            Some(reply) => Ok(Response::new(wire::to_proto(reply))),
            None => Err(Status::unavailable("this member is stopping or overloaded")),
        }
    }
}
