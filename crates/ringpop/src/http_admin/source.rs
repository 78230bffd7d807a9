//! The gRPC service that is asked: of this process, or of a member elsewhere.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::StdError;
use tonic::transport::Channel;
use tower_service::Service;

use crate::admin::access::AdminAccess;
use crate::admin::{self, AdminService};
use crate::generated::admin_server::AdminServer;
use crate::inner::Inner;

/// The service of administration.
#[derive(Clone)]
pub(super) enum Source {
    Member(AdminServer<AdminService>),
    Remote(Arc<dyn Fn() -> Option<Channel> + Send + Sync>),
}

impl Source {
    pub(super) fn member(inner: &Arc<Inner>, access: AdminAccess) -> Self {
        Self::Member(admin::server(inner, access))
    }
}

impl Service<Request<Body>> for Source {
    type Response = Response<Body>;
    type Error = StdError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, StdError>> + Send>>;

    /// Both are ready at once: a channel is asked when it is chosen.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StdError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        match self {
            Self::Member(server) => {
                let answer = server.call(request);
                Box::pin(async move { answer.await.map_err(Into::into) })
            }
            Self::Remote(choose) => {
                let channel = choose();
                Box::pin(async move {
                    let Some(mut channel) = channel else {
                        return Err(Status::unavailable("no member answers").into());
                    };
                    std::future::poll_fn(|cx| channel.poll_ready(cx)).await?;
                    Ok(channel.call(request).await?)
                })
            }
        }
    }
}
