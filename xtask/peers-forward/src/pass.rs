//! A node that passes bodies on and does nothing else: no key is read, no owner is looked up,
//! nothing is tried again. No forwarder on the same HTTP/2 library can cost less.

use anyhow::Result;
use http::Uri;
use http::uri::PathAndQuery;
use hyper::client::conn::http2::Builder;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tonic::Status;
use tonic::body::Body;

use crate::api::{Coming, GET};

/// The method as it comes, over one connection to the owner.
pub(crate) async fn passed_on(
    owner: &str,
) -> Result<impl FnMut(http::Request<Body>) -> Coming + Clone + Send + Sync + use<>> {
    let socket = TcpStream::connect(owner).await?;
    socket.set_nodelay(true)?;
    let (mut send, connection) = Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .initial_stream_window_size(ringpop_forward::STREAM_WINDOW_BYTES)
        .initial_connection_window_size(ringpop_forward::CONNECTION_WINDOW_BYTES)
        .handshake(TokioIo::new(socket))
        .await?;
    tokio::spawn(connection);
    let target = Uri::builder()
        .scheme("http")
        .authority(owner)
        .path_and_query(PathAndQuery::from_static(GET))
        .build()?;
    Ok(move |mut request: http::Request<Body>| -> Coming {
        request.uri_mut().clone_from(&target);
        let answer = send.send_request(request);
        Box::pin(async move {
            Ok(match answer.await {
                Ok(answer) => answer.map(Body::new),
                Err(error) => Status::unavailable(error.to_string()).into_http(),
            })
        })
    })
}
