//! Incoming membership requests.

use swim_core::wire::{self, Decoded};
use swim_driver::WeakHandle;
use tonic::{Request, Response, Status};

use crate::generated::membership_server::Membership;
use crate::security::Security;

/// The gRPC service of the membership protocol: every request is answered with
/// what the machine replies.
#[derive(Debug)]
pub(crate) struct MembershipService {
    /// It does not keep the member running: the server may wait for connections to
    /// end when nobody wants the member any more.
    member: WeakHandle,
    security: Security,
}

impl MembershipService {
    pub(crate) const fn new(member: WeakHandle, security: Security) -> Self {
        Self { member, security }
    }

    /// Counts a request that is no message.
    async fn malformed(&self) {
        self.member.tell(|node, now| node.handle_malformed(now, 1)).await;
    }
}

#[tonic::async_trait]
impl Membership for MembershipService {
    async fn exchange(
        &self,
        request: Request<wire::pb::Message>,
    ) -> Result<Response<wire::pb::Message>, Status> {
        self.security.admit(&request)?;
        let Decoded { message, dropped_changes } = match wire::from_proto(request.into_inner()) {
            Ok(decoded) => decoded,
            Err(error) => {
                self.malformed().await;
                return Err(Status::invalid_argument(error.to_string()));
            }
        };
        if message.is_reply() {
            self.malformed().await;
            return Err(Status::invalid_argument("a reply is not a request"));
        }
        match self.member.request(message, dropped_changes).await {
            Some(reply) => Ok(Response::new(wire::to_proto(reply))),
            None => Err(Status::unavailable("this member is stopping or overloaded")),
        }
    }
}
