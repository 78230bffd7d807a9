//! Incoming membership requests.

use swim_core::wire;
use tonic::{Request, Response, Status};

use super::handle::Requests;
use crate::generated::membership_server::Membership;
use crate::security::Security;

/// The gRPC service of the membership protocol: every request is answered with
/// what the machine replies.
#[derive(Debug)]
pub(crate) struct MembershipService {
    requests: Requests,
    security: Security,
}

impl MembershipService {
    pub(crate) const fn new(requests: Requests, security: Security) -> Self {
        Self { requests, security }
    }
}

#[tonic::async_trait]
impl Membership for MembershipService {
    async fn exchange(
        &self,
        request: Request<wire::pb::Message>,
    ) -> Result<Response<wire::pb::Message>, Status> {
        self.security.admit(&request)?;
        let decoded = match wire::from_proto(request.into_inner()) {
            Ok(decoded) => decoded,
            Err(error) => {
                self.requests.malformed().await;
                return Err(Status::invalid_argument(error.to_string()));
            }
        };
        if decoded.message.is_reply() {
            self.requests.malformed().await;
            return Err(Status::invalid_argument("a reply is not a request"));
        }
        match self.requests.ask(decoded).await {
            Some(reply) => Ok(Response::new(wire::to_proto(reply))),
            None => Err(Status::unavailable("this member is stopping or overloaded")),
        }
    }
}
