//! The bounds of the services of a member inside a layer of the application.

use http::{Request, Response};
use tonic::body::Body;
use tonic::codegen::{Body as HttpBody, Bytes, StdError};
use tower_service::Service;

/// The services of a member inside a layer of the application, as [`Ringpop::serve_with`]
/// describes it.
///
/// [`Ringpop::serve_with`]: crate::Ringpop::serve_with
pub(crate) trait Outermost:
    Service<
        Request<Body>,
        Response = Response<Self::Body>,
        Error: Into<StdError> + Send,
        Future: Send,
    > + Clone
    + Send
    + 'static
{
    type Body: HttpBody<Data = Bytes, Error: Into<StdError>> + Send + 'static;
}

impl<S, B> Outermost for S
where
    S: Service<Request<Body>, Response = Response<B>, Error: Into<StdError> + Send, Future: Send>
        + Clone
        + Send
        + 'static,
    B: HttpBody<Data = Bytes, Error: Into<StdError>> + Send + 'static,
{
    type Body = B;
}
